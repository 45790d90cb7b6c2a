-- Tells a detector that is behind from one that has nothing to do.
ALTER TABLE recorder_progress ADD COLUMN events_at timestamptz;
COMMENT ON COLUMN recorder_progress.events_at IS 'When an execution or score that was not stored before was stored last';
