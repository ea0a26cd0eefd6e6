CREATE TABLE detached_traces (
    number INTEGER PRIMARY KEY
) STRICT;
CREATE TRIGGER trace_removed AFTER DELETE ON traces
BEGIN INSERT INTO detached_traces (number) VALUES (OLD.number); END;
