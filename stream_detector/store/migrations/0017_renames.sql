-- compatible from: 0001
-- Workflows that go on under another id. A recorder of an earlier version does not know them: what it stores of a former
-- id keeps that.

CREATE TABLE renames (
    old_id text COLLATE "C" PRIMARY KEY,
    new_id text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    by text NOT NULL,
    action_id text COLLATE "C" NOT NULL
);
COMMENT ON TABLE renames IS 'Where the former id of a workflow leads to, over all later renames; empty new_id: it is one of its own again';
CREATE INDEX renames_by_new_id ON renames (new_id);

CREATE TABLE source_workflows (
    source text COLLATE "C" NOT NULL,
    number text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    newest_at timestamptz NOT NULL,
    PRIMARY KEY (source, number)
);
COMMENT ON TABLE source_workflows IS 'The workflow that a source''s own number stands for, by its newest webhook delivery';
COMMENT ON COLUMN source_workflows.newest_at IS 'The end of that execution: an older delivery that is sent again renames nothing';

-- The event of an anomaly under the id that holds.
CREATE FUNCTION renamed_anomaly(event bytea, new_id text) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT convert_to(jsonb_set(convert_from(event, 'UTF8')::jsonb, '{entity_id}', to_jsonb(new_id))::text, 'UTF8')
$$;
