"""What happens to a filled hub when definitions change."""

import pytest
from sqlalchemy import text

from lsats_dagster.database import Database
from lsats_dagster.transforms.definition import Definition, DefinitionError
from lsats_dagster_tests.conftest import DEFINITIONS
from lsats_dagster_tests.hubs import FEW_TABLES
from lsats_dagster_tests.transforms.checkout import TABLE, Checkout

# The part of the definition file that the tests rewrite, and what stands in its SELECT.
COLUMN = 'vp_area_name = ["text", "Executive area"]\n'
SELECTED = "    c.vp_area_name,\n"


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.table)
def test_table_as_the_definition_says(hub: Database, definition: Definition) -> None:
    """Columns, types and comments; only keys are NOT NULL; a row that never existed has its comment too."""
    with hub.transaction() as connection:
        rows = connection.execute(
            text(
                "select attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum) "
                "from pg_attribute where attrelid = cast(:t as regclass) and attnum > 0 and not attisdropped order by attnum"
            ),
            {"t": definition.name},
        ).all()
        comment = connection.execute(
            text("select obj_description(cast(:t as regclass), 'pg_class')"), {"t": definition.name}
        ).scalar_one()
    assert [tuple(row) for row in rows] == [
        (column.name, column.type, column.name in definition.key, column.comment) for column in definition.columns
    ]
    assert comment == f"{definition.row} {definition.description}"


def test_quotes_and_percent_signs_in_comments(checkout: Checkout) -> None:
    checkout.change((COLUMN, 'vp_area_name = ["text", "The area\'s name, 100 % \\"quoted\\" %s :x \\\\"]\n'))
    checkout.upgrade()
    (row,) = checkout.world.rows(
        "select col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = cast('silver.umapi_departments' as regclass) and attname = 'vp_area_name'"
    )
    assert row[0] == 'The area\'s name, 100 % "quoted" %s :x \\'


INPUT = '[inputs."bronze.umapi_departments"]\n'


def test_what_postgres_cannot_read_is_refused_before_anything_is_made(checkout: Checkout) -> None:
    """By file and entry; what a change reaches would be asked for by the second refresh only."""
    sound = checkout.path.read_text()
    for old, new, message in (
        (COLUMN, COLUMN.replace('"text"', '"txt"'), 'the table cannot be made: .*type "txt" does not exist'),
        (
            INPUT,
            f'{INPUT}gives = "nonsense"\n',
            "inputs.bronze.umapi_departments: .* reaches cannot be read: .*nonsense.* does not exist",
        ),
        (
            INPUT,
            f'{INPUT}reach = "select nonsense from bronze.umapi_departments where seq > :since"\n',
            "inputs.bronze.umapi_departments: what a change of it reaches cannot be read: .*nonsense",
        ),
    ):
        checkout.change((old, new))
        with pytest.raises(DefinitionError, match=rf"^umapi_departments\.sql: {message}"):
            checkout.upgrade()
        checkout.path.write_text(sound)
    checkout.world.definitions = checkout.definitions()
    assert checkout.refresh().mode == "incremental"


def test_a_changed_rule(checkout: Checkout) -> None:
    checkout.change((SELECTED, "    upper(c.vp_area_name) as vp_area_name,\n"))
    checkout.check_full_once_then_incremental()
    assert checkout.world.rows(f"select distinct vp_area_name from silver.{TABLE} where vp_area_name like 'E%'") == [
        ("EXAMPLE EXECUTIVE AREA",)
    ]


def test_a_changed_function_and_a_changed_deduction(checkout: Checkout) -> None:
    """Both shape the table, so both ask for one full refresh."""
    functions = checkout.root / "functions" / "text.sql"
    functions.write_text(functions.read_text() + "-- changed\n")
    checkout.world.definitions = checkout.definitions()
    checkout.check_full_once_then_incremental()
    csv = checkout.root / "curated" / "flag_deductions.csv"
    checkout.change(
        ("umapi_departments,missing_dept_group_code,0.00", "umapi_departments,missing_dept_group_code,0.40"), path=csv
    )
    checkout.check_full_once_then_incremental()
    assert checkout.world.rows(
        "select deduction::text from curated.flag_deductions where flag = 'missing_dept_group_code'"
    ) == [("0.40",)]


def test_an_added_column(checkout: Checkout) -> None:
    checkout.change(
        (COLUMN, f'{COLUMN}name_length = ["integer", "Length"]\n'),
        (SELECTED, f"{SELECTED}    length(c.department_name) as name_length,\n"),
    )
    checkout.check_full_once_then_incremental()
    assert checkout.columns()["name_length"] == ("integer", False)
    assert checkout.world.rows(f"select 1 from silver.{TABLE} where name_length > 0")


def test_a_dropped_column(checkout: Checkout) -> None:
    """What reads it must have changed with it."""
    checkout.change((COLUMN, ""), (SELECTED, ""))
    entity = checkout.root / "silver" / "entities" / "departments.sql"
    checkout.change(
        ("    u.vp_area_name,\n", "    u.campus_name as vp_area_name,\n"),
        ("u.vp_area_name as vp_area,", "u.campus_name as vp_area,"),
        ("u.vp_area_name is null", "u.campus_name is null"),
        path=entity,
    )
    checkout.check_full_once_then_incremental()
    assert "vp_area_name" not in checkout.columns()


def test_a_renamed_column(checkout: Checkout) -> None:
    """The values come back under the new name, though not one of them has changed."""
    checkout.change(
        ('dept_group_vp_area = ["text"', 'vp_area_code = ["text"'),
        ("    c.dept_group_vp_area,\n", "    c.dept_group_vp_area as vp_area_code,\n"),
        ("dept_group_campus, dept_group_vp_area, dept_group", "dept_group_campus, vp_area_code, dept_group"),
    )
    entity = checkout.root / "silver" / "entities" / "departments.sql"
    checkout.change(("    u.dept_group_vp_area,\n", "    u.vp_area_code as dept_group_vp_area,\n"), path=entity)
    checkout.check_full_once_then_incremental()
    assert checkout.world.rows(f"select 1 from silver.{TABLE} where vp_area_code = 'EX_VP_AREA'")


@pytest.mark.parametrize("new_type", ["varchar(40)", "jsonb"])
def test_a_retyped_column(checkout: Checkout, new_type: str) -> None:
    """A changed type is a new column: what stood there is not cast, it is made again from bronze."""
    changed = "    to_jsonb(c.{0}) as {0},\n" if new_type == "jsonb" else "    c.{0}::varchar(40) as {0},\n"
    checkout.change(
        ('dept_group = ["text"', f'dept_group = ["{new_type}"'),
        ("    c.dept_group,\n", changed.format("dept_group")),
        ('indexes = ["dept_group_campus, dept_group_vp_area, dept_group"]', "indexes = []"),
    )
    entity = checkout.root / "silver" / "entities" / "departments.sql"
    checkout.change(("    u.dept_group,\n", "    u.dept_group::text as dept_group,\n"), path=entity)
    checkout.check_full_once_then_incremental()
    assert checkout.columns()["dept_group"][0] == {"varchar(40)": "character varying(40)"}.get(new_type, new_type)
    assert checkout.world.rows(f"select 1 from silver.{TABLE} where dept_group::text like '%EXAMPLE_COLLEGE%'")


def test_another_spelling_of_a_type_is_no_change(checkout: Checkout) -> None:
    before = checkout.world.rows(f"select t::text from silver.{TABLE} t order by 1")
    path = checkout.root / "silver" / "sources" / "tdx_departments.sql"
    checkout.change(('tdx_created_date = ["timestamp with time zone"', 'tdx_created_date = ["timestamptz"'), path=path)
    checkout.upgrade()
    assert checkout.world.rows("select 1 from silver.tdx_departments where tdx_created_date is not null")
    assert checkout.world.rows(f"select t::text from silver.{TABLE} t order by 1") == before


@pytest.mark.parametrize("wider", [True, False], ids=["more columns", "another column"])
def test_a_changed_key(checkout: Checkout, wider: bool) -> None:
    """The primary key is that of the definition; what was made under the other key is made again."""
    checkout.change(
        (
            'key = ["dept_id"]',
            'key = ["dept_id", "row_number"]' if wider else 'key = ["row_number"]\nscope = "dept_id"',
        ),
        (COLUMN, f'{COLUMN}row_number = ["bigint", "Number"]\n'),
        (SELECTED, f"{SELECTED}    hashtext(c.external_id)::bigint as row_number,\n"),
    )
    checkout.check_full_once_then_incremental()
    key = ["dept_id", "row_number"] if wider else ["row_number"]
    assert checkout.indexes()[f"{TABLE}_pkey"] == f"btree ({', '.join(key)})"
    assert {name for name, (_, not_null) in checkout.columns().items() if not_null} == set(key)


def test_added_and_dropped_indexes(checkout: Checkout) -> None:
    declared = 'indexes = ["dept_group_campus, dept_group_vp_area, dept_group"]'
    before = checkout.indexes()
    old = f"{TABLE}_dept_group_campus_dept_group_vp_area_dept_group_idx"[:63]
    assert before[old] == "btree (dept_group_campus, dept_group_vp_area, dept_group)"
    assert f"{TABLE}_changed_seq_idx" in before
    checkout.change((declared, 'indexes = ["campus_name", "source_systems"]'))
    checkout.upgrade()
    after = checkout.indexes()
    assert old not in after
    assert after[f"{TABLE}_campus_name_idx"] == "btree (campus_name)"
    assert after[f"{TABLE}_source_systems_idx"] == "gin (source_systems)"


@pytest.mark.parametrize(
    "changes",
    [
        [('department_name = ["text", "Name"]', 'department_name = ["varchar", "Name"]')],
        [('key = ["dept_id"]', 'key = ["raw_id"]'), ("indexes =", 'scope = "dept_id"\nindexes =')],
    ],
    ids=["type", "key"],
)
def test_a_definition_that_comes_back_is_filled_anew(checkout: Checkout, changes: list[tuple[str, str]]) -> None:
    """Rolled forward and back without a refresh in between: what the way there emptied is full again."""
    filled = checkout.world.rows(f"select dept_id, department_name from silver.{TABLE} order by 1")
    former = checkout.path.read_text()
    checkout.change(*changes)
    checkout.upgrade()
    checkout.change((checkout.path.read_text(), former))
    checkout.upgrade()
    assert checkout.refresh().mode == "full"
    assert checkout.world.rows(f"select dept_id, department_name from silver.{TABLE} order by 1") == filled
    assert checkout.refresh().mode == "incremental"


@pytest.mark.parametrize("definition", FEW_TABLES, ids=lambda definition: definition.table)
def test_scores_and_keys_are_checked_by_the_table_itself(checkout: Checkout, definition: Definition) -> None:
    wrong = {"data_quality_score": "1.01"} | {
        column.name: "''" for column in definition.columns if column.name in definition.key and column.type == "text"
    }
    for name, value in wrong.items():
        with pytest.raises(Exception, match="23514"):
            checkout.world.administer(f"update {definition.name} set {name} = {value}")
