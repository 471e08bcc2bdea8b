"""Proof that incremental and full refreshes give the same table, on the data that is there. Writes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection

from lsats_dagster.database import Database
from lsats_dagster.runs import Run, sole_writer
from lsats_dagster.transforms.definition import OUTSIDE_COMPARISON, Definition
from lsats_dagster.transforms.engine import apply, compute, subject
from lsats_dagster.transforms.kept import kept


@dataclass(frozen=True)
class Verdict:
    """How one table compares with its full computation: numbers of rows. lost: rows of inputs that no computed row holds."""

    table: str
    rows: int
    differing: int
    missing: int
    lingering: int
    lost: int

    @property
    def equal(self) -> bool:
        return not (self.differing or self.missing or self.lingering or self.lost)


def verify(database: Database, definitions: Sequence[Definition], *, lock_wait_seconds: float) -> Iterator[Verdict]:
    """Bring each table up to date incrementally, compare it with its full computation, and roll that back.

    Table by table, as verdicts are asked for: its inputs are taken as they stand, and only its own writers wait meanwhile.
    """
    for definition in definitions:
        with (
            sole_writer(database, subject(definition), wait_seconds=lock_wait_seconds) as connection,
            connection.begin() as transaction,
        ):
            connection.exec_driver_sql("set transaction isolation level repeatable read")
            apply(connection, definition, Run(subject(definition), "incremental", run_id=uuid4()), full=False)
            verdict = compare_with_full(connection, definition)
            transaction.rollback()
        yield verdict


def compare_with_full(connection: Connection, definition: Definition) -> Verdict:
    """Compare the stored table with its full computation, inside the caller's transaction.

    Equal means: for every key the definition gives, all columns but those of OUTSIDE_COMPARISON are equal; a key it does
    not give stands with is_present = false.
    """
    compute(connection, definition, None, into="expected")
    names = [column.name for column in definition.columns if column.name not in OUTSIDE_COMPARISON]
    key = ", ".join(definition.key)
    row = connection.exec_driver_sql(
        f"select count(*) as rows, "
        f"count(*) filter (where e.{definition.key[0]} is not null and t.{definition.key[0]} is null) as missing, "
        f"count(*) filter (where e.{definition.key[0]} is null and t.is_present) as lingering, "
        f"count(*) filter (where e.{definition.key[0]} is not null and t.{definition.key[0]} is not null "
        f"and row({', '.join(f'e.{n}' for n in names)}) is distinct from row({', '.join(f't.{n}' for n in names)})) as differing "
        f"from expected e full join {definition.name} t using ({key})"
    ).one()
    lost = sum(found.lost for found in kept(connection, definition, "expected"))
    connection.exec_driver_sql("drop table expected")
    return Verdict(definition.name, row.rows, row.differing, row.missing, row.lingering, lost)
