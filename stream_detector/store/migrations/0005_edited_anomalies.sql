-- compatible from: 0001
-- Anomalies that operators create, change and delete; the numbers that reports filter by as columns.

CREATE TABLE deleted_anomalies (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    by text NOT NULL
);
COMMENT ON TABLE deleted_anomalies IS 'Ids of anomalies that an operator has deleted: reading the topic again does not bring them back';

ALTER TABLE actions ADD COLUMN anomaly_id uuid;
CREATE INDEX actions_of_anomaly ON actions (anomaly_id, at) WHERE anomaly_id IS NOT NULL;

ALTER TABLE anomalies ADD COLUMN z_score double precision, ADD COLUMN confidence double precision;
COMMENT ON COLUMN anomalies.z_score IS 'NULL: the rule has none';
COMMENT ON COLUMN anomalies.confidence IS '0 to 1';

-- A recorder of a former version writes the event alone.
CREATE FUNCTION anomaly_metric(event bytea, name text) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (convert_from(event, 'UTF8')::json #>> ARRAY['metrics', name])::double precision;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;
CREATE FUNCTION fill_anomaly_metrics() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.z_score := anomaly_metric(NEW.event, 'z_score');
    NEW.confidence := anomaly_metric(NEW.event, 'confidence');
    RETURN NEW;
END $$;
CREATE TRIGGER anomalies_of_former_versions BEFORE INSERT ON anomalies
    FOR EACH ROW WHEN (NEW.confidence IS NULL) EXECUTE FUNCTION fill_anomaly_metrics();

UPDATE anomalies SET z_score = anomaly_metric(event, 'z_score'), confidence = anomaly_metric(event, 'confidence');
