#!/usr/bin/env bash
# Puts a backup from the folder $BACKUPS into the database $PGDATABASE, in place of what is there: all of it, or nothing.
# $BACKUP is a file's name, or `newest`, as when it is not set. Scale the MLflow server to 0 first.
set -euo pipefail
BACKUP=${BACKUP:-newest}

file="$BACKUPS/$BACKUP"
if [[ $BACKUP == newest ]]; then
    file=$(find "$BACKUPS" -maxdepth 1 -name 'mlflow-*.dump' | sort | tail -n 1)
fi
if [[ ! -f $file ]]; then
    echo "error: no backup $BACKUP in $BACKUPS; there are:" >&2
    find "$BACKUPS" -maxdepth 1 -name 'mlflow-*.dump' -printf '  %f\n' | sort >&2
    exit 2
fi

# Read to its end first: psql would take the sudden end of a broken file for the end of its work.
pg_restore --file=/dev/null "$file"

# The schema as a whole: tables that a newer MLflow has added are not in the backup, and would stay.
{
    echo 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;'
    pg_restore --no-owner --no-privileges --file=- "$file"
} | psql --no-psqlrc --quiet --single-transaction --set=ON_ERROR_STOP=1 --output=/dev/null
echo "restored $(basename "$file")"
