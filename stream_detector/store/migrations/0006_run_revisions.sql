-- compatible from: 0001
-- A run's summary may be revised by what comes after its end; the newest revision counts.

ALTER TABLE run_summaries ADD COLUMN revision integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN run_summaries.revision IS '1: what was published before the run''s end; larger: with what came later';

ALTER TABLE runs ADD COLUMN revision integer;
COMMENT ON COLUMN runs.revision IS 'Of the summary that the row shows; NULL: none yet';
