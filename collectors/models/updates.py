"""Writing fields of many rows at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import connection, models


def update_each(rows: Sequence[models.Model], fields: Collection[str]) -> None:
    """Write these fields of rows of one model that exist already, inside the caller's transaction.

    One prepared statement for all of them: Django's bulk_update builds one expression a field and row, 1 ms a row, and
    an outage of a large cluster changes thousands of rows in one cycle. No signals, no auto_now; of a relation, its
    key must be known.
    """
    if not rows:
        return
    columns = [column for column in rows[0]._meta.concrete_fields if column.name in fields]
    quote = connection.ops.quote_name
    assigned = ", ".join(f"{quote(str(column.column))} = %s" for column in columns)
    statement = f"UPDATE {quote(rows[0]._meta.db_table)} SET {assigned} WHERE id = %s"
    values = [
        [*(column.get_db_prep_save(getattr(row, column.attname), connection) for column in columns), row.pk]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)
