"""The silver engine: runs a definition for all keys or for the affected ones, and writes only what differs.

One definition, two scopes: the SELECT says what the whole table is; its one parameter `keys` restricts it. Both scopes must
give the same table for every history, which `verify` and the table suite prove.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.database import WHOLE_TABLES, Database
from lsats_dagster.runs import (
    Check,
    Mode,
    Origin,
    Run,
    Subject,
    close_run,
    fail_run,
    last_metadata,
    open_run,
    renew_statistics,
    sole_writer,
    summary,
    volume_check,
)
from lsats_dagster.transforms.definition import Definition, DefinitionError

logger = logging.getLogger(__name__)

SOURCE_SYSTEM = "silver_transformation"
# Beyond this share of the table the whole SELECT is cheaper than the restricted one; small tables are not worth a guess.
FULL_FROM_SHARE = 0.05
FULL_FROM_KEYS = 5_000
QUALITY_THRESHOLD = 0.70
DANGLING_SHARE = 0.02
# Affected keys are looked up, whole tables are not.
PLAN_OF: Mapping[Mode, str] = {"full": WHOLE_TABLES, "incremental": "set local work_mem = '64MB'"}


class OutdatedTableError(Exception):
    """The table was made from another definition than this checkout's; `lsats db upgrade` brings them together."""


@dataclass
class Scope:
    """What a refresh computes: `keys` None is everything. `watermarks`: cursor per input, as far as this refresh reads."""

    mode: Mode
    keys: list[str] | None
    watermarks: dict[str, int]
    as_of: datetime | None
    previous: dict[str, Any] = field(default_factory=dict)

    @property
    def quiet(self) -> bool:
        return self.keys == []


def subject(definition: Definition) -> Subject:
    """How runs of this table are recorded."""
    return Subject(SOURCE_SYSTEM, definition.table)


def refresh(
    database: Database,
    definition: Definition,
    *,
    origin: Origin,
    full: bool = False,
    dry_run: bool = False,
    lock_wait_seconds: float,
) -> Run:
    """Bring one table up to date with its inputs and return the closed run.

    Incremental unless `full`, the definition changed, or more keys are affected than pays. Raises OutdatedTableError,
    DefinitionError, LockTimeoutError, DatabaseError; the table is then as it was.
    """
    logger.info("🔄 %s: refreshing", definition.name)
    with sole_writer(database, subject(definition), lock_wait_seconds) as connection:
        metadata: dict[str, Any] = {"definition": definition.hash}
        run = (
            Run(subject(definition), "full", metadata=metadata)
            if dry_run
            else open_run(connection, subject(definition), "full", origin, metadata)
        )
        try:
            with connection.begin():
                connection.exec_driver_sql("set transaction isolation level repeatable read")
                apply(connection, definition, run, full=full)
                if run.dry:
                    connection.get_transaction().rollback()  # type: ignore[union-attr]
                else:
                    close_run(connection, run)
        except BaseException as error:
            if not run.dry:
                fail_run(database, connection, run, error)
            logger.error("❌ %s: failed", definition.name)
            raise
        if not run.dry:
            renew_statistics(connection, run, {definition.name: definition.sought_by})
    logger.info("%s\n🎉 Completed", summary(run))
    return run


def apply(connection: Connection, definition: Definition, run: Run, *, full: bool) -> Scope:
    """One refresh inside the caller's transaction: decide the scope, compute, compare, write unless the run is dry."""
    check_deployed(connection, definition)
    scope = decide_scope(connection, definition, full=full)
    run.mode = scope.mode
    run.metadata["watermarks"] = scope.watermarks
    run.metadata["as_of"] = scope.as_of.isoformat() if scope.as_of else None
    if scope.quiet:
        run.row_count, run.quality_mean = scope.previous.get("row_count"), scope.previous.get("quality_mean")
        run.metadata["flags"] = scope.previous.get("flags", {})
    else:
        connection.exec_driver_sql(PLAN_OF[scope.mode])
        compute(connection, definition, scope.keys)
        count(connection, definition, run, scope)
        if not run.dry:
            write(connection, definition, run, scope)
        run.row_count, run.quality_mean = measure(connection, definition)
        run.metadata["flags"] = flag_counts(connection, definition)
    run.metadata["quality_mean"] = run.quality_mean
    run.metadata["affected"] = None if scope.keys is None else len(scope.keys)
    run.watermark = int(
        connection.exec_driver_sql(f"select coalesce(max(changed_seq), 0) from {definition.name}").scalar_one()
    )
    run.checks += checks(definition, run, scope)
    return scope


def check_deployed(connection: Connection, definition: Definition) -> None:
    """OutdatedTableError unless the table was made from exactly this definition."""
    deployed = connection.execute(
        text("select definition_hash from meta.silver_definitions where table_name = :table"),
        {"table": definition.table},
    ).scalar_one_or_none()
    if deployed != definition.hash:
        what = "has not been made yet" if deployed is None else "was made from another definition than this checkout's"
        raise OutdatedTableError(f"{definition.name} {what}: run `lsats db upgrade`")


def input_position(connection: Connection, name: str) -> tuple[int, datetime | None]:
    """(cursor, newest moment of bronze) of one input as this transaction sees it."""
    schema, table = name.split(".")
    if schema == "silver":
        seq = connection.exec_driver_sql(f"select coalesce(max(changed_seq), 0) from {name}").scalar_one()
        as_of = last_metadata(connection, Subject(SOURCE_SYSTEM, table)).get("as_of")
        return int(seq), datetime.fromisoformat(as_of) if as_of else None
    if schema == "curated":
        # People change these rarely and in whole; their content is the cursor.
        seq = connection.exec_driver_sql(
            f"select coalesce(sum(hashtext(c::text)::bigint), 0) from {name} c"
        ).scalar_one()
        return int(seq), None
    row = connection.exec_driver_sql(
        f"select seq, changed_at from {name} where seq > 0 order by seq desc limit 1"
    ).one_or_none()
    return (int(row.seq), row.changed_at) if row else (0, None)


def decide_scope(connection: Connection, definition: Definition, *, full: bool) -> Scope:
    """The keys that changed inputs reach since the last completed refresh, or everything."""
    positions = {name: input_position(connection, name) for name in definition.inputs}
    watermarks = {name: seq for name, (seq, _) in positions.items()}
    as_of = max((moment for _, moment in positions.values() if moment), default=None)
    previous = last_metadata(connection, subject(definition))
    since: dict[str, int] = previous.get("watermarks", {})
    everything = Scope("full", None, watermarks, as_of, previous)
    if full or previous.get("definition") != definition.hash or since.keys() != watermarks.keys():
        return everything
    reached: set[str] = set()
    for name, reach in definition.reaches.items():
        if watermarks[name] != since[name]:
            found = connection.execute(text(reach), {"since": since[name]}).scalars()
            reached |= {key for key in found if key is not None}
    if len(reached) > max(FULL_FROM_KEYS, FULL_FROM_SHARE * (previous.get("row_count") or 0)):
        return everything
    return Scope("incremental", sorted(reached), watermarks, as_of, previous)


def score(definition: Definition) -> str:
    """The SQL expression of the quality score: 1 minus the deductions of the flags, at least 0."""
    cases = " ".join(f"when '{flag}' then {deduction}" for flag, (deduction, _) in definition.deductions.items())
    if not cases:
        return "1.00"
    return (
        "case when cardinality(d.quality_flags) = 0 then 1.00 else greatest(0, 1 - (select sum(case split_part(f, ':', 1) "
        f"{cases} end) from unnest(d.quality_flags) f)) end"
    )


def compute(connection: Connection, definition: Definition, keys: list[str] | None, into: str = "refreshed") -> None:
    """Run the definition for `keys` into the temporary table `into`, with score and hash; check keys and flags."""
    connection.exec_driver_sql(f"drop table if exists pg_temp.{into}")
    types = {column.name: column.type for column in definition.columns}
    content = ", ".join(f"d.{name}" for name in definition.hashed)
    # CREATE TABLE AS may use parallel workers, INSERT may not. OFFSET 0 keeps the planner from writing each column's
    # expression wherever the column is used: in the table, in the hash, in the score.
    connection.execute(
        text(
            f"create temporary table {into} on commit drop as "
            f"select {', '.join(f'cast(d.{name} as {types[name]}) as {name}' for name in definition.selected)}, "
            f"cast({score(definition)} as {types['data_quality_score']}) as data_quality_score, "
            f"encode(sha256(convert_to('{definition.shape}' || row({content})::text, 'UTF8')), 'hex') as entity_hash "
            f"from (select * from ({definition.statement}) s offset 0) d"
        ),
        {"keys": keys},
    )
    # Nothing but the key is joined on; statistics of every column cost as much as the comparison.
    connection.exec_driver_sql(f"analyze {into} ({', '.join(definition.key)})")
    key = ", ".join(definition.key)
    repeated = connection.exec_driver_sql(
        f"select count(*) from (select from {into} group by {key} having count(*) > 1) repeated"
    ).scalar_one()
    if repeated:
        raise DefinitionError(f"{definition.name}: {repeated} keys stand more than once in what the definition gives")
    unknown = connection.execute(
        text(
            f"select distinct split_part(f, ':', 1) from {into}, unnest(quality_flags) f "
            "where split_part(f, ':', 1) <> all(:known) order by 1"
        ),
        {"known": list(definition.deductions)},
    ).scalars()
    if names := ", ".join(unknown):
        raise DefinitionError(f"{definition.name}: no deduction is written for the flags {names} (flag_deductions.csv)")


def count(connection: Connection, definition: Definition, run: Run, scope: Scope) -> None:
    """Count what the refresh would write, and compare nothing twice: rows to write are marked by these same conditions."""
    row = connection.execute(
        text(
            f"select count(*) as processed, count(*) filter (where t.changed_seq is null) as created, "
            f"count(*) filter (where t.changed_seq is not null and {differs(definition)}) as written, "
            f"count(*) filter (where t.is_present and not r.is_present) as removed "
            f"from refreshed r left join {definition.name} t using ({', '.join(definition.key)})"
        )
    ).one()
    unyielded = connection.execute(
        text(f"select count(*) from {definition.name} t where {absent(definition)}"),
        {"keys": scope.keys},
    ).scalar_one()
    run.counts.processed = row.processed + unyielded
    run.counts.created = row.created
    run.counts.removed = row.removed + unyielded
    run.counts.updated = row.written - row.removed
    run.counts.skipped = row.processed - row.created - row.written


def differs(definition: Definition) -> str:
    """SQL condition: the stored row `t` is not the computed row `r`."""
    left = ", ".join(f"t.{name}" for name in definition.compared)
    right = ", ".join(f"r.{name}" for name in definition.compared)
    return f"row({left}) is distinct from row({right})"


def absent(definition: Definition) -> str:
    """SQL condition: the stored row `t` is in scope, counts as present, and the definition no longer gives its key."""
    same_key = " and ".join(f"r.{name} = t.{name}" for name in definition.key)
    in_scope = f"(cast(:keys as text[]) is null or t.{definition.scope}::text = any(cast(:keys as text[])))"
    return f"t.is_present and {in_scope} and not exists (select from refreshed r where {same_key})"


def write(connection: Connection, definition: Definition, run: Run, scope: Scope) -> None:
    """Write the differences: changed rows, new rows, and rows whose key the definition no longer gives."""
    counts = run.counts
    if not counts.created + counts.updated + counts.removed:
        return
    seq = connection.exec_driver_sql("select nextval('meta.changed_seq')").scalar_one()
    values = {"seq": seq, "run_id": run.run_id, "keys": scope.keys, "as_of": scope.as_of}
    given = [column.name for column in definition.columns if column.name not in ("updated_at", "changed_seq", "run_id")]
    same_key = " and ".join(f"t.{name} = r.{name}" for name in definition.key)
    updated = connection.execute(
        text(
            f"update {definition.name} t set "
            + ", ".join(f"{name} = r.{name}" for name in given if name not in definition.key)
            + ", updated_at = case when t.entity_hash <> r.entity_hash or t.is_present <> r.is_present then now() "
            + "else t.updated_at end, changed_seq = :seq, run_id = :run_id "
            + f"from refreshed r where {same_key} and {differs(definition)}"
        ),
        values,
    ).rowcount
    created = connection.execute(
        text(
            f"insert into {definition.name} ({', '.join(given)}, updated_at, changed_seq, run_id) "
            f"select {', '.join(f'r.{name}' for name in given)}, now(), :seq, :run_id from refreshed r "
            f"where not exists (select from {definition.name} t where {same_key})"
        ),
        values,
    ).rowcount
    lost = connection.execute(
        text(
            f"update {definition.name} t set is_present = false, removed_at = :as_of, updated_at = now(), "
            f"changed_seq = :seq, run_id = :run_id where {absent(definition)}"
        ),
        values,
    ).rowcount
    if (created, updated + lost) != (counts.created, counts.updated + counts.removed):
        raise DefinitionError(f"{definition.name}: rows written are not the rows counted")


def measure(connection: Connection, definition: Definition) -> tuple[int, float | None]:
    """Number of present rows, and their mean quality score."""
    rows, mean = connection.exec_driver_sql(
        f"select count(*), avg(data_quality_score) from {definition.name} where is_present"
    ).one()
    return int(rows), None if mean is None else round(float(mean), 4)


def flag_counts(connection: Connection, definition: Definition) -> dict[str, int]:
    """How many present rows carry each flag, details after the colon aside."""
    rows = connection.exec_driver_sql(
        f"select split_part(f, ':', 1), count(*) from {definition.name}, unnest(quality_flags) f "
        "where is_present group by 1 order by 1"
    )
    return dict(map(tuple, rows))


def checks(definition: Definition, run: Run, scope: Scope) -> list[Check]:
    """What a refresh says of its table: dangling references, quality by flags, volume.

    Doubled keys and flags without a deduction do not get this far: they fail the refresh.
    """
    rows, mean, flags = run.row_count or 0, run.quality_mean, run.metadata["flags"]
    dangling = sum(flags.get(flag, 0) for flag in definition.dangling)
    return [
        Check(
            "integrity",
            dangling <= DANGLING_SHARE * rows,
            f"keys are unique, every flag has its deduction, at most {DANGLING_SHARE:.0%} of references lead nowhere",
            {"rows": rows, "dangling": dangling},
            severe=True,
        ),
        Check(
            "quality",
            mean is None or mean >= QUALITY_THRESHOLD,
            f"mean quality score of present rows, at least {QUALITY_THRESHOLD}",
            {"mean": mean or 0.0} | {f"rows with {flag}": number for flag, number in flags.items()},
        ),
        volume_check(run, scope.previous),
    ]
