-- compatible from: 0001
-- Which variant of its workflow a row is about; NULL: none. An earlier recorder leaves it empty.

ALTER TABLE executions ADD COLUMN variant text COLLATE "C";
ALTER TABLE anomalies ADD COLUMN variant text COLLATE "C";
ALTER TABLE incidents ADD COLUMN variant text COLLATE "C";
ALTER TABLE baselines ADD COLUMN variant text COLLATE "C";
COMMENT ON COLUMN executions.variant IS 'Which regular form of the workflow it is, for example schedule; NULL: none';
COMMENT ON COLUMN incidents.variant IS 'Of its newest record: an incident that opened before there were variants goes on under one';

CREATE INDEX anomalies_by_variant ON anomalies (variant, detected_at, id) WHERE variant IS NOT NULL;
