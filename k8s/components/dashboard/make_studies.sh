#!/usr/bin/env bash
# Makes the role and the database of the studies, or gives the role $STUDIES_PASSWORD anew. libpq's variables name MLflow's own user.
set -euo pipefail

query() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }

if [[ $(query --command='SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user') != t ]]; then
    echo "$PGUSER may not make roles: the role and the database studies have to be there already"
    exit 0
fi
query <<'SQL'
\getenv password STUDIES_PASSWORD
SELECT 'CREATE ROLE studies LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'studies') \gexec
ALTER ROLE studies PASSWORD :'password';
SELECT 'CREATE DATABASE studies OWNER studies' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'studies') \gexec
-- each user stays in its own database
REVOKE CONNECT ON DATABASE studies FROM PUBLIC;
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SQL
echo "the database studies is there"
