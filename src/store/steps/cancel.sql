-- To builds that their runner brings to an end, and to claims that are taken back; schema.sql has the reasons.
ALTER TABLE builds ADD COLUMN is_graceful INTEGER NOT NULL DEFAULT 0 CHECK (is_graceful IN (0, 1));
ALTER TABLE builds ADD COLUMN canceling_at INTEGER;
ALTER TABLE builds ADD COLUMN unheard_until INTEGER;
