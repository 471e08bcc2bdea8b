"""Silver tables are made and altered from their definitions. Called by `lsats db upgrade`, inside its transaction."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from lsats_dagster.database import as_database_error
from lsats_dagster.transforms.definition import Column, Definition, DefinitionError
from lsats_dagster.transforms.explain import decisions_query
from lsats_dagster.transforms.kept import kept_query
from lsats_dagster.transforms.reach import as_text, reach_query

# SQLSTATEs of a statement that means nothing begin so; one of them says that a right is missing.
MEANINGLESS, NO_RIGHT = "42", "42501"


def deploy(connection: Connection, definition: Definition) -> None:
    """Make the table as its definition says, and record that it is so. Views on it must be gone.

    DefinitionError where Postgres knows no such type, or takes an expression for no index.
    """
    with _meant(definition, "the table cannot be made"):
        _deploy(connection, definition)


def check_reach(connection: Connection, definition: Definition) -> None:
    """DefinitionError where Postgres cannot read what no first refresh asks for: what a change of an input reaches, which of its
    rows are kept, what it decides.

    The views of streams must be there.
    """
    for name in () if definition.whole else definition.inputs:
        if query := reach_query(definition, name):
            with _meant(definition, f"inputs.{name}: what a change of it reaches cannot be read"):
                connection.execute(text(f"explain {query}"), {"since": 0})
    for name in definition.keeps:
        with _meant(definition, f"inputs.{name}: which of its rows are kept cannot be read"):
            connection.execute(text(f"explain {kept_query(definition, name, definition.name)}"))
    for name in definition.decides:
        with _meant(definition, f"inputs.{name}: whom it decides about cannot be read"):
            connection.execute(text(f"explain {decisions_query(definition, name)}"), {"key": ""})


@contextmanager
def _meant(definition: Definition, what: str) -> Iterator[None]:
    """Errors of what the definition says become DefinitionErrors that name it."""
    try:
        yield
    except DBAPIError as error:
        found = as_database_error(error)
        if not (found.sqlstate or "").startswith(MEANINGLESS) or found.sqlstate == NO_RIGHT:
            raise
        raise DefinitionError(f"{definition.path.name}: {what}: {found}") from None


def _deploy(connection: Connection, definition: Definition) -> None:
    connection.exec_driver_sql(f"create table if not exists {definition.name} ()")
    present = _columns(connection, definition.name)
    wanted = _canonical_types(connection, definition.columns)
    dropped = [name for name in present if present[name] != wanted.get(name)]
    added = [column for column in definition.columns if present.get(column.name) != wanted[column.name]]
    for name in dropped:
        connection.exec_driver_sql(f"alter table {definition.name} drop column {name} cascade")
    for column in added:
        connection.exec_driver_sql(f"alter table {definition.name} add column {column.name} {column.type}")
    if added:
        # Whatever the next refresh computes, no row is as it should be.
        connection.exec_driver_sql(f"update {definition.name} set entity_hash = ''")
    _constrain(connection, definition)
    _check(connection, definition)
    _index(connection, definition)
    _comment(connection, definition)
    connection.execute(
        text(
            "insert into meta.silver_definitions (table_name, definition_hash) values (:table, :hash) "
            "on conflict (table_name) do update set definition_hash = excluded.definition_hash, deployed_at = now() "
            "where silver_definitions.definition_hash <> excluded.definition_hash"
        ),
        {"table": definition.table, "hash": definition.hash},
    )


def _columns(connection: Connection, table: str) -> dict[str, str]:
    """Each column with its type as Postgres spells it."""
    rows = connection.execute(
        text(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = cast(:table as regclass) and attnum > 0 and not attisdropped"
        ),
        {"table": table},
    )
    return dict(map(tuple, rows))


def _canonical_types(connection: Connection, columns: Iterable[Column]) -> dict[str, str]:
    """The same of columns that are wanted: `int` and `integer` are no difference."""
    wanted = ", ".join(f"{column.name} {column.type}" for column in columns)
    connection.exec_driver_sql(f"create temporary table wanted_columns ({wanted}) on commit drop")
    spelled = _columns(connection, "pg_temp.wanted_columns")
    connection.exec_driver_sql("drop table wanted_columns")
    return spelled


def _constrain(connection: Connection, definition: Definition) -> None:
    key = connection.execute(
        text(
            "select conname, array(select attname from unnest(conkey) with ordinality as k (number, place) "
            "join pg_attribute on attrelid = conrelid and attnum = number order by place)::text[] as columns "
            "from pg_constraint where conrelid = cast(:table as regclass) and contype = 'p'"
        ),
        {"table": definition.name},
    ).one_or_none()
    if key is not None and tuple(key.columns) == definition.key:
        return
    # What stands there was made by another rule, and bronze gives it again.
    connection.exec_driver_sql(f"truncate {definition.name}")
    if key is not None:
        connection.exec_driver_sql(f"alter table {definition.name} drop constraint {key.conname}")
        # The columns of a former key stay NOT NULL otherwise.
        for name in set(key.columns) - set(definition.key):
            connection.exec_driver_sql(f"alter table {definition.name} alter column {name} drop not null")
    connection.exec_driver_sql(f"alter table {definition.name} add primary key ({', '.join(definition.key)})")


def _check(connection: Connection, definition: Definition) -> None:
    """Scores lie between 0 and 1, keys are not blank; nothing else is a reason to refuse a row."""
    wanted = {"data_quality_score": "data_quality_score between 0 and 1"}
    types = {column.name: column.type for column in definition.columns}
    wanted |= {name: f"{name} <> ''" for name in definition.key if types[name] == "text"}
    by_name = {f"{definition.table}_{name}_check"[:63]: condition for name, condition in wanted.items()}
    in_place = set(
        connection.execute(
            text("select conname from pg_constraint where conrelid = cast(:table as regclass) and contype = 'c'"),
            {"table": definition.name},
        ).scalars()
    )
    for name in in_place - by_name.keys():
        connection.exec_driver_sql(f"alter table {definition.name} drop constraint {name}")
    for name in by_name.keys() - in_place:
        connection.exec_driver_sql(f"alter table {definition.name} add constraint {name} check ({by_name[name]})")


def _index(connection: Connection, definition: Definition) -> None:
    """Indexes are named after what they hold, so what the definition no longer asks for is found and dropped."""
    wanted = {"changed_seq": "(changed_seq)"}
    if definition.kind != "source":
        wanted["source_keys"] = "using gin (source_keys jsonb_path_ops)"
    sought = [as_text(definition, column) for column in definition.looked_up]
    if definition.scope != definition.key[0] or as_text(definition, definition.key[0]) != definition.key[0]:
        sought.append(f"({definition.scope})::text")
    wanted |= {"_".join(re.findall(r"\w+", expression)): f"(({expression}))" for expression in sought}
    for entry in definition.indexes:
        names = [name.strip() for name in entry.split(",")]
        types = {column.name: column.type for column in definition.columns}
        method = "using gin " if types[names[0]].endswith("[]") or types[names[0]] == "jsonb" else ""
        wanted["_".join(names)] = f"{method}({entry})"
    names_in_place = set(
        connection.execute(
            text(
                "select i.indexrelid::regclass::text from pg_index i "
                "where i.indrelid = cast(:table as regclass) and not i.indisprimary"
            ),
            {"table": definition.name},
        ).scalars()
    )
    by_name = {f"{definition.table}_{suffix}_idx"[:63]: body for suffix, body in wanted.items()}
    for name in names_in_place - {f"silver.{name}" for name in by_name}:
        connection.exec_driver_sql(f"drop index {name}")
    for name, body in by_name.items():
        connection.exec_driver_sql(f"create index if not exists {name} on {definition.name} {body}")


def _comment(connection: Connection, definition: Definition) -> None:
    comments = {f"table {definition.name}": f"{definition.row} {definition.description}"}
    comments |= {f"column {definition.name}.{column.name}": column.comment for column in definition.columns}
    for target, comment in comments.items():
        quoted = comment.replace("'", "''").replace("%", "%%")
        connection.exec_driver_sql(f"comment on {target} is '{quoted}'")
