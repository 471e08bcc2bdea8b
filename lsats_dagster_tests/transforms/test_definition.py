"""Definition files: what the parser refuses and how it says so, precedence, reading order."""

import re
from pathlib import Path

import pytest

from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.transforms.definition import (
    DefinitionError,
    Reach,
    in_order,
    load_deductions,
    load_definitions,
    parse,
    tables_read,
)
from lsats_dagster.transforms.precedence import candidates, field_sources
from lsats_dagster_tests.conftest import DEFINITIONS

HEADER = '''row = "One example."
description = """
Of an example
source.
"""
key = ["example_id"]
indexes = ["name"]

[columns]
example_id = ["text", "Key"]
name = ["text", "Name"]

[inputs."bronze.examples"]
'''
STANDARD = """b.raw_id, b.first_seq, array['x'] as source_systems, array[]::text[] as quality_flags, b.first_seen_at,
    b.is_present, b.removed_at"""
SELECT = f"""select b.external_id as example_id, b.payload ->> 'Name' as name, {STANDARD}
from bronze.examples b
where cast(:keys as text[]) is null or b.external_id = any(cast(:keys as text[]));
"""
MERGED_HEADER = HEADER.replace("[columns]", 'kind = "merged"\nsources = {a = "first", b = "second"}\n\n[columns]')
MERGED_SELECT = """select a.example_id, coalesce(a.name, b.name) as name, '{}'::jsonb as source_keys,
    :field_sources as field_sources, array['x'] as source_systems, array[]::text[] as quality_flags, a.first_seen_at,
    a.is_present, a.removed_at
from bronze.examples a left join bronze.examples b on a.external_id = b.external_id
where cast(:keys as text[]) is null or a.external_id = any(cast(:keys as text[]))
"""
DERIVED_SELECT = SELECT.replace("b.raw_id, b.first_seq", "'{}'::jsonb as source_keys")
OWN_INPUT = '[inputs."bronze.examples"]\n'
OTHER_INPUT = """

[inputs."silver.others"]
"""
STEP = """
[[steps]]
name = "linked"
nodes = "select 1"
run = "linked_groups"
columns = {node = "text"}
"""
WHOLE = "whole = true\n"
WHOLE_SELECT = SELECT.partition("where")[0]


def write(folder: Path, text: str, name: str = "examples") -> Path:
    path = folder / "silver" / "sources" / f"{name}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def definition_text(header: str = HEADER, select: str = SELECT) -> str:
    return f"/*\n{header}*/\n{select}"


def test_a_whole_definition(tmp_path: Path) -> None:
    found = parse(write(tmp_path, definition_text()), {"bad_name": ("0.10", "Bad")})
    assert (found.name, found.table, found.group) == ("silver.examples", "examples", "silver_sources")
    assert (found.key, found.scope, found.inputs) == (("example_id",), "example_id", ("bronze.examples",))
    assert found.description == "Of an example source."
    assert found.columns[0].comment == "Key"
    assert [column.name for column in found.columns][:3] == ["example_id", "name", "raw_id"]
    assert (found.kind, found.reach["bronze.examples"]) == ("source", Reach(gives="external_id"))
    assert "source_keys" not in found.selected
    assert not found.select.endswith(";")
    assert "first_seen_at" not in found.hashed
    assert "raw_id" not in found.hashed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SELECT, "begins with /\\*"),
        (definition_text().replace("/*\n", "/* ", 1), "begins with /\\*"),
        (definition_text(HEADER + "key = [\n"), r"header: .*\(at "),
        (definition_text(HEADER.replace('row = "One example."', "")), "row is missing"),
        (definition_text(HEADER.replace('key = ["example_id"]', "")), "key is missing"),
        (
            definition_text(HEADER + 'reaches = "x"\n'),
            "inputs.bronze.examples: no entry reaches; there are gives, joined, reach",
        ),
        (definition_text('kind = "mixed"\n' + HEADER), "kind 'mixed': one of source, merged, derived"),
        (
            definition_text('sources = {b = "first"}\n' + HEADER),
            "sources are for merged tables, and this one is source",
        ),
        (definition_text('classes = ["title"]\n' + HEADER), "classes: title is not a column"),
        (definition_text('told = ["title"]\n' + HEADER), "told: title is not a column"),
        (definition_text('about = ["title", "name"]\n' + HEADER), "about: title is not a column"),
        (definition_text('about = ["name"]\n' + HEADER), "about is two columns"),
        (definition_text('candidates = "name"\n' + HEADER), r"candidates: name is no column of type text\[\]"),
        (definition_text(HEADER + 'keeps = "true"\n'), "keeps is for tables with source_keys"),
        (
            definition_text('kind = "derived"\n' + HEADER + 'keeps = "coalesce("\n', DERIVED_SELECT),
            "inputs.bronze.examples: keeps: 'coalesce\\(' is not an expression",
        ),
        (definition_text(HEADER + 'decides = "true"\n'), "inputs.bronze.examples: decides is for curated tables"),
        (definition_text('computed_from = {title = ["b"]}\n' + HEADER), "computed_from: title is not a column"),
        (definition_text('computed_from = {name = ["x"]}\n' + HEADER), "computed_from: name: x is no alias of sources"),
        (definition_text(HEADER + OTHER_INPUT), "silver.others: what does a change of it reach"),
        (definition_text(HEADER + OTHER_INPUT + 'joined = "name"\n'), "joined is .own column = key of the input"),
        (definition_text(HEADER + OTHER_INPUT + 'joined = "title = id"\n'), "joined: title is not a column"),
        (definition_text(select=SELECT.replace(":keys", "null")), "the SELECT does not ask for :keys"),
        (definition_text(WHOLE + HEADER), "a whole table has no :keys"),
        (definition_text(WHOLE + HEADER + 'joined = "name = external_id"\n'), "inputs.bronze.examples have no use"),
        (definition_text(WHOLE + 'classes = ["name"]\n' + HEADER), "classes have no use"),
        (definition_text(HEADER + STEP), "steps need a whole table"),
        (definition_text(WHOLE + HEADER + STEP.replace("linked_groups", "x")), "steps: x is none of linked_groups"),
        (
            definition_text(WHOLE + HEADER + STEP.replace("nodes", "node")),
            "steps, number 1: no entry node; there are name, nodes, run, columns; .*nodes is missing",
        ),
        (
            definition_text(HEADER.replace('["text", "Name"]', '["text"]')),
            r"columns must be name = \[type, description\]",
        ),
        (definition_text("whoel = true\n" + HEADER), "no entry whoel; there are row, .*whole"),
        (definition_text(HEADER.replace('key = ["example_id"]', 'key = "example_id"')), "key must be a list of texts"),
        (definition_text(HEADER.replace('key = ["example_id"]', "key = []")), "key names nothing"),
        (definition_text('whole = "yes"\n' + HEADER), "whole must be true or false"),
        (definition_text(HEADER.replace('row = "One example."', "row = 3")), "row must be a text"),
        (
            definition_text(HEADER + OTHER_INPUT + 'joined = ["name", "id"]\n'),
            "inputs.silver.others: joined must be a text",
        ),
        (definition_text(HEADER.replace(OWN_INPUT, '[inputs]\n"bronze.examples" = "x"\n')), "inputs must be tables"),
        (definition_text(HEADER.replace('["name"]', '["nmae"]')), "indexes: nmae is not a column"),
        (
            definition_text(HEADER + '\n[inputs."meta.ingestion_runs"]\n'),
            "inputs.meta.ingestion_runs: no table of bronze",
        ),
        (definition_text(HEADER + OTHER_INPUT + 'reach = "select 1"\n'), "reach does not ask for .*:since"),
        (
            definition_text(HEADER + OTHER_INPUT + 'reach = "selec :since"\n'),
            "inputs.silver.others: reach cannot be read",
        ),
        (definition_text(HEADER + 'gives = "coalesce("\n'), "gives: 'coalesce\\(' is not an expression"),
        (definition_text('scope = "name ||"\n' + HEADER), r"scope: 'name \|\|' is not an expression"),
        (definition_text('scope = "name, name"\n' + HEADER), "scope: 'name, name' is not an expression"),
        (definition_text("scope = \"'x'\"\n" + HEADER), "scope: 'x' is the same for all rows"),
        (definition_text('scope = "run_id"\n' + HEADER), "scope: run_id is not a column"),
        (definition_text(WHOLE + HEADER + STEP + STEP, WHOLE_SELECT), "steps: name linked stands twice"),
        (
            definition_text(WHOLE + HEADER + STEP.replace('"linked"', '"lin ked"'), WHOLE_SELECT),
            "steps: name 'lin ked'",
        ),
        (
            definition_text(WHOLE + HEADER + STEP.replace("select 1", "selec"), WHOLE_SELECT),
            "steps.linked: nodes cannot be read",
        ),
        (definition_text(HEADER + '\n[inputs."bronze.unread"]\n'), "inputs.bronze.unread: the SELECT does not read it"),
        (
            definition_text(select=SELECT.replace("b\n", "b cross join silver.z\n")),
            "the SELECT reads silver.z, which is not in inputs",
        ),
        (
            definition_text(select=SELECT.replace("(:keys as text[]) is", "(:keyz as text[]) is")),
            "has no parameter :keyz",
        ),
        (
            definition_text(MERGED_HEADER.replace("b =", "c ="), MERGED_SELECT),
            "sources: c is no table of the outermost SELECT",
        ),
        (definition_text(MERGED_HEADER, MERGED_SELECT.replace(":field", "'{}'::jsonb as x, :field")), "other columns"),
        (definition_text(MERGED_HEADER, MERGED_SELECT.replace(":field_sources", "'{}'")), "says `:field_sources as"),
        (definition_text(HEADER.replace("name = [", "Name = [")), "column name 'Name'"),
        (definition_text(HEADER.replace("name = [", '"na-me" = [')), "column name 'na-me'"),
        (definition_text(HEADER.replace("name = [", 'name = ["text", "x"]\nname = [')), r"header: .*\(at "),
        (definition_text(HEADER.replace("name = [", "run_id = [")), "column run_id stands twice"),
        (
            definition_text(HEADER.replace('key = ["example_id"]', 'key = ["other"]')),
            "key column other is not a column",
        ),
        (definition_text('scope = "other"\n' + HEADER), "scope: other is not a column"),
        (definition_text(HEADER.replace('inputs."bronze.examples"', "inputs.examples")), "examples: schema and table"),
        (definition_text('dangling = ["lost"]\n' + HEADER), "dangling flag lost has no deduction"),
        (definition_text(select=SELECT.replace("as name", "as title")), "'name', 'title'"),
        (definition_text(select=SELECT.replace("b.payload ->> 'Name' as name, ", "")), r"\['name'\]"),
        (
            definition_text(
                select=SELECT.replace("b.raw_id, ", "").replace("b.removed_at\n", "b.removed_at, b.raw_id\n")
            ),
            "order",
        ),
        (definition_text(select=SELECT.replace("b.raw_id,", "b.raw_id, b.raw_id,")), "other columns, or another order"),
        (definition_text(select="delete from bronze.examples where x = :keys"), "not one SELECT"),
        (definition_text(select=SELECT.replace(";", f"union all {SELECT}")), "not one SELECT"),
    ],
)
def test_what_the_parser_refuses(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file and what is wrong in it."""
    with pytest.raises(DefinitionError, match=message) as raised:
        parse(write(tmp_path, text), {})
    assert str(raised.value).startswith("examples.sql: ")


@pytest.mark.parametrize("select", ["select from where", "select 1; select 2", "selec b.x from b", ""])
def test_sql_that_cannot_be_read_is_a_definition_error(tmp_path: Path, select: str) -> None:
    with pytest.raises(DefinitionError, match=r"examples\.sql"):
        parse(write(tmp_path, definition_text(select=select)), {})


def test_precedence_comes_from_the_select(tmp_path: Path) -> None:
    found = parse(write(tmp_path, definition_text(MERGED_HEADER, MERGED_SELECT)), {})
    assert candidates(found)["name"] == [("first", "a.name"), ("second", "b.name")]
    sql = field_sources(found)
    assert sql.index('when a.name is not null then \'"name": "first"\'') < sql.index("when b.name is not null then")
    assert "example_id" not in sql
    assert ":field_sources" not in found.statement
    other_way = MERGED_SELECT.replace("coalesce(a.name, b.name)", "coalesce(b.name, a.name)")
    turned = parse(write(tmp_path, definition_text(MERGED_HEADER, other_way)), {})
    assert candidates(turned)["name"] == [("second", "b.name"), ("first", "a.name")]


def test_a_table_of_one_source_has_no_candidates(tmp_path: Path) -> None:
    found = parse(write(tmp_path, definition_text()), {})
    assert candidates(found) == {}
    assert field_sources(found) == "'{}'::jsonb"


def test_many_merged_fields_fit_into_one_expression(tmp_path: Path) -> None:
    """Postgres passes at most 100 arguments."""
    names = [f"field_{number}" for number in range(120)]
    header = MERGED_HEADER.replace(
        'name = ["text", "Name"]', "\n".join(f'{name} = ["text", "Field"]' for name in ["name", *names])
    )
    more = ", ".join(f"coalesce(a.{name}, b.{name}) as {name}" for name in names)
    select = MERGED_SELECT.replace("as name,", f"as name, {more},")
    sql = field_sources(parse(write(tmp_path, definition_text(header, select)), {}))
    parts = sql.split("nullif(concat_ws(")[1:]
    assert [part.count("case when") for part in parts] == [50, 50, 21]


def test_departments_name_the_winner_in_the_order_of_the_specification() -> None:
    departments = next(definition for definition in DEFINITIONS if definition.table == "departments")
    found = candidates(departments)
    assert [source for source, _ in found["department_name"]] == ["umich_api", "tdx"]
    assert [source for source, _ in found["is_active"]] == ["tdx", "umich_api"]


def test_order_follows_the_inputs() -> None:
    names = [definition.name for definition in in_order(reversed(DEFINITIONS))]
    assert sorted(names) == sorted(definition.name for definition in DEFINITIONS)
    for definition in DEFINITIONS:
        for name in definition.inputs:
            assert name not in names or names.index(name) < names.index(definition.name)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        text = definition_text().replace("bronze.examples", f"silver.{other}")
        text = text.replace("*/", 'gives = "external_id"\n*/', 1)
        write(tmp_path, text, name)
    (tmp_path / "curated").mkdir()
    (tmp_path / "curated" / "flag_deductions.csv").write_text("table_name,flag,deduction,meaning\n")
    with pytest.raises(DefinitionError, match=r"circle.*silver\.one.*silver\.two"):
        load_definitions(tmp_path)


@pytest.mark.parametrize(
    ("reach", "message"),
    [
        ('gives = "lower(title)"', "inputs.silver.others: gives: title is not a column"),
        (
            'joined = "name = title"',
            "inputs.silver.others: joined: title is not the key of silver.others; write a reach",
        ),
    ],
)
def test_what_a_header_may_say_of_another_table(tmp_path: Path, reach: str, message: str) -> None:
    """Known as soon as both are read. A table that there is not is no input."""
    (tmp_path / "curated").mkdir()
    (tmp_path / "curated" / "flag_deductions.csv").write_text("table_name,flag,deduction,meaning\n")
    select = SELECT.replace("b\n", "b left join silver.others o on o.name = b.external_id\n")
    write(tmp_path, definition_text(f"{HEADER}{OTHER_INPUT}{reach}\n", select))
    with pytest.raises(DefinitionError, match=r"^examples\.sql: inputs\.silver\.others: there is no such table$"):
        load_definitions(tmp_path)
    write(tmp_path, definition_text(), "others")
    with pytest.raises(DefinitionError, match=message):
        load_definitions(tmp_path)


def test_the_hash_follows_everything_that_shapes_the_table(tmp_path: Path) -> None:
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "text.sql").write_text("select 1")
    path = write(tmp_path, definition_text())
    seen = {parse(path, {}).hash}
    assert parse(path, {}).hash in seen
    seen.add(parse(path, {"bad_name": ("0.10", "Bad")}).hash)
    seen.add(parse(path, {"bad_name": ("0.20", "Bad")}).hash)
    (functions / "text.sql").write_text("select 2")
    seen.add(parse(path, {}).hash)
    path.write_text(definition_text(select=SELECT.replace("'Name'", "'Title'")))
    seen.add(parse(path, {}).hash)
    assert len(seen) == 5


def test_every_reviewed_flag_belongs_to_a_table() -> None:
    deductions = load_deductions(SQL_ROOT)
    assert deductions.keys() <= {definition.table for definition in DEFINITIONS}
    functions = (SQL_ROOT / "functions" / "unreadable.sql").read_text(encoding="utf-8")
    given_by = re.findall(r"function (clean\.\w+\()name.*?'(\w+):' \|\| name", functions, re.DOTALL)
    assert len(given_by) >= 10
    for definition in DEFINITIONS:
        raised = {flag for flag in deductions.get(definition.table, {}) if f"'{flag}" in definition.select}
        raised |= {flag for call, flag in given_by if call in definition.select}
        assert raised == set(definition.deductions), f"{definition.table}: reviewed flags that no rule raises"


def test_tables_read_are_named_by_schema() -> None:
    sql = "with a as (select 1 from silver.x) select clean.text(y) from a join bronze.y using (z) where :since > 1"
    assert tables_read(sql) == {"silver.x", "bronze.y"}
