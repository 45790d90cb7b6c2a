-- Every table of the store. Ids compare byte by byte (COLLATE "C"): faster, and the same on every server.
-- Keys are the events' own ids, so a second copy of an event, also one with another time, cannot make a second row.

CREATE TABLE stream_epochs (
    epoch integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identity text COLLATE "C" NOT NULL UNIQUE,
    first_seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE stream_epochs IS 'Offsets are comparable within one epoch only: a stream made anew starts at 0 again';

CREATE TABLE executions (
    execution_id text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    finished_at timestamptz NOT NULL,
    duration_s double precision,
    stream_epoch integer NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    backfill boolean NOT NULL,
    record_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL,
    PRIMARY KEY (execution_id, attempt)
);
COMMENT ON COLUMN executions.event IS 'workflow completion v1 as JSON; bytes, so that what is read is what was written';
CREATE INDEX executions_in_stream_order ON executions (workflow_id, stream_epoch, source_partition, source_offset);
CREATE INDEX executions_newest ON executions (workflow_id, finished_at);
CREATE INDEX executions_by_age ON executions (finished_at);

CREATE TABLE scores (
    entity_id text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C",
    score numeric NOT NULL,
    scored_at timestamptz NOT NULL,
    stream_epoch integer NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    backfill boolean NOT NULL,
    record_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL,
    PRIMARY KEY (entity_id, event_id)
);
COMMENT ON COLUMN scores.event_id IS 'run:<run_id>, or at:<scored_at> where the score came without a run';
CREATE INDEX scores_in_stream_order ON scores (entity_id, stream_epoch, source_partition, source_offset);
CREATE INDEX scores_newest ON scores (entity_id, scored_at);
CREATE INDEX scores_by_age ON scores (scored_at);

CREATE TABLE score_runs (
    run_id text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL,
    PRIMARY KEY (run_id, status)
);

CREATE TABLE run_summaries (
    id uuid PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL,
    part integer NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL
);
CREATE INDEX run_summaries_of_run ON run_summaries (run_id, part);

CREATE TABLE runs (
    run_id text COLLATE "C" PRIMARY KEY,
    status text COLLATE "C" NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    duration_s double precision,
    expected bigint,
    scored bigint,
    failures bigint,
    anomaly_count bigint,
    error text,
    newest_at timestamptz NOT NULL
);
COMMENT ON TABLE runs IS 'One row a scoring run, kept up from its events and its summary';
CREATE INDEX runs_newest ON runs (newest_at, run_id);

CREATE TABLE anomalies (
    id uuid PRIMARY KEY,
    incident_id uuid NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('opened', 'ongoing', 'resolved')),
    detected_at timestamptz NOT NULL,
    anomaly_type text COLLATE "C" NOT NULL,
    severity text COLLATE "C" NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    description text NOT NULL,
    entity_kind text COLLATE "C" NOT NULL CHECK (entity_kind IN ('workflow', 'score')),
    entity_id text COLLATE "C" NOT NULL,
    entity_name text NOT NULL,
    execution_id text COLLATE "C",
    attempt integer,
    run_id text COLLATE "C",
    snapshot_space text,
    current_value double precision NOT NULL,
    baseline_value double precision NOT NULL,
    deviation double precision NOT NULL,
    direction text COLLATE "C" NOT NULL,
    threshold double precision,
    detector text COLLATE "C" NOT NULL,
    profile text COLLATE "C" NOT NULL,
    duration_s double precision,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL
);
COMMENT ON COLUMN anomalies.event IS 'anomaly v1 as JSON, every field; the other columns are what queries ask for';
CREATE INDEX anomalies_by_time ON anomalies (detected_at, id);
CREATE INDEX anomalies_by_type ON anomalies (anomaly_type, detected_at, id);
CREATE INDEX anomalies_by_severity ON anomalies (severity, detected_at, id);
CREATE INDEX anomalies_by_state ON anomalies (state, detected_at, id);
CREATE INDEX anomalies_by_entity ON anomalies (entity_id, detected_at, id);
CREATE INDEX anomalies_by_run ON anomalies (run_id, detected_at, id) WHERE run_id IS NOT NULL;
CREATE INDEX anomalies_by_execution ON anomalies (execution_id) WHERE execution_id IS NOT NULL;
CREATE INDEX anomalies_of_incident ON anomalies (incident_id, detected_at, id);
CREATE INDEX anomalies_openings ON anomalies (detected_at) INCLUDE (severity, anomaly_type) WHERE state = 'opened';

CREATE TABLE incidents (
    id uuid PRIMARY KEY,
    state text COLLATE "C" NOT NULL CHECK (state IN ('opened', 'ongoing', 'resolved')),
    severity text COLLATE "C" NOT NULL,
    anomaly_type text COLLATE "C" NOT NULL,
    detector text COLLATE "C" NOT NULL,
    profile text COLLATE "C" NOT NULL,
    entity_kind text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    entity_name text NOT NULL,
    run_id text COLLATE "C",
    description text NOT NULL,
    records integer NOT NULL,
    opened_at timestamptz NOT NULL,
    newest_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolved_by text,
    duration_s double precision,
    acknowledged_at timestamptz,
    acknowledged_by text,
    verdict text COLLATE "C",
    verdict_at timestamptz,
    verdict_by text
);
COMMENT ON COLUMN incidents.severity IS 'the worst of its records';
COMMENT ON COLUMN incidents.verdict IS 'expected or not_an_anomaly, as the newest action says';
CREATE INDEX incidents_by_time ON incidents (opened_at, id);
CREATE INDEX incidents_by_entity ON incidents (entity_id, opened_at, id);
CREATE INDEX incidents_not_over ON incidents (opened_at, id) WHERE state <> 'resolved';

CREATE TABLE baselines (
    key text COLLATE "C" PRIMARY KEY,
    entity_kind text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    named jsonb NOT NULL,
    packed bytea NOT NULL,
    stream_epoch integer NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    record_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE baselines IS 'The newest value of each state key, from the detector''s changelog';
CREATE INDEX baselines_by_kind ON baselines (entity_kind, entity_id);

CREATE TABLE notifications (
    id text COLLATE "C" PRIMARY KEY,
    channel text NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    severity text COLLATE "C",
    incident_id text COLLATE "C",
    anomaly_id text COLLATE "C",
    run_id text COLLATE "C",
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL
);
COMMENT ON TABLE notifications IS 'Every outcome on every channel; a delivered one of channel inbox is an inbox message';
CREATE INDEX notifications_inbox ON notifications (at, id) WHERE channel = 'inbox' AND outcome = 'delivered';
CREATE INDEX notifications_by_time ON notifications (at, id);
CREATE INDEX notifications_of_anomaly ON notifications (anomaly_id, at) WHERE anomaly_id IS NOT NULL;
CREATE INDEX notifications_of_incident ON notifications (incident_id, at) WHERE incident_id IS NOT NULL;
CREATE INDEX notifications_of_run ON notifications (run_id, at) WHERE run_id IS NOT NULL;

CREATE TABLE inbox_marks (
    notification_id text COLLATE "C" NOT NULL,
    reader text NOT NULL,
    read_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (notification_id, reader)
);

CREATE TABLE actions (
    action_id text COLLATE "C" PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    entity text COLLATE "C" NOT NULL,
    incident_id text COLLATE "C",
    by text NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL
);
CREATE INDEX actions_of_incident ON actions (incident_id, at) WHERE incident_id IS NOT NULL;
CREATE INDEX actions_of_entity ON actions (entity, at);

CREATE TABLE silences (
    id text COLLATE "C" PRIMARY KEY,
    entity text COLLATE "C" NOT NULL,
    incident_id text COLLATE "C",
    matchers jsonb NOT NULL,
    until timestamptz,
    by text NOT NULL,
    at timestamptz NOT NULL,
    comment text
);
COMMENT ON TABLE silences IS 'Actions of kind silence; until NULL is one without an end';
CREATE INDEX silences_by_end ON silences (until);

CREATE TABLE tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'operator', 'producer')),
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    used_at timestamptz
);
CREATE TABLE sessions (
    id_hash bytea PRIMARY KEY,
    name text NOT NULL,
    role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'operator', 'producer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE dead_letters (
    stream_epoch integer NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    original_topic text COLLATE "C" NOT NULL,
    original_partition integer NOT NULL,
    original_offset bigint NOT NULL,
    original_at timestamptz,
    stage text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    message text NOT NULL,
    value_bytes integer,
    record_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_epoch, source_partition, source_offset)
);
COMMENT ON TABLE dead_letters IS 'Where each lies on the topic dead-letters, and why; never the payload, which may hold secrets';
CREATE INDEX dead_letters_by_time ON dead_letters (record_at);

CREATE TABLE trimmed (
    entity text COLLATE "C" PRIMARY KEY,
    until timestamptz NOT NULL
);
COMMENT ON TABLE trimmed IS 'Entities whose older history retention has deleted, and up to when';

CREATE TABLE recorder_progress (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    recorded_at timestamptz NOT NULL,
    newest_event_at timestamptz
);
COMMENT ON TABLE recorder_progress IS 'One row: when the recorder last stored something, and the newest event time; moved at most once a second';
