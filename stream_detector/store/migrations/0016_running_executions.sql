-- compatible from: 0001
-- Executions that have started and not ended, and what the start of an ended one told. An earlier recorder stores the
-- ends without removing a row here: who reads leaves out what has ended, and retention deletes it.

ALTER TABLE executions ADD COLUMN started_at timestamptz;
ALTER TABLE executions ADD COLUMN queued_at timestamptz;
COMMENT ON COLUMN executions.started_at IS 'Of the start event of the execution; NULL: none has come. The completion itself may have another one';
COMMENT ON COLUMN executions.queued_at IS 'Since when it waited to be started, of its start event';

CREATE TABLE running_executions (
    execution_id text COLLATE "C" PRIMARY KEY,
    attempt integer NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    variant text COLLATE "C",
    started_at timestamptz NOT NULL,
    queued_at timestamptz,
    stream_epoch integer NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    record_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL
);
COMMENT ON TABLE running_executions IS 'The newest start of each execution whose end has not come';
COMMENT ON COLUMN running_executions.event IS 'workflow start v1 as JSON';
CREATE INDEX running_executions_by_start ON running_executions (started_at, execution_id);
CREATE INDEX running_executions_of_workflow ON running_executions (workflow_id);
