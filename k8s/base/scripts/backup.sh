#!/usr/bin/env bash
# Saves the database $PGDATABASE into the folder $BACKUPS, and keeps the newest $BACKUPS_KEPT files.
# libpq's variables say where it is: PGHOST, PGUSER, PGPASSWORD …
set -euo pipefail
umask 077

name="mlflow-$(date -u +%Y%m%dT%H%M%SZ).dump"
trap 'rm -f "$BACKUPS/$name.part"' EXIT

pg_dump --format=custom --file="$BACKUPS/$name.part"
# What cannot be read to its end, or has no runs, is no backup.
pg_restore --file=/dev/null "$BACKUPS/$name.part"
pg_restore --list "$BACKUPS/$name.part" | grep ' TABLE DATA public runs ' >/dev/null
mv "$BACKUPS/$name.part" "$BACKUPS/$name"

# Names sort by time. Old ones may go only now that a new one is complete.
find "$BACKUPS" -maxdepth 1 -name 'mlflow-*.dump' | sort -r | tail -n +"$((BACKUPS_KEPT + 1))" | xargs -r rm -f
echo "saved $name: $(stat -c %s "$BACKUPS/$name") bytes; there are $(find "$BACKUPS" -maxdepth 1 -name 'mlflow-*.dump' | wc -l)"
