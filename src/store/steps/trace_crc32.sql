-- To logs, whose checksums runners tell; schema.sql has the reasons.
ALTER TABLE traces ADD COLUMN crc32 INTEGER;
