"""A silver table's definition: one SQL file with a header that says everything about the table once.

The file is a comment holding TOML, then one SELECT. The header names table, grain, key, columns (type and comment) and, for
every input, what a change of it reaches. `docs/adding_a_table.md` explains each entry.
"""

import csv
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lsats_dagster.transforms.ordering import CircleError, needed_first
from lsats_dagster.transforms.steps import Step

if TYPE_CHECKING:
    from sqlglot import exp

    from lsats_dagster.transforms.lineage import Origin

IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]*$")
HEADER = re.compile(r"\A/\*\n(?P<header>.*?)\n\*/\n(?P<select>.*)\Z", re.DOTALL)

# Columns of every silver table. The SELECT gives those of FROM_SELECT, the engine computes the others.
STANDARD: Mapping[str, tuple[str, str]] = {
    "raw_id": ("uuid", "Bronze row this row was made from"),
    "first_seq": ("bigint", "Number of the first version of that record in bronze; stays as long as the record"),
    "source_keys": ("jsonb", "Every input row that shaped this row: input table -> keys"),
    "field_sources": ("jsonb", "Which source gave each field that several sources may give"),
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
# Those of them that a table has by its kind.
KINDS: Mapping[str, tuple[str, ...]] = {
    "source": ("raw_id", "first_seq"),
    "merged": ("source_keys", "field_sources"),
    "derived": ("source_keys",),
}
KIND_OF_FOLDER = {"sources": "source", "entities": "merged", "labs": "merged", "helpers": "derived"}
STREAM_LAYERS = ("bronze", "enriched")
# Those that the engine computes, and from what.
COMPUTED: Mapping[str, str] = {
    "data_quality_score": "`quality_flags` and what each costs",
    "entity_hash": "own columns, `source_systems` and `quality_flags`, without ids of bronze rows",
    "updated_at": "the clock of the run that changed its content",
    "changed_seq": "the run that wrote the row",
    "run_id": "the run that wrote the row",
}
# Written with each change, and no content of the row.
OUTSIDE_COMPARISON = ("updated_at", "changed_seq", "run_id")


def is_stream(name: str) -> bool:
    """Whether an input (`schema.table`) is the view of a stream."""
    return name.partition(".")[0] in STREAM_LAYERS


class DefinitionError(Exception):
    """A definition contradicts itself or the rules of silver. The message names file and entry."""


@dataclass(frozen=True)
class Column:
    """A column as Postgres, Dagster and the data dictionary show it."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Reach:
    """What a change of one input touches. Nothing said, of a curated table: everything.

    gives: expression over the input's columns, the scope values of a changed row. joined: own column that holds keys of the
    input. query: a written query for scope values behind the cursor `:since`, in addition.
    """

    gives: str | None = None
    joined: str | None = None
    query: str | None = None

    @property
    def joined_column(self) -> str | None:
        """The own column of `joined`."""
        return self.joined.partition("=")[0].strip() if self.joined is not None else None

    @property
    def joined_key(self) -> str | None:
        """The key of the input that `joined` names; empty where it names none."""
        return self.joined.partition("=")[2].strip() if self.joined is not None else None


@dataclass(frozen=True)
class Definition:
    """One silver table.

    scope: the expression over own columns whose values an incremental refresh is asked for; usually the key. reach: what a
    change of each input touches. whole: always computed whole. classes: columns whose equal values tie rows together.
    computed_from: column -> aliases that it is computed from. sources: table alias of the SELECT -> source system, for merged
    tables. dangling: flags that mean a reference to something that is not there. retained: columns that a source's lost right
    would empty, which a check watches. told: columns that say how a row was joined to others. about: the columns with table and
    key of the row that a row is about. candidates: the column with keys of the rows that it may belong to. keeps: input ->
    condition over its columns; present rows of which it holds are behind present rows of the table. decides: curated input ->
    condition over its columns `c` and own columns `t`, for which a decision is about a row. deductions: flag -> (deduction,
    meaning). Once the definition was loaded with the others: input_keys: input -> expression over its columns, as
    `source_keys` writes its keys; input_about, input_columns: silver input -> its `about`, its columns; given: own columns that
    are the scope of other tables, which ask for its rows by them.
    """

    table: str
    group: str
    kind: str
    row: str
    description: str
    key: tuple[str, ...]
    scope: str
    business_columns: tuple[Column, ...]
    reach: Mapping[str, Reach]
    whole: bool
    classes: tuple[str, ...]
    computed_from: Mapping[str, tuple[str, ...]]
    sources: Mapping[str, str]
    steps: tuple[Step, ...]
    indexes: tuple[str, ...]
    dangling: tuple[str, ...]
    retained: tuple[str, ...]
    told: tuple[str, ...]
    about: tuple[str, ...]
    candidates: str | None
    keeps: Mapping[str, str]
    decides: Mapping[str, str]
    deductions: Mapping[str, tuple[str, str]]
    select: str
    path: Path
    input_keys: Mapping[str, str] = field(default_factory=dict)
    input_about: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    input_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    given: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"silver.{self.table}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tables and views that the SELECT reads, as `schema.table`; the table itself is no input."""
        return tuple(self.reach)

    @property
    def key_text(self) -> str:
        """SQL over the table's own columns: a row's key as text, several columns joined by colons."""
        return " || ':' || ".join(f"{name}::text" for name in self.key)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns in table order: the business columns, then the standard ones."""
        left_out = {name for names in KINDS.values() for name in names} - set(KINDS[self.kind])
        standard = (Column(name, *STANDARD[name]) for name in STANDARD if name not in left_out)
        return (*self.business_columns, *standard)

    @cached_property
    def selected(self) -> tuple[str, ...]:
        """Names of the columns that the SELECT gives."""
        return tuple(column.name for column in self.columns if column.name not in COMPUTED)

    @cached_property
    def hashed(self) -> tuple[str, ...]:
        """Names of the columns that are the content of a row: a change of these moves updated_at."""
        outside = {"first_seen_at", "is_present", "removed_at", "first_seq", "source_keys", "field_sources"}
        return tuple(name for name in self.selected if name not in outside and not name.endswith("raw_id"))

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """Names of the columns whose difference makes the engine write a row; entity_hash stands for the hashed ones."""
        rest = (name for name in self.selected if name not in self.hashed)
        return ("entity_hash", "data_quality_score", *rest)

    @cached_property
    def sought_by(self) -> tuple[str, ...]:
        """Names of the columns that rows are joined and looked up by: key, cursor, indexed and tying columns."""
        indexed = (name.strip() for entry in self.indexes for name in entry.split(","))
        return tuple(dict.fromkeys((*self.key, "changed_seq", "is_present", *indexed, *self.looked_up)))

    @cached_property
    def looked_up(self) -> tuple[str, ...]:
        """Names of the columns by which refreshes look for rows: those that changed inputs touch, and those of a scope."""
        joined = (reach.joined_column for reach in self.reach.values() if reach.joined_column)
        return tuple(dict.fromkeys((*joined, *self.classes, *self.given)))

    @cached_property
    def statement(self) -> str:
        """The SELECT with its field_sources filled in; parameter `keys`."""
        from lsats_dagster.transforms.precedence import field_sources

        return self.select.replace(":field_sources", field_sources(self))

    @cached_property
    def tree(self) -> "exp.Select":
        """The parsed SELECT, for readers; who changes it takes a copy."""
        import sqlglot
        from sqlglot import exp
        from sqlglot.errors import SqlglotError

        try:
            tree = sqlglot.parse_one(self.select, dialect="postgres")
        except SqlglotError as error:
            place = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DefinitionError(f"{self.path.name}: the SELECT cannot be read: {place}") from None
        if not isinstance(tree, exp.Select):
            raise DefinitionError(f"{self.path.name}: the statement is not one SELECT")
        return tree

    @cached_property
    def origins(self) -> Mapping[str, tuple["Origin", ...]]:
        """For each column that the SELECT gives, what it is made from (`lineage`): sought when first asked for, and once."""
        from lsats_dagster.transforms.lineage import lineage

        return lineage(self)

    @cached_property
    def hash(self) -> str:
        """Changes with anything that shapes the table: this file, its deductions, standard columns, the functions it calls."""
        functions = sorted((self.path.parents[2] / "functions").glob("*.sql"))
        parts = [
            self.path.read_text(),
            repr(sorted(self.deductions.items())),
            repr(STANDARD),
            *(f.read_text() for f in functions),
            *(step.source for step in self.steps),
        ]
        return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def parse(path: Path, deductions: Mapping[str, tuple[str, str]]) -> Definition:
    """Read one definition file. DefinitionError says what is wrong with it."""
    definition = declaration(path, deductions)
    check_sql(definition)
    return definition


def declaration(path: Path, deductions: Mapping[str, tuple[str, str]]) -> Definition:
    """The same without a look at its SELECT, which takes most of the time."""
    from lsats_dagster.transforms.header import form_problems, problems_of

    match = HEADER.match(path.read_text(encoding="utf-8"))
    if match is None:
        raise DefinitionError(f"{path.name}: begins with /* on a line of its own, TOML, and */ before the SELECT")
    try:
        header = tomllib.loads(match["header"])
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{path.name}: header: {error}") from None
    _refuse(path, form_problems(header))
    kind = header.get("kind", KIND_OF_FOLDER.get(path.parent.name, ""))
    if kind not in KINDS:
        raise DefinitionError(f"{path.name}: kind {kind!r}: one of {', '.join(KINDS)}")
    try:
        steps = tuple(Step(**step) for step in header.get("steps", ()))
    except ValueError as error:
        raise DefinitionError(f"{path.name}: {error}") from None
    definition = Definition(
        table=path.stem,
        group=f"silver_{path.parent.name}",
        kind=kind,
        row=header["row"],
        description=" ".join(header["description"].split()),
        key=tuple(header["key"]),
        scope=header.get("scope", header["key"][0]),
        business_columns=tuple(Column(name, *spec) for name, spec in header["columns"].items()),
        reach={name: _reach(name, spec) for name, spec in header["inputs"].items()},
        whole=header.get("whole", False),
        classes=tuple(header.get("classes", ())),
        computed_from={name: tuple(aliases) for name, aliases in header.get("computed_from", {}).items()},
        sources=header.get("sources", {}),
        steps=steps,
        indexes=tuple(header.get("indexes", ())),
        dangling=tuple(header.get("dangling", ())),
        retained=tuple(header.get("retained", ())),
        told=tuple(header.get("told", ())),
        about=tuple(header.get("about", ())),
        candidates=header.get("candidates"),
        keeps={name: spec["keeps"] for name, spec in header["inputs"].items() if "keeps" in spec},
        decides={name: spec["decides"] for name, spec in header["inputs"].items() if "decides" in spec},
        deductions=deductions,
        select=match["select"].strip().removesuffix(";"),
        path=path,
    )
    _refuse(path, problems_of(definition))
    return definition


def _reach(name: str, spec: Mapping[str, str]) -> Reach:
    """What the header says of one input. A changed record of a stream gives its own key, where nothing else is said."""
    given = spec.get("gives")
    if not spec.keys() - {"keeps"} and is_stream(name):
        given = "external_id"
    return Reach(given, spec.get("joined"), spec["reach"].strip() if "reach" in spec else None)


def check_sql(definition: Definition) -> None:
    """Raise DefinitionError where the SELECT gives other columns than the header names, or SQL of the header means nothing."""
    from lsats_dagster.transforms.header import sql_problems

    _refuse(definition.path, sql_problems(definition))


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        raise DefinitionError(f"{path.name}: {'; '.join(problems)}")


def columns_in(expression: str) -> set[str]:
    """Names of the columns that an expression reads."""
    import sqlglot
    from sqlglot import exp

    return {column.name for column in sqlglot.parse_one(expression, dialect="postgres").find_all(exp.Column)}


def tables_read(sql: str) -> set[str]:
    """The `schema.table` names that a statement reads, by its own text."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect="postgres")
    return {f"{table.db}.{table.name}" for table in tree.find_all(exp.Table) if table.db}


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
        check_sql(definition)
    return found


def declared(sql_root: Path) -> tuple[Definition, ...]:
    """The same for those who only read tables: the SELECTs are not looked at."""
    deductions = load_deductions(sql_root)
    paths = sorted((sql_root / "silver").glob("*/*.sql"))
    return in_order(declaration(path, deductions.get(path.stem, {})) for path in paths)


def in_order(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """Definitions that know the keys of their inputs, each after the silver tables it reads; DefinitionError on a cycle."""
    known = {definition.name: definition for definition in definitions}
    try:
        names = needed_first({name: definition.inputs for name, definition in known.items()})
    except CircleError as circle:
        raise DefinitionError(f"silver tables read one another in a circle: {sorted(circle.names)}") from None
    return tuple(_linked(known[name], known) for name in names)


def _given(definition: Definition, known: Mapping[str, Definition]) -> tuple[str, ...]:
    """Own columns that other tables give as they stand, the key aside."""
    asked = {found.reach[definition.name].gives for found in known.values() if definition.name in found.inputs}
    return tuple(c.name for c in definition.columns if c.name in asked and c.name != definition.key[0])


def _linked(definition: Definition, known: Mapping[str, Definition]) -> Definition:
    """The definition with its inputs' keys and columns; DefinitionError where there is no such input or `joined` names no key."""
    silver = {name: known[name] for name in definition.inputs if name in known}
    unknown = [name for name in definition.inputs if name.startswith("silver.") and name not in known]
    _refuse(definition.path, [f"inputs.{name}: there is no such table" for name in unknown])
    for name, reach in definition.reach.items():
        key = silver[name].key if name in silver else ("external_id",)
        if reach.joined_key and (reach.joined_key,) != key:
            raise DefinitionError(
                f"{definition.path.name}: inputs.{name}: joined: {reach.joined_key} is not the key of {name}; write a reach"
            )
    return replace(
        definition,
        input_keys={name: silver[name].key_text if name in silver else "external_id" for name in definition.inputs},
        input_about={name: found.about for name, found in silver.items()},
        input_columns={name: tuple(column.name for column in found.columns) for name, found in silver.items()},
        given=_given(definition, known),
    )
