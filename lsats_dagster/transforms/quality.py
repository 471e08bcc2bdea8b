"""What is wrong in the silver tables, flag by flag, and what became of it within a week. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject

QUALITY = """
select table_name as table, flag, meaning, deduction, present_rows, quality_mean, flagged_rows as rows, flagged_share as share,
    flagged_rows_before as rows_before, counted_at, counted_before_at
from silver.v_quality
where table_name = any(:tables)
order by flagged_rows desc, flag
"""
# The first and the last key by order: the only two that one look at a table gives without sorting it.
EXAMPLES = """
select split_part(f.flag, ':', 1) as flag, min(r.key collate "C") as first, max(r.key collate "C") as last
from (select {key} as key, quality_flags from {table} where is_present) r cross join lateral unnest(r.quality_flags) f (flag)
group by 1
"""


@dataclass(frozen=True)
class FlagQuality:
    """One flag of one table. table: its asset key. deduction: what it takes from the score of a row. rows: present rows that
    carry it, of which share (0 to 1) of all; rows_before: as many a week ago, None where no run is so old. examples: keys.
    """

    table: str
    flag: str
    meaning: str
    deduction: Decimal
    present_rows: int
    quality_mean: Decimal | None
    rows: int
    share: Decimal | None
    rows_before: int | None
    counted_at: datetime
    counted_before_at: datetime | None
    examples: list[str]

    @property
    def change(self) -> int | None:
        return None if self.rows_before is None else self.rows - self.rows_before


def quality(connection: Connection, definitions: Sequence[Definition], *, examples: bool) -> list[FlagQuality]:
    """Every flag of these tables that ran, table by table, the most frequent first; with keys that carry it, if asked."""
    tables = {definition.table: definition for definition in definitions}
    found = connection.execute(text(QUALITY), {"tables": list(tables)}).mappings().all()
    told = []
    for name, definition in tables.items():
        rows = [row for row in found if row["table"] == name]
        keys = _examples(connection, definition) if examples and rows else {}
        about = {"table": subject(definition).label}
        told += [FlagQuality(**{**row, **about}, examples=keys.get(row["flag"], [])) for row in rows]
    return told


def _examples(connection: Connection, definition: Definition) -> dict[str, list[str]]:
    """flag -> one or two keys."""
    statement = EXAMPLES.format(key=definition.key_text, table=definition.name)
    return {row.flag: sorted({row.first, row.last}) for row in connection.execute(text(statement))}
