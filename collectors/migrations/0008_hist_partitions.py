"""On PostgreSQL, blocks and rollups become partitioned tables, so that retention drops partitions instead of rows.

Blocks by ranges of spans (which grow with time), rollups by resolution and ranges of start; what no partition is for
lies in the one named "rest". Rows are moved. SQLite has no partitions: nothing happens there.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import migrations

# what collectors.history.partitions goes on with; written out, since a migration stays what it was
WIDTHS = {60: 86_400, 600: 7 * 86_400, 3600: 92 * 86_400}
BEFORE = {60: 86_400, 600: 86_400, 3600: 31 * 86_400}
SPANS = 96

BLOCK = """
ALTER TABLE collectors_block RENAME TO collectors_block_plain;
ALTER TABLE collectors_block_plain DROP CONSTRAINT one_block_per_owner;
ALTER TABLE collectors_block_plain DROP CONSTRAINT collectors_block_pkey;
CREATE SEQUENCE collectors_block_number_seq AS bigint;
CREATE TABLE collectors_block (
    id bigint NOT NULL DEFAULT nextval('collectors_block_number_seq'),
    span_id bigint NOT NULL REFERENCES collectors_span (id) DEFERRABLE INITIALLY DEFERRED,
    owner_key bigint NOT NULL,
    part integer NOT NULL,
    owner text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (id, span_id),
    CONSTRAINT one_block_per_owner UNIQUE (span_id, owner_key, part)
) PARTITION BY RANGE (span_id);
ALTER SEQUENCE collectors_block_number_seq OWNED BY collectors_block.id;
CREATE TABLE collectors_block_rest PARTITION OF collectors_block DEFAULT;
"""
ROLLUP = """
ALTER TABLE collectors_rollup RENAME TO collectors_rollup_plain;
ALTER TABLE collectors_rollup_plain DROP CONSTRAINT one_rollup_per_owner;
ALTER TABLE collectors_rollup_plain DROP CONSTRAINT collectors_rollup_pkey;
DROP INDEX rollup_by_start;
CREATE SEQUENCE collectors_rollup_number_seq AS bigint;
CREATE TABLE collectors_rollup (
    id bigint NOT NULL DEFAULT nextval('collectors_rollup_number_seq'),
    family varchar(8) NOT NULL,
    owner_key bigint NOT NULL,
    resolution integer NOT NULL,
    start bigint NOT NULL,
    owner text NOT NULL,
    body bytea NOT NULL,
    cluster_id bigint NOT NULL REFERENCES collectors_cluster (id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (id, resolution, start),
    CONSTRAINT one_rollup_per_owner UNIQUE (cluster_id, family, owner_key, resolution, start)
) PARTITION BY RANGE (resolution, start);
ALTER SEQUENCE collectors_rollup_number_seq OWNED BY collectors_rollup.id;
CREATE INDEX rollup_by_start ON collectors_rollup (cluster_id, resolution, start);
CREATE TABLE collectors_rollup_rest PARTITION OF collectors_rollup DEFAULT;
"""
COLUMNS = {
    "block": "id, span_id, owner_key, part, owner, body",
    "rollup": "id, family, owner_key, resolution, start, owner, body, cluster_id",
}


def partition(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass('collectors_block')")
        if cursor.fetchone() == ("p",):
            return  # was done, taken back in the list of migrations only
        # a table with checks that wait for the end of the transaction cannot be changed
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(BLOCK)
        cursor.execute("SELECT coalesce(min(span_id), 1), coalesce(max(span_id), 0) FROM collectors_block_plain")
        first, last = cursor.fetchone()
        first -= (first - 1) % SPANS
        while first <= last + SPANS:
            made = f"collectors_block_from_{first}_to_{first + SPANS}"
            bounds = f"FROM ({first}) TO ({first + SPANS})"
            cursor.execute(f"CREATE TABLE {made} PARTITION OF collectors_block FOR VALUES {bounds}")
            first += SPANS
        cursor.execute(ROLLUP)
        for resolution, width in WIDTHS.items():
            cursor.execute("SELECT min(start) FROM collectors_rollup_plain WHERE resolution = %s", [resolution])
            (oldest,) = cursor.fetchone()
            now = int(time.time())
            start = now - BEFORE[resolution] if oldest is None else max(oldest, now - 60 * width)
            start -= start % width
            while start <= now + width:
                made = f"collectors_rollup_{resolution}_from_{start}_to_{start + width}"
                bounds = f"FROM ({resolution}, {start}) TO ({resolution}, {start + width})"
                cursor.execute(f"CREATE TABLE {made} PARTITION OF collectors_rollup FOR VALUES {bounds}")
                start += width
        for name, columns in COLUMNS.items():
            plain, table = f"collectors_{name}_plain", f"collectors_{name}"
            cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {plain}")
            cursor.execute(
                f"SELECT setval('{table}_number_seq', coalesce((SELECT max(id) FROM {plain}), 0) + 1, false)"
            )
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"DROP TABLE {plain}")


class Migration(migrations.Migration):
    dependencies = [("collectors", "0007_pages_config_refused")]

    operations = [migrations.RunPython(partition, migrations.RunPython.noop)]
