-- compatible from: 0001
-- A browser session knows what opened it, and ends with the token. A former API leaves that empty.

ALTER TABLE sessions
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN opened_by text COLLATE "C",
    ADD COLUMN token_id uuid,
    ADD COLUMN setting_hash bytea;
CREATE UNIQUE INDEX sessions_by_id ON sessions (id);
CREATE INDEX sessions_of_token ON sessions (token_id) WHERE token_id IS NOT NULL;
COMMENT ON COLUMN sessions.opened_by IS 'token, setting, link or local; NULL: not known, opened by a former version';
COMMENT ON COLUMN sessions.setting_hash IS 'scrypt of API_TOKEN, of a session that was opened with it';
