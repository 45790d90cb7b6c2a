-- compatible from: 0001
-- What a new, empty broker is restored from, and which events the restored state does not hold.

CREATE TABLE state_records (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    owner_epoch bigint NOT NULL,
    stream_epoch integer NOT NULL,
    source_offset bigint NOT NULL,
    record_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, key, partition)
) WITH (fillfactor = 70);
ALTER TABLE state_records ALTER COLUMN value SET STORAGE EXTERNAL;
COMMENT ON TABLE state_records IS 'The newest record of each key of the topics baselines, runs-state and notifier-state, byte for byte';
COMMENT ON COLUMN state_records.value IS 'Head (version, owner''s epoch, positions) and packed state; without packed state the key was deleted';
COMMENT ON COLUMN state_records.owner_epoch IS 'The epoch in the head: of two values of one stream the larger one holds, then the larger offset';

-- Values of earlier versions: their heads were not kept, so they name no positions. A baseline that the recorder could
-- not read was stored with its head.
INSERT INTO state_records (topic, partition, key, value, owner_epoch, stream_epoch, source_offset, record_at, recorded_at)
SELECT 'baselines', source_partition, convert_to(key, 'UTF8'),
    CASE WHEN state = 'unknown' THEN packed ELSE '\x010000000000'::bytea || packed END,
    0, stream_epoch, source_offset, record_at, recorded_at
FROM baselines;

-- NULL: stored by an earlier version.
ALTER TABLE actions ADD COLUMN stream_epoch integer, ADD COLUMN source_partition integer, ADD COLUMN source_offset bigint;
ALTER TABLE score_runs ADD COLUMN stream_epoch integer, ADD COLUMN source_partition integer, ADD COLUMN source_offset bigint;
ALTER TABLE anomalies ADD COLUMN stream_epoch integer, ADD COLUMN source_partition integer, ADD COLUMN source_offset bigint;
ALTER TABLE run_summaries ADD COLUMN stream_epoch integer, ADD COLUMN source_partition integer, ADD COLUMN source_offset bigint;

CREATE INDEX executions_by_position ON executions (stream_epoch, source_partition, source_offset);
CREATE INDEX scores_by_position ON scores (stream_epoch, source_partition, source_offset);
CREATE INDEX anomalies_by_position ON anomalies (stream_epoch, source_partition, source_offset) WHERE source_offset IS NOT NULL;
