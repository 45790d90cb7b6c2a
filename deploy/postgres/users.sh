#!/bin/sh
# The users of the database, each with its own password, instead of the superuser: run as the superuser, before `setup`.
# Idempotent. Tables of an installation that had one user for everything become the migrator's.
#
# Reads libpq's variables (PGHOST, PGUSER, PGPASSWORD, PGDATABASE) and MIGRATOR_PASSWORD, RECORDER_PASSWORD, API_PASSWORD.
# What recorder and api may do with the tables is granted by `stream-detector setup --grant recorder --grant api`.
set -eu
exec psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --output=/dev/null <<'SQL'
\getenv migrator MIGRATOR_PASSWORD
\getenv recorder RECORDER_PASSWORD
\getenv api API_PASSWORD
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['migrator', 'recorder', 'api']) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE migrator LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'migrator';
ALTER ROLE recorder LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'recorder';
ALTER ROLE api LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'api';
GRANT USAGE, CREATE ON SCHEMA public TO migrator;
SELECT format('ALTER TABLE public.%I OWNER TO migrator', c.relname)
FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND r.rolname <> 'migrator'
\gexec
SQL
