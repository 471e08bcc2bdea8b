"""The silver engine: runs a definition for all keys or for the affected ones, and writes only what differs.

One definition, two scopes: the SELECT says what the whole table is; its one parameter `keys` restricts it. Both scopes must
give the same table for every history, which `verify` and the table suite prove.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.database import FEW_KEYS, WHOLE_TABLES, Database, copy_rows
from lsats_dagster.runs import Mode, Origin, Run, Subject, last_metadata, running
from lsats_dagster.transforms.checks import checks, count_retained, measure
from lsats_dagster.transforms.definition import Definition, DefinitionError, is_stream
from lsats_dagster.transforms.kept import kept
from lsats_dagster.transforms.reach import class_members, reach_query, reached_keys
from lsats_dagster.transforms.steps import STEPS, Step

logger = logging.getLogger(__name__)

SOURCE_SYSTEM = "silver_transformation"
# Beyond this share of the table the whole SELECT is cheaper than the restricted one; so few keys never are.
FULL_FROM_SHARE = 0.05
FULL_FROM_KEYS = 500
PLAN_OF: Mapping[Mode, str] = {"full": WHOLE_TABLES, "incremental": FEW_KEYS}


class OutdatedTableError(Exception):
    """The table was made from another definition than this checkout's, or an input stands empty since its own was changed.

    The message says which command brings them together.
    """


@dataclass
class Scope:
    """What a refresh computes: `keys` None is everything. `watermarks`: cursor per input, as far as this refresh reads.

    own_watermark: the cursor of the table. previous: metadata of the last completed refresh. as_of: newest moment of bronze in
    the inputs, where something is computed.
    """

    mode: Mode
    keys: list[str] | None
    watermarks: dict[str, int]
    own_watermark: int
    previous: dict[str, Any] = field(default_factory=dict)
    as_of: datetime | None = None

    @property
    def quiet(self) -> bool:
        return self.keys == []

    @property
    def limit(self) -> int:
        """The most keys for which the restricted SELECT pays."""
        return max(FULL_FROM_KEYS, int(FULL_FROM_SHARE * (self.previous.get("row_count") or 0)))


def subject(definition: Definition) -> Subject:
    """How runs of this table are recorded."""
    return Subject(SOURCE_SYSTEM, definition.table, definition.name.replace(".", "/"))


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
    logger.info("🔄 %s: refreshing", subject(definition).label)
    with running(
        database,
        subject(definition),
        "full",
        origin,
        metadata={"definition": definition.hash},
        statistics={definition.name: definition.sought_by},
        dry=dry_run,
        wait_seconds=lock_wait_seconds,
    ) as work:
        with work.last_transaction(snapshot=True):
            apply(work.connection, definition, work.run, full=full)
        return work.run


def apply(connection: Connection, definition: Definition, run: Run, *, full: bool) -> Scope:
    """One refresh inside the caller's transaction: decide the scope, compute, compare, write unless the run is dry."""
    # Rows that a table lost by being made anew leave no trace behind its cursor: whatever reads it is filled anew.
    run.metadata["deployed_at"] = check_deployed(connection, definition)
    scope = decide_scope(connection, definition, run.metadata["deployed_at"], full=full)
    run.mode = scope.mode
    run.metadata |= {"watermarks": scope.watermarks, "keys_without_rows": 0}
    if scope.quiet:
        run.row_count, run.quality_mean = scope.previous.get("row_count"), scope.previous.get("quality_mean")
        run.metadata |= {name: scope.previous.get(name, {}) for name in ("flags", "retained", "lost")}
        run.metadata["as_of"] = scope.previous.get("as_of")
    else:
        scope.as_of = newest_moment(connection, definition)
        run.metadata["as_of"] = scope.as_of.isoformat() if scope.as_of else None
        scope = compute_scope(connection, definition, scope)
        run.mode = scope.mode
        count(connection, definition, run, scope)
        if scope.keys and not run.counts.processed and not has_rows(connection, definition, scope.keys):
            # No row can have these keys: the reach of an input is wrong, and what changed there is not in the table.
            logger.warning("⚠️ %s: no row has one of the %d reached keys", subject(definition).label, len(scope.keys))
            run.metadata["keys_without_rows"] = len(scope.keys)
        if not run.dry:
            write(connection, definition, run, scope)
        # After a full refresh the present rows are those that it computed.
        measured = "refreshed" if scope.keys is None else definition.name
        run.row_count, run.quality_mean, run.metadata["flags"] = measure(connection, measured)
        run.metadata["retained"] = count_retained(connection, definition, measured)
        run.metadata["lost"] = scope.previous.get("lost", {})
        if scope.keys is None:
            # To look for rows that are in none takes all of them, so what the last full refresh found stands.
            run.metadata["lost"] = {found.input: found.lost for found in kept(connection, definition, measured)}
    run.metadata["quality_mean"] = run.quality_mean
    run.metadata["affected"] = None if scope.keys is None else len(scope.keys)
    run.watermark = scope.own_watermark
    run.checks += checks(definition, run, scope.previous)
    return scope


def check_deployed(connection: Connection, definition: Definition) -> dict[str, str]:
    """When this table and those of its silver inputs were made; OutdatedTableError when it was made from another definition."""
    names = (definition.name, *(name for name in definition.inputs if name.startswith("silver.")))
    rows = connection.execute(
        text(
            "select 'silver.' || table_name as name, definition_hash, deployed_at from meta.silver_definitions "
            "where 'silver.' || table_name = any(:names)"
        ),
        {"names": list(names)},
    )
    made = {row.name: row for row in rows}
    own = made.get(definition.name)
    if own is None or own.definition_hash != definition.hash:
        what = "has not been made yet" if own is None else "was made from another definition than this checkout's"
        raise OutdatedTableError(f"{subject(definition).label} {what}: run `lsats db upgrade`")
    return {name: row.deployed_at.isoformat() for name, row in made.items()}


def positions(connection: Connection, definition: Definition) -> dict[str, int]:
    """The cursors of all inputs, and of the table itself, as this transaction sees them; one statement."""
    parts = [f"select '{name}', {_position(name)}" for name in (*definition.inputs, definition.name)]
    return dict(map(tuple, connection.exec_driver_sql(" union all ".join(parts)).all()))


def _position(name: str) -> str:
    """SQL: the cursor of one table or view."""
    schema = name.split(".")[0]
    if schema == "silver":
        return f"(select coalesce(max(changed_seq), 0) from {name})"
    if schema == "curated":
        # People change these rarely and in whole; their content is the cursor.
        return f"(select coalesce(sum(hashtext(c::text)::bigint), 0)::bigint from {name} c)"
    return f"coalesce((select seq from {name} where seq > 0 order by seq desc limit 1), 0)"


def newest_moment(connection: Connection, definition: Definition) -> datetime | None:
    """The newest moment of bronze in what the inputs hold; None when there is none."""
    moments = []
    for name in definition.inputs:
        schema, table = name.split(".")
        if schema == "silver":
            as_of = last_metadata(connection, Subject(SOURCE_SYSTEM, table)).get("as_of")
            moments += [datetime.fromisoformat(as_of)] if as_of else []
        elif is_stream(name):
            newest = f"select changed_at from {name} where seq > 0 order by seq desc limit 1"
            moments += connection.exec_driver_sql(newest).scalars()
    return max(moments, default=None)


def decide_scope(connection: Connection, definition: Definition, deployed_at: dict[str, str], *, full: bool) -> Scope:
    """The keys that changed inputs reach since the last completed refresh of these very tables, or everything."""
    watermarks = positions(connection, definition)
    own = watermarks.pop(definition.name)
    previous = last_metadata(connection, subject(definition))
    since: dict[str, int] = previous.get("watermarks", {})
    emptied = [name for name, seq in watermarks.items() if name.startswith("silver.") and seq == 0 < since.get(name, 0)]
    if emptied:
        # Nothing leaves a silver table otherwise. Rows that are made from it would all pass for removed.
        raise OutdatedTableError(
            f"{subject(definition).label}: {', '.join(emptied).replace('.', '/')} was emptied by a changed key: "
            "refresh it first (`lsats run`)"
        )
    everything = Scope("full", None, watermarks, own, previous)
    same_tables = (previous.get("definition"), previous.get("deployed_at")) == (definition.hash, deployed_at)
    if full or not same_tables or since.keys() != watermarks.keys():
        return everything
    moved = [name for name, seq in watermarks.items() if seq != since[name]]
    if moved and definition.whole:
        return everything
    if moved:
        connection.exec_driver_sql(FEW_KEYS)
    reached: set[str] = set()
    for name in moved:
        query = reach_query(definition, name)
        if query is None:
            return everything
        reached |= reached_keys(connection, query, since[name], everything.limit)
        if len(reached) > everything.limit:
            return everything
    return replace(everything, mode="incremental", keys=sorted(reached))


def compute_scope(connection: Connection, definition: Definition, scope: Scope) -> Scope:
    """Compute what is in scope into `refreshed`; the scope that it became, with the rows that share a class."""
    connection.exec_driver_sql(PLAN_OF[scope.mode])
    compute(connection, definition, scope.keys)
    if scope.keys is None or not definition.classes:
        return scope
    members = class_members(connection, definition, scope.keys, scope.limit)
    if members is not None and len(members) == len(scope.keys):
        return scope
    wider = replace(scope, mode="full", keys=None)
    if members is not None:
        wider = replace(scope, keys=sorted(members))
    connection.exec_driver_sql(PLAN_OF[wider.mode])
    compute(connection, definition, wider.keys)
    return wider


def score(definition: Definition) -> str:
    """The SQL expression of the quality score: 1 minus the deductions of the flags, at least 0."""
    names = ",".join(definition.deductions)
    deductions = ",".join(deduction for deduction, _ in definition.deductions.values())
    return (
        "case when cardinality(d.quality_flags) = 0 then 1.00 "
        f"else clean.score(d.quality_flags, '{{{names}}}', '{{{deductions}}}') end"
    )


def stored(name: str, type_: str) -> str:
    """SQL: a computed value as its column stores it. Text of another collation could not use the column's indexes."""
    return f"cast(d.{name} as {type_})" + (' collate "default"' if type_ == "text" else "")


def compute(connection: Connection, definition: Definition, keys: list[str] | None, into: str = "refreshed") -> None:
    """Run the definition for `keys` into the temporary table `into`, with score and hash; check keys and flags."""
    connection.exec_driver_sql(f"drop table if exists pg_temp.{into}")
    for step in definition.steps:
        run_step(connection, step)
    types = {column.name: column.type for column in definition.columns}
    content = ", ".join(f"d.{name}" for name in definition.hashed)
    # What the passes over the whole table read stands first: Postgres walks a row column by column.
    first = [*definition.key, "quality_flags", *(name for name in definition.compared if name in definition.selected)]
    ordered = list(dict.fromkeys([*first, *definition.selected]))
    # CREATE TABLE AS may use parallel workers, INSERT may not. The OFFSET keeps the planner from writing each column's
    # expression wherever the column is used: in the table, in the hash, in the score. Quoted, it is a constant from the
    # start, which alone leaves the work to the workers.
    connection.execute(
        text(
            f"create temporary table {into} on commit drop as select "
            f"cast({score(definition)} as {types['data_quality_score']}) as data_quality_score, "
            f"encode(sha256(convert_to(row({content})::text, 'UTF8')), 'hex') as entity_hash, "
            f"{', '.join(f'{stored(name, types[name])} as {name}' for name in ordered)} "
            f"from (select * from ({definition.statement}\n) s offset '0') d"
        ),
        {"keys": keys},
    )
    repeated, unscored = connection.exec_driver_sql(
        "select count(*) filter (where rows > 1), coalesce(bool_or(unscored), false) from (select count(*) as rows, "
        f"bool_or(data_quality_score is null) as unscored from {into} group by {', '.join(definition.key)}) k"
    ).one()
    if repeated:
        raise DefinitionError(f"{definition.name}: {repeated} keys stand more than once in what the definition gives")
    if unscored:
        flags = connection.execute(
            text(
                f"select distinct split_part(f, ':', 1) from {into}, unnest(quality_flags) f "
                "where split_part(f, ':', 1) <> all(:known) order by 1"
            ),
            {"known": list(definition.deductions)},
        ).scalars()
        raise DefinitionError(
            f"{definition.name}: no deduction is written for the flags {', '.join(flags)} (flag_deductions.csv)"
        )


def run_step(connection: Connection, step: Step) -> None:
    """Put what a step makes of its nodes into its temporary table."""
    nodes = connection.execute(text(step.nodes))
    columns = ", ".join(f"{name} {type_}" for name, type_ in step.columns.items())
    connection.exec_driver_sql(f"drop table if exists pg_temp.{step.name}")
    connection.exec_driver_sql(f"create temporary table {step.name} ({columns}) on commit drop")
    copy_rows(connection, step.name, tuple(step.columns), tuple(step.columns.values()), STEPS[step.run](nodes))
    connection.exec_driver_sql(f"analyze {step.name}")


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


def has_rows(connection: Connection, definition: Definition, keys: list[str]) -> bool:
    """Whether one of these scope values stands in the table; rows that were gone before, neither computed nor lost, count."""
    stands = f"select exists (select from {definition.name} where ({definition.scope})::text = any(:keys))"
    return bool(connection.execute(text(stands), {"keys": keys}).scalar_one())


def differs(definition: Definition) -> str:
    """SQL condition: the stored row `t` is not the computed row `r`."""
    left = ", ".join(f"t.{name}" for name in definition.compared)
    right = ", ".join(f"r.{name}" for name in definition.compared)
    return f"row({left}) is distinct from row({right})"


def absent(definition: Definition) -> str:
    """SQL condition: the stored row `t` is in scope, counts as present, and the definition no longer gives its key."""
    same_key = " and ".join(f"r.{name} = t.{name}" for name in definition.key)
    # Columns of the outermost table, `t`: the scope is an expression over them.
    in_scope = f"(cast(:keys as text[]) is null or ({definition.scope})::text = any(cast(:keys as text[])))"
    return f"t.is_present and {in_scope} and not exists (select from refreshed r where {same_key})"


def write(connection: Connection, definition: Definition, run: Run, scope: Scope) -> None:
    """Write the differences: changed rows, new rows, and rows whose key the definition no longer gives."""
    counts = run.counts
    if not counts.created + counts.updated + counts.removed:
        return
    seq = int(connection.exec_driver_sql("select nextval('meta.changed_seq')").scalar_one())
    scope.own_watermark = seq
    values = {"seq": seq, "run_id": run.run_id, "keys": scope.keys, "as_of": scope.as_of}
    given = [column.name for column in definition.columns if column.name not in ("updated_at", "changed_seq", "run_id")]
    same_key = " and ".join(f"t.{name} = r.{name}" for name in definition.key)

    def written(expected: int, statement: str) -> int:
        """Rows written. Where none is expected, planning the wide statement would cost more than all the rest."""
        return connection.execute(text(statement), values).rowcount if expected else 0

    updated = written(
        counts.updated + counts.removed,
        f"update {definition.name} t set "
        + ", ".join(f"{name} = r.{name}" for name in given if name not in definition.key)
        + ", updated_at = case when t.entity_hash <> r.entity_hash or t.is_present <> r.is_present then now() "
        + "else t.updated_at end, changed_seq = :seq, run_id = :run_id "
        + f"from refreshed r where {same_key} and {differs(definition)}",
    )
    created = written(
        counts.created,
        f"insert into {definition.name} ({', '.join(given)}, updated_at, changed_seq, run_id) "
        f"select {', '.join(f'r.{name}' for name in given)}, now(), :seq, :run_id from refreshed r "
        f"where not exists (select from {definition.name} t where {same_key})",
    )
    lost = written(
        counts.removed,
        f"update {definition.name} t set is_present = false, removed_at = :as_of, updated_at = now(), "
        f"changed_seq = :seq, run_id = :run_id where {absent(definition)}",
    )
    if (created, updated + lost) != (counts.created, counts.updated + counts.removed):
        raise DefinitionError(f"{definition.name}: rows written are not the rows counted")
