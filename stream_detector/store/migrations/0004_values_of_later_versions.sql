-- compatible from: 0001
-- A type, severity, state or kind that only a later version knows is stored as it is.

ALTER TABLE anomalies DROP CONSTRAINT IF EXISTS anomalies_state_check;
ALTER TABLE anomalies DROP CONSTRAINT IF EXISTS anomalies_severity_check;
ALTER TABLE anomalies DROP CONSTRAINT IF EXISTS anomalies_entity_kind_check;
ALTER TABLE incidents DROP CONSTRAINT IF EXISTS incidents_state_check;

ALTER TABLE schema_migrations ADD COLUMN compatible_from integer;
COMMENT ON COLUMN schema_migrations.compatible_from IS 'Programs that know the schema of this number may run beside it; NULL: only those that know the migration itself';
