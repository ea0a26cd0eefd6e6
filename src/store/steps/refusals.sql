-- Pipelines whose configuration is refused; schema.sql has the reasons.
ALTER TABLE pipelines ADD COLUMN refusal TEXT;
CREATE INDEX pipelines_refused ON pipelines (created_at) WHERE refusal IS NOT NULL;
