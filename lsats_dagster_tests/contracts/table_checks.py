"""What must hold of every silver table, as plain functions: the table suite calls them, planted faults must fail them."""

import csv
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from lsats_dagster.database import READER, Database, DatabaseError
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.runs import Run
from lsats_dagster.transforms.definition import OUTSIDE_COMPARISON, Definition, tables_read
from lsats_dagster.transforms.engine import OutdatedTableError, compute
from lsats_dagster.transforms.kept import kept
from lsats_dagster_tests.contracts import (
    departments_oracle,
    groups_oracle,
    inputs,
    linked_oracle,
    links_oracle,
    merge_oracle,
    users_oracle,
)
from lsats_dagster_tests.contracts.histories import Step, World, random_history

# What two hubs that read the same records at other times may differ in.
IDS_AND_TIMES = ("raw_id", "detail_raw_id", "first_seq", "first_seen_at", "removed_at")
# Rules of one table that an independent computation in Python proves.
ORACLES = {
    "departments": departments_oracle.check,
    "tdx_departments": departments_oracle.check_circles,
    "linked_logins": linked_oracle.check,
    "employee_links": links_oracle.check_links,
    "person_records": links_oracle.check_records,
    "users": users_oracle.check,
    "groups": groups_oracle.check_groups,
    "directory_objects": groups_oracle.check_objects,
    "group_members": groups_oracle.check_members,
    "group_owners": groups_oracle.check_owners,
    "effective_group_members": groups_oracle.check_effective,
}

Rows = dict[str, dict[str, Any]]


def content_columns(definition: Definition) -> list[str]:
    """All columns that two equal tables share."""
    return [column.name for column in definition.columns if column.name not in OUTSIDE_COMPARISON]


def rows_by_key(world: World, definition: Definition, columns: Iterable[str], *, only_present: bool = False) -> Rows:
    """The stored rows, each value as Postgres writes it."""
    shown = [f"row({', '.join(definition.key)})::text as row_key", *(f"{name}::text as {name}" for name in columns)]
    where = "where is_present" if only_present else ""
    found = world.rows(f"select {', '.join(shown)} from {definition.name} {where}")
    return {row.row_key: {name: value for name, value in row._mapping.items() if name != "row_key"} for row in found}


def all_rows(world: World, definition: Definition) -> Rows:
    return rows_by_key(world, definition, [column.name for column in definition.columns])


def computed(world: World, definition: Definition) -> Rows:
    """What the definition gives for all keys now, by the engine, into a table that nobody else reads."""
    shown = ", ".join(f"{name}::text as {name}" for name in content_columns(definition))
    with world.database.transaction() as connection:
        compute(connection, definition, None, into="whole")
        found = connection.exec_driver_sql(
            f"select row({', '.join(definition.key)})::text as row_key, {shown} from whole"
        ).all()
    return {row.row_key: {name: value for name, value in row._mapping.items() if name != "row_key"} for row in found}


def assert_same(actual: Rows, expected: Rows, about: str) -> None:
    """Compare two sets of rows; a failure names keys and columns."""
    assert sorted(actual) == sorted(expected), f"{about}: keys"
    unlike = {
        key: {name: (actual[key][name], value) for name, value in row.items() if actual[key][name] != value}
        for key, row in expected.items()
        if actual[key] != row
    }
    assert not unlike, f"{about}: (is, should be) {unlike}"


def check_same_as_full(world: World, definition: Definition, stored: Rows | None = None) -> set[str]:
    """Architecture, section 5, "Same": every computed key stands with equal content; any other key is not present.

    stored: the rows of the table, where they are known. Gives the computed keys.
    """
    expected = computed(world, definition)
    stored = all_rows(world, definition) if stored is None else stored
    lingering = [key for key, row in stored.items() if key not in expected and row["is_present"] != "false"]
    assert lingering == [], f"{definition.name}: present, and the definition no longer gives it"
    names = content_columns(definition)
    found = {key: {name: row[name] for name in names} for key, row in stored.items() if key in expected}
    assert_same(found, expected, definition.name)
    return set(expected)


def check_rules(world: World, definition: Definition, given: set[str] | None = None, *, coherent: bool = True) -> None:
    """Everything that holds of a table that is up to date: the same as full, scores, moments, its oracles.

    given: what `check_same_as_full` gave, where nothing has happened since. coherent: whether its inputs are made from one
    another, which rows that a history writes into them are not: nothing is conserved then.
    """
    given = check_same_as_full(world, definition) if given is None else given
    check_scores(world, definition)
    check_moments(world, definition)
    check_no_blanks(world, definition)
    if definition.kind != "source":
        check_contributors(world, definition, given)
    if coherent and definition.table not in world.former:
        check_kept(world, definition)
    if definition.kind == "merged":
        merge_oracle.check(world, definition, given)
    if definition.table in ORACLES and definition.table not in world.former:
        ORACLES[definition.table](world)


def check_kept(world: World, definition: Definition) -> None:
    """Every present row of an input that belongs into the table is behind a row of it."""
    with world.admin.transaction() as connection:
        lost = {found.input: found.lost for found in kept(connection, definition) if found.lost}
    assert lost == {}, f"{definition.name}: rows of inputs in none"


def check_contributors(world: World, definition: Definition, given: set[str]) -> None:
    """source_keys names rows of the inputs, each once; a row is made from something."""
    there = {name: found.keys() for name, found in merge_oracle.contributors(world, definition).items()}
    for row in world.rows(
        f"select row({', '.join(definition.key)})::text as row_key, source_keys from {definition.name}"
    ):
        if row.row_key in given:
            assert row.source_keys, f"{definition.name} {row.row_key} is made from nothing"
            for name, keys in row.source_keys.items():
                assert set(keys) <= there[name], f"{definition.name} {row.row_key}: no such row of {name}"
                assert len(set(keys)) == len(keys), f"{definition.name} {row.row_key}: a row of {name} stands twice"


def check_same_as_fresh(world: World) -> None:
    """A hub with the same bronze whose silver is made now, by one full refresh each, shows the same present rows.

    No fresh hub has the rows whose key nothing gives any more, and what is made from those remembers them: each table is given
    them back before the next is made. Replaces what the silver tables hold: the last check of a history.
    """
    present = {d.name: rows_by_key(world, d, content_columns(d), only_present=True) for d in world.definitions}
    grown = {
        d.name: world.rows(f"select row({', '.join(d.key)})::text as row_key, to_jsonb(t) as content from {d.name} t")
        for d in world.definitions
    }
    world.empty("meta.ingestion_runs", *grown)
    for definition in world.definitions:
        world.refresh(definition.table)
        fresh = rows_by_key(world, definition, content_columns(definition), only_present=True)
        assert_same(present[definition.name], fresh, f"{definition.name} against a fresh hub")
        made = rows_by_key(world, definition, ())
        if lost := tuple(row.content for row in grown[definition.name] if row.row_key not in made):
            inputs.write(world, definition, lost)


def check_scores(world: World, definition: Definition) -> None:
    """Every raised flag has a deduction, and the score is 1 minus the deductions, at least 0, by the reviewed file."""
    reviewed = definition.path.parents[2] / "curated" / "flag_deductions.csv"
    with reviewed.open(encoding="utf-8", newline="") as file:
        costs = {
            row["flag"]: Decimal(row["deduction"])
            for row in csv.DictReader(file)
            if row["table_name"] == definition.table
        }
    for row in world.rows(f"select quality_flags, data_quality_score as score from {definition.name}"):
        raised = [flag.split(":")[0] for flag in row.quality_flags]
        assert set(raised) <= costs.keys(), f"{definition.name}: flags without deduction"
        assert len(set(row.quality_flags)) == len(row.quality_flags), f"{definition.name}: a flag stands twice"
        deducted = sum((costs[flag] for flag in raised), Decimal(0))
        assert row.score == max(Decimal(0), 1 - deducted), (definition.name, row.quality_flags)


def check_moments(world: World, definition: Definition) -> None:
    """first_seen_at, is_present and removed_at are those of bronze. Merged tables prove it by their oracle."""
    assert world.rows(f"select 1 from {definition.name} where is_present = (removed_at is not null)") == []
    if definition.kind != "source":
        return
    unlike = world.rows(
        f"select t.raw_id from {definition.name} t left join bronze.raw_entities l using (raw_id) "
        "left join bronze.current_entities c on c.live_seq = l.seq "
        "where row(t.first_seen_at, t.removed_at, t.is_present) "
        "is distinct from row(c.first_seen_at, c.removed_at, c.removed_at is null)"
    )
    assert unlike == [], f"{definition.name}: moments are not those of bronze"


def check_no_blanks(world: World, definition: Definition) -> None:
    """A text that says nothing is NULL (silver_source_tables.md, section 7)."""
    texts = ", ".join(column.name for column in definition.columns if column.type == "text")
    assert world.rows(f"select 1 from {definition.name} where '' in ({texts})") == [], (
        f"{definition.name}: a blank text"
    )


def check_moves(before: Rows, after: Rows, run: Run) -> None:
    """updated_at moves with entity_hash or is_present and never else; changed_seq rises with each write; counts are true."""
    cursor = max((int(row["changed_seq"]) for row in before.values()), default=0)
    assert before.keys() <= after.keys(), "a row was deleted"
    new = after.keys() - before.keys()
    written = {key for key in before if after[key] != before[key]}
    for key in written:
        was, now = before[key], after[key]
        content_moved = (was["entity_hash"], was["is_present"]) != (now["entity_hash"], now["is_present"])
        assert (was["updated_at"] != now["updated_at"]) == content_moved, f"{key}: updated_at"
    for key in written | new:
        assert int(after[key]["changed_seq"]) > cursor, f"{key}: changed_seq does not rise"
        assert after[key]["run_id"] == str(run.run_id)
    gone = sum(before[key]["is_present"] == "true" and after[key]["is_present"] == "false" for key in written)
    counts = run.counts
    assert (counts.created, counts.updated, counts.removed) == (len(new), len(written) - gone, gone)


def check_quiet(world: World, definition: Definition, *, full: bool) -> None:
    """A refresh without news writes its own run row and nothing else."""
    before = dump(world)
    run = world.refresh(definition.table, full=full)
    after = dump(world)
    grown = [row for row in after.pop("meta.ingestion_runs") if row not in before["meta.ingestion_runs"]]
    assert len(grown) == 1
    assert after == {name: rows for name, rows in before.items() if name in after}
    counts = run.counts
    assert (counts.created, counts.updated, counts.removed, counts.failed) == (0, 0, 0, 0)
    assert run.mode == ("full" if full else "incremental")


def dry_and_real(world: World, definition: Definition, *, full: bool) -> tuple[Run, Run]:
    """A dry run, which writes nothing, sequences included, and the real run after it."""
    before = dump(world, sequences=True)
    dry = world.refresh(definition.table, full=full, dry_run=True)
    assert dump(world, sequences=True) == before
    return dry, world.refresh(definition.table, full=full)


def check_foretold(dry: Run, real: Run) -> None:
    """The dry run reported what the real one that followed did."""
    assert (dry.run_id, dry.mode, dry.counts) == (None, real.mode, real.counts)
    assert dry.metadata["watermarks"] == real.metadata["watermarks"]


def dump(world: World, *, sequences: bool = False) -> dict[str, list[str]]:
    """Every row of every table as text."""
    content: dict[str, list[str]] = {}
    with world.admin.transaction() as connection:
        tables = connection.exec_driver_sql(
            "select schemaname || '.' || tablename from pg_tables "
            "where schemaname in ('bronze', 'meta', 'silver', 'curated')"
        ).scalars()
        for name in tables.all():
            content[name] = list(connection.exec_driver_sql(f"select t::text from {name} t order by 1").scalars())
        if sequences:
            states = connection.exec_driver_sql("select sequencename, last_value from pg_sequences order by 1")
            content["sequences"] = [str(row) for row in states]
    return content


def check_columns_filled(world: World, definition: Definition, always_empty: Iterable[str] = ()) -> None:
    """In a rich world each column holds something in at least one row: an empty list or object is nothing."""
    stored = all_rows(world, definition).values()
    empty = {
        column.name
        for column in definition.columns
        if all(row[column.name] in (None, "", "{}", "[]") for row in stored)
    }
    assert empty == set(always_empty), f"{definition.name}: columns without any value, {sorted(empty)}"


def check_inputs(definition: Definition) -> None:
    """What the SELECT reads is what the definition names as inputs; reach queries read no more than that and the table."""
    nodes = (name for step in definition.steps for name in tables_read(step.nodes))
    assert {*tables_read(definition.select), *nodes} == set(definition.inputs)
    for name, reach in definition.reach.items():
        if reach.query:
            assert tables_read(reach.query) <= {*definition.inputs, definition.name}, name
            assert name in tables_read(reach.query), f"{name} does not reach by its own changed rows"


def check_collations(world: World, definition: Definition) -> None:
    """What is computed has the collations of the stored columns: otherwise no index of the table serves a comparison."""
    with world.database.transaction() as connection:
        compute(connection, definition, [], into="nothing")
        unlike = connection.exec_driver_sql(
            "select attname from pg_attribute computed join pg_attribute stored using (attname) "
            f"where computed.attrelid = 'pg_temp.nothing'::regclass and stored.attrelid = '{definition.name}'::regclass "
            "and computed.attcollation <> stored.attcollation"
        ).scalars()
        assert list(unlike) == []


def check_privileges(world: World, definition: Definition) -> None:
    """The writer cannot delete or truncate, and the reader sees no table."""
    for statement in (f"delete from {definition.name}", f"truncate {definition.name}"):
        assert refused(world.database, statement)
    reader = Database(world.url, role=READER)
    assert refused(reader, f"select 1 from {definition.name}")
    reader.dispose()


def refused(database: Database, statement: str) -> bool:
    """Whether Postgres says that the role may not do this."""
    try:
        with database.transaction() as connection:
            connection.exec_driver_sql(statement)
    except DatabaseError as error:
        return error.sqlstate == "42501"
    return False


def check_history(world: World, definition: Definition, number: int) -> None:
    """Live through one random history of a table's inputs; a refresh moves only what moved, and gives what a full one does."""
    try:
        live_inputs(world, definition, inputs.history(world, definition, number))
    except Exception as error:
        error.add_note(f"history {number} of {definition.name}")
        raise


def live_inputs(world: World, definition: Definition, history: list[inputs.Step]) -> None:
    inputs.begin(world, definition)
    rows: Rows = {}
    given: set[str] = set()
    for events, how in history:
        for event in events:
            inputs.happen(world, event)
        if how is not None:
            done, rows = check_refresh(world, definition.table, how, rows)
            if done:
                # At once: the next refresh may reach by chance what this one forgot.
                given = check_same_as_full(world, definition, rows)
    assert done, "the last refresh did not come about"
    check_rules(world, definition, given, coherent=False)


def check_chain(world: World, number: int) -> None:
    """Live through one random history of all streams and tables."""
    try:
        live_chain(world, random_history(world, number))
    except Exception as error:
        error.add_note(f"chain {number}")
        raise


def live_chain(world: World, history: list[Step]) -> None:
    world.reset().arrive()
    tables = [definition.table for definition in world.definitions]
    last = (
        (),
        tuple((stream, "whole") for stream in world.streams),
        tuple((table, "incremental") for table in tables),
    )
    for changes, reads, refreshes in (*history, last):
        world.apply(*changes)
        for stream, how in reads:
            if how != "full" or isinstance(world.streams[stream], DetailStream):
                world.read(stream, how)
        for table, how in refreshes:
            if how == "redefined":
                # What the table held is gone until its next refresh.
                world.redefine(table)
                continue
            definition = world.definition(table)
            done, rows = check_refresh(world, table, how, all_rows(world, definition))
            if done:
                check_same_as_full(world, definition, rows)
    for table in tables:
        check_rules(world, world.definition(table))
    check_same_as_fresh(world)


def check_refresh(world: World, table: str, how: str, before: Rows) -> tuple[bool, Rows]:
    """One refresh of a history: whether it came about, and the rows after it.

    One that fails, is dry, or lacks an input leaves the rows as they were (`before`).
    """
    definition = world.definition(table)
    try:
        if how == "failing":
            world.refresh_failing(table)
        else:
            run = world.refresh(table, full=how == "full", dry_run=how == "dry")
            if how != "dry":
                after = all_rows(world, definition)
                check_moves(before, after, run)
                return True, after
    except OutdatedTableError:
        named = [name for name in definition.inputs if name.startswith("silver.")]
        assert any(not world.rows(f"select 1 from {name} limit 1") for name in named)
    after = all_rows(world, definition)
    assert after == before
    return False, after
