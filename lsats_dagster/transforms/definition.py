"""A silver table's definition: one SQL file with a header that says everything about the table once.

The file is a comment holding TOML, then one SELECT. The header names table, grain, key, columns (type and comment) and, for
every input, the query that finds which keys a change of that input reaches. `docs/adding_a_table.md` explains each entry.
"""

import csv
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]*$")
HEADER = re.compile(r"\A/\*\n(?P<header>.*?)\n\*/\n(?P<select>.*)\Z", re.DOTALL)

# Columns of every silver table. The SELECT gives those of FROM_SELECT, the engine computes the others.
STANDARD: Mapping[str, tuple[str, str]] = {
    "raw_id": ("uuid", "Bronze row this row was made from"),
    "source_keys": ("jsonb", "Which source rows made this row: source -> keys"),
    "field_sources": ("jsonb", "Which source gave each field its value"),
    "source_systems": ("text[]", "Sources that this row is made from, sorted"),
    "quality_flags": ("text[]", "What is wrong or missing; curated.flag_deductions says what each costs"),
    "first_seen_at": ("timestamp with time zone", "When a source first showed what this row describes"),
    "is_present": ("boolean", "Whether a source still has it"),
    "removed_at": ("timestamp with time zone", "When the last source lost it; NULL while present"),
    "data_quality_score": ("numeric(3,2)", "1 minus the deductions of quality_flags, at least 0"),
    "entity_hash": ("text", "SHA-256 of the content of this row"),
    "updated_at": ("timestamp with time zone", "When the content of this row last changed"),
    "changed_seq": ("bigint", "Change cursor: rises whenever this row is written"),
    "run_id": ("uuid", "Run of meta.ingestion_runs that last wrote this row"),
}
OF_ONE_SOURCE = ("raw_id",)
OF_MERGED = ("source_keys", "field_sources")
COMPUTED = ("data_quality_score", "entity_hash", "updated_at", "changed_seq", "run_id")
# Written with each change, and no content of the row.
OUTSIDE_COMPARISON = ("updated_at", "changed_seq", "run_id")


class DefinitionError(Exception):
    """A definition contradicts itself or the rules of silver. The message names file and entry."""


@dataclass(frozen=True)
class Column:
    """A column as Postgres, Dagster and the data dictionary show it."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Definition:
    """One silver table.

    scope: the column whose values an incremental refresh is asked for; usually the key. reaches: input -> the query for the
    scope values that a change of it reaches. sources: table alias of the SELECT -> source system, for merged tables.
    dangling: flags that mean a reference to something that is not there. retained: columns that a source's lost right would
    empty, which a check watches. deductions: flag -> (deduction, meaning).
    """

    table: str
    group: str
    row: str
    description: str
    key: tuple[str, ...]
    scope: str
    business_columns: tuple[Column, ...]
    reaches: Mapping[str, str]
    sources: Mapping[str, str]
    indexes: tuple[str, ...]
    dangling: tuple[str, ...]
    retained: tuple[str, ...]
    deductions: Mapping[str, tuple[str, str]]
    select: str
    path: Path

    @property
    def name(self) -> str:
        return f"silver.{self.table}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tables and views that the SELECT reads, as `schema.table`; the table itself is no input."""
        return tuple(self.reaches)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns in table order: the business columns, then the standard ones."""
        kind = OF_MERGED if self.sources else OF_ONE_SOURCE
        left_out = set(OF_ONE_SOURCE + OF_MERGED) - set(kind)
        standard = (Column(name, *STANDARD[name]) for name in STANDARD if name not in left_out)
        return (*self.business_columns, *standard)

    @cached_property
    def selected(self) -> tuple[str, ...]:
        """Names of the columns that the SELECT gives."""
        return tuple(column.name for column in self.columns if column.name not in COMPUTED)

    @cached_property
    def hashed(self) -> tuple[str, ...]:
        """Names of the columns that are the content of a row: a change of these moves updated_at."""
        outside = {"first_seen_at", "is_present", "removed_at"}
        return tuple(name for name in self.selected if name not in outside and not name.endswith("raw_id"))

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """Names of the columns whose difference makes the engine write a row; entity_hash stands for the hashed ones."""
        rest = (name for name in self.selected if name not in self.hashed)
        return ("entity_hash", "data_quality_score", *rest)

    @cached_property
    def sought_by(self) -> tuple[str, ...]:
        """Names of the columns that rows are joined and looked up by: key, scope, cursor, indexed columns."""
        indexed = (name.strip() for entry in self.indexes for name in entry.split(","))
        return tuple(dict.fromkeys((*self.key, self.scope, "changed_seq", "is_present", *indexed)))

    @cached_property
    def statement(self) -> str:
        """The SELECT with its field_sources filled in; parameter `keys`."""
        return self.select.replace(":field_sources", field_sources(self))

    @cached_property
    def hash(self) -> str:
        """Changes with anything that shapes the table: this file, its deductions, standard columns, the cleaning functions."""
        functions = sorted((self.path.parents[2] / "functions").glob("*.sql"))
        parts = [
            self.path.read_text(),
            repr(sorted(self.deductions.items())),
            repr(STANDARD),
            *(f.read_text() for f in functions),
        ]
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def parse(path: Path, deductions: Mapping[str, tuple[str, str]]) -> Definition:
    """Read one definition file. DefinitionError says what is wrong with it."""
    definition = declaration(path, deductions)
    check_output(definition)
    return definition


def declaration(path: Path, deductions: Mapping[str, tuple[str, str]]) -> Definition:
    """The same without a look at its SELECT, which takes most of the time."""
    match = HEADER.match(path.read_text(encoding="utf-8"))
    if match is None:
        raise DefinitionError(f"{path.name}: begins with /* on a line of its own, TOML, and */ before the SELECT")
    try:
        header = tomllib.loads(match["header"])
        definition = Definition(
            table=path.stem,
            group=f"silver_{path.parent.name}",
            row=header["row"],
            description=" ".join(header["description"].split()),
            key=tuple(header["key"]),
            scope=header.get("scope", header["key"][0]),
            business_columns=tuple(Column(name, *spec) for name, spec in header["columns"].items()),
            reaches={name: spec["reach"].strip() for name, spec in header["inputs"].items()},
            sources=header.get("sources", {}),
            indexes=tuple(header.get("indexes", ())),
            dangling=tuple(header.get("dangling", ())),
            retained=tuple(header.get("retained", ())),
            deductions=deductions,
            select=match["select"].strip().removesuffix(";"),
            path=path,
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise DefinitionError(f"{path.name}: header: {type(error).__name__}: {error}") from None
    check(definition)
    return definition


def check(definition: Definition) -> None:
    """Raise DefinitionError where names and key do not fit together."""
    names = [column.name for column in definition.columns]
    problems = [f"column name {name!r}" for name in names if not IDENTIFIER.match(name)]
    problems += [f"column {name} stands twice" for name in names if names.count(name) > 1]
    problems += [f"key column {name} is not a column" for name in definition.key if name not in names]
    problems += [
        f"dangling flag {flag} has no deduction" for flag in definition.dangling if flag not in definition.deductions
    ]
    problems += [f"retained column {name} is not a column" for name in definition.retained if name not in names]
    problems += [f"{reach}: schema and table" for reach in definition.reaches if reach.count(".") != 1]
    if definition.scope not in names:
        problems.append(f"scope {definition.scope} is not a column")
    if problems:
        raise DefinitionError(f"{definition.path.name}: {'; '.join(problems)}")


def check_output(definition: Definition) -> None:
    """Raise DefinitionError where the SELECT gives other columns than the header names."""
    output = tuple(select_of(definition).named_selects)
    if output != definition.selected:
        unlike = sorted(set(output) ^ set(definition.selected)) or "order"
        raise DefinitionError(
            f"{definition.path.name}: the SELECT gives other columns, or another order, than the header: {unlike}"
        )


def select_of(definition: Definition) -> "exp.Select":
    """The parsed SELECT."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(definition.select, dialect="postgres")
    except SqlglotError as error:
        place = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DefinitionError(f"{definition.path.name}: the SELECT cannot be read: {place}") from None
    if not isinstance(tree, exp.Select):
        raise DefinitionError(f"{definition.path.name}: the statement is not one SELECT")
    return tree


def tables_read(sql: str) -> set[str]:
    """The `schema.table` names that a statement reads, by its own text."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect="postgres")
    return {f"{table.db}.{table.name}" for table in tree.find_all(exp.Table) if table.db}


def candidates(definition: Definition) -> dict[str, list[tuple[str, str]]]:
    """For each output column, the (source, expression) pairs that may give its value, in order of precedence.

    Read from the SELECT itself: `coalesce(u.name, t.name)` means u before t. Columns made otherwise have no entry. This is
    the one place where precedence is known, so value, field_sources and explanation cannot disagree.
    """
    from sqlglot import exp

    found: dict[str, list[tuple[str, str]]] = {}
    for output in select_of(definition).selects:
        expression = output.unalias()
        alternatives = (
            [expression.this, *expression.expressions] if isinstance(expression, exp.Coalesce) else [expression]
        )
        pairs = [
            (definition.sources[part.table], part.sql(dialect="postgres"))
            for part in alternatives
            if isinstance(part, exp.Column) and part.table in definition.sources
        ]
        if pairs:
            found[output.alias_or_name] = pairs
    return found


def field_sources(definition: Definition) -> str:
    """The SQL expression that names, for each merged field with a value, the source that gave it."""
    entries = []
    for name, pairs in candidates(definition).items():
        if name in definition.key or name not in {column.name for column in definition.business_columns}:
            continue
        cases = " ".join(f"when {expression} is not null then '{source}'" for source, expression in pairs)
        entries.append(f"'{name}', case {cases} end")
    # jsonb_build_object takes at most 100 arguments.
    parts = [f"jsonb_build_object({', '.join(entries[i : i + 50])})" for i in range(0, len(entries), 50)]
    return f"jsonb_strip_nulls({' || '.join(parts)})" if parts else "'{}'::jsonb"


def load_deductions(sql_root: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """table -> flag -> (deduction, meaning), from the reviewed file."""
    by_table: dict[str, dict[str, tuple[str, str]]] = {}
    with (sql_root / "curated" / "flag_deductions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_table.setdefault(row["table_name"], {})[row["flag"]] = (row["deduction"], row["meaning"])
    return by_table


def load_definitions(sql_root: Path) -> tuple[Definition, ...]:
    """All definitions below `sql_root`/silver, each after its inputs."""
    found = declared(sql_root)
    for definition in found:
        check_output(definition)
    return found


def declared(sql_root: Path) -> tuple[Definition, ...]:
    """The same for those who only read tables: the SELECTs are not looked at."""
    deductions = load_deductions(sql_root)
    paths = sorted((sql_root / "silver").glob("*/*.sql"))
    return in_order(declaration(path, deductions.get(path.stem, {})) for path in paths)


def in_order(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """Definitions sorted so that each comes after the silver tables it reads; DefinitionError on a cycle."""
    waiting = {definition.name: definition for definition in definitions}
    ordered: list[Definition] = []
    while waiting:
        ready = [d for d in waiting.values() if not any(name in waiting for name in d.inputs)]
        if not ready:
            raise DefinitionError(f"silver tables read one another in a circle: {sorted(waiting)}")
        for definition in ready:
            ordered.append(waiting.pop(definition.name))
    return tuple(ordered)
