-- Browser sessions by one-time link, and the API's own questions at a million rows.

CREATE TABLE sign_in_links (
    code_hash bytea PRIMARY KEY,
    name text NOT NULL,
    role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'operator', 'producer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE sign_in_links IS 'Each opens one browser session and is gone then; the code itself is stored nowhere';
CREATE INDEX sign_in_links_by_end ON sign_in_links (expires_at);

CREATE INDEX incidents_by_severity ON incidents (severity, opened_at, id);
CREATE INDEX incidents_by_type ON incidents (anomaly_type, opened_at, id);
CREATE INDEX incidents_unattended ON incidents (opened_at, id) WHERE state <> 'resolved' AND acknowledged_at IS NULL;
CREATE INDEX anomalies_lanes ON anomalies (detected_at) INCLUDE (entity_kind, entity_id, severity)
    WHERE state = 'opened';
CREATE INDEX actions_by_time ON actions (at, action_id);
CREATE INDEX silences_by_time ON silences (at, id);

ALTER TABLE recorder_progress ADD COLUMN baselines_at timestamptz;
COMMENT ON COLUMN recorder_progress.baselines_at IS 'When the detector''s changelog last brought something';
