-- compatible from: 0001
-- Which workflows have times, learned or by a rule, when the next run of each is due, and how long it may take: of the
-- packed value, which is what holds. An earlier recorder leaves the columns as they are.

ALTER TABLE baselines ADD COLUMN expected_at timestamptz;
ALTER TABLE baselines ADD COLUMN missed_since timestamptz;
ALTER TABLE baselines ADD COLUMN source text COLLATE "C";
ALTER TABLE baselines ADD COLUMN limit_s double precision;
COMMENT ON COLUMN baselines.expected_at IS 'When the next run is due; the last day of 9999 where it has times and none is due; NULL without times';
COMMENT ON COLUMN baselines.missed_since IS 'When the first of the runs was due that are missed now; NULL where none is';
COMMENT ON COLUMN baselines.source IS 'Where the newest run of a workflow with times came from; NULL where that is not known';
COMMENT ON COLUMN baselines.limit_s IS 'The longest that an execution may run now: learned, by a rule or given; NULL where none is limited';
CREATE INDEX baselines_expected ON baselines (expected_at, key) WHERE expected_at IS NOT NULL;
CREATE INDEX baselines_missed ON baselines (expected_at, key) WHERE expected_at IS NOT NULL AND missed_since IS NOT NULL;
