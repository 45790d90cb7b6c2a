-- compatible from: 0001
-- A token may belong to one workflow: it is then a ping key and opens nothing else. Its hash is made in another way, so
-- that an earlier API, which does not know the column, finds no token for it.

ALTER TABLE tokens ADD COLUMN workflow_id text COLLATE "C";
COMMENT ON COLUMN tokens.workflow_id IS 'The workflow whose runs a ping key reports; NULL: a token for the API';

CREATE TABLE ping_starts (
    token_id uuid PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    execution_id text NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    last_end_at timestamptz,
    status text COLLATE "C"
);
COMMENT ON TABLE ping_starts IS 'The newest run of each ping key: its start, and its end once that has come';
COMMENT ON COLUMN ping_starts.started_at IS 'By the clock of this database, like the ends; NULL: no start has come';
