-- compatible from: 0001
-- A baseline may move to another partition of its topic, where offsets say nothing about the ones before. An earlier
-- recorder leaves the epoch as it is.

ALTER TABLE baselines ADD COLUMN owner_epoch bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN baselines.owner_epoch IS 'The epoch of the partition''s owner that wrote it: of two values of one stream the larger one holds, then the larger offset';
