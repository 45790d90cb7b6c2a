-- compatible from: 0001
-- Up to where the recorder has stored each source partition: a database that was restored from an older dump shows it.

-- A stream that an earlier version recorded has no positions yet, and nothing follows from that.
ALTER TABLE stream_epochs ADD COLUMN has_positions boolean NOT NULL DEFAULT false;

CREATE TABLE recorder_positions (
    stream_epoch integer NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_epoch, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE recorder_positions IS 'Everything of the partition below next_offset is stored, was refused or had nothing to store';

CREATE TABLE recorder_gaps (
    stream_epoch integer NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_epoch, topic, partition, first_offset)
);
COMMENT ON TABLE recorder_gaps IS 'What was stored once and is missing here, as after a restore of an older dump: offsets from first_offset to before next_offset';
