-- compatible from: 0001
-- A record may hold several events: each has the record's offset and its index within it. An earlier recorder refuses
-- such records, so what it stores has the index 0.

ALTER TABLE executions ADD COLUMN source_index integer NOT NULL DEFAULT 0;
ALTER TABLE scores ADD COLUMN source_index integer NOT NULL DEFAULT 0;
ALTER TABLE score_runs ADD COLUMN source_index integer NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN original_index integer;
COMMENT ON COLUMN executions.source_index IS 'Which event of its record it is, counted from 0';
COMMENT ON COLUMN dead_letters.original_index IS 'Which event of its record was refused, counted from 0; NULL: the record';
