"""Column lineage: through every form of SQL that definitions use, down to the field of a payload."""

from dataclasses import replace

import pytest

from lsats_dagster.transforms.definition import COMPUTED, Definition, DefinitionError
from lsats_dagster.transforms.lineage import lineage
from lsats_dagster.transforms.steps import Step
from lsats_dagster_tests.conftest import DEFINITIONS

BY_TABLE = {definition.table: definition for definition in DEFINITIONS}
SHAPES = {
    "a CTE and a star": (
        "with a as (select * from silver.tdx_departments) select a.dept_id as x from a", ["silver.tdx_departments: dept_id"],
    ),
    "a union": (
        "select u.x from (select dept_id as x from silver.umapi_departments union all "
        "select parent_id::text from silver.tdx_departments) u",
        ["silver.tdx_departments: parent_id", "silver.umapi_departments: dept_id"],
    ),
    "a recursion": (
        "with recursive r as (select tdx_id, parent_id from silver.tdx_departments union "
        "select r.tdx_id, d.parent_id from r join silver.tdx_departments d on d.tdx_id = r.parent_id) "
        "select r.parent_id as x from r",
        ["silver.tdx_departments: parent_id"],
    ),
    "a window": (
        "select row_number() over (partition by t.dept_id order by t.is_active) as x from silver.tdx_departments t",
        ["silver.tdx_departments: dept_id", "silver.tdx_departments: is_active"],
    ),
    "an aggregate, not its join": (
        "select array_agg(t.tdx_id) as x from silver.tdx_departments t join silver.umapi_departments u on u.dept_id = t.dept_id",
        ["silver.tdx_departments: tdx_id"],
    ),
    "a record of a payload": (
        'select clean.text(f."Name") as x from bronze.tdx_departments d '
        'cross join lateral jsonb_to_record(d.payload) f ("Name" jsonb)',
        ["bronze.tdx_departments: Name"],
    ),
    "a path": ("select d.payload -> 'Code' as x from bronze.tdx_departments d", ["bronze.tdx_departments: Code"]),
    "the members of a list": (
        "select m.member as x from bronze.tdx_departments d "
        "cross join lateral jsonb_array_elements(d.payload -> 'Attributes') m (member)",
        ["bronze.tdx_departments: Attributes"],
    ),
    "a subquery in an expression": (
        "select (select max(u.dept_id) from silver.umapi_departments u where u.dept_id = t.dept_id) as x "
        "from silver.tdx_departments t",
        ["silver.umapi_departments: dept_id"],
    ),
    "a recursion whose columns change places": (
        "with recursive r as (select tdx_id::text as a, dept_id as b from silver.tdx_departments union all "
        "select r.b, d.department_name from r join silver.tdx_departments d on d.dept_id = r.a) select r.a as x from r",
        ["silver.tdx_departments: department_name", "silver.tdx_departments: dept_id", "silver.tdx_departments: tdx_id"],
    ),
    "a window with a name": (
        "select row_number() over w as x from silver.tdx_departments t window w as (partition by t.dept_id order by t.is_active)",
        ["silver.tdx_departments: dept_id", "silver.tdx_departments: is_active"],
    ),
    "a column without its table's name": (
        "select external_id as x from bronze.tdx_departments d join silver.tdx_departments t on t.tdx_id = d.seq",
        ["bronze.tdx_departments: external_id"],
    ),
    "a payload by another name": (
        "with n as (select case when is_present then payload end as p from bronze.tdx_departments) "
        "select coalesce(n.p, '{}') -> 'Code' as x from n",
        ["bronze.tdx_departments: is_present", "bronze.tdx_departments: Code"],
    ),
    "a path of several steps": (
        "select (d.payload::jsonb #>> '{Manager,Name}') || d.payload['Code'] || (d.payload -> 'Phones' -> 0 ->> 'Number') as x "
        "from bronze.tdx_departments d",
        ["bronze.tdx_departments: Code", "bronze.tdx_departments: Manager", "bronze.tdx_departments: Phones"],
    ),
    "a field whose name is a value": (
        "select d.payload -> t.dept_id as x from bronze.tdx_departments d cross join silver.tdx_departments t",
        ["bronze.tdx_departments: payload", "silver.tdx_departments: dept_id"],
    ),
    "a function of the hub that gives rows": (
        "select m.value as x from bronze.tdx_departments d, clean.members(d.payload -> 'Attributes') m",
        ["bronze.tdx_departments: Attributes"],
    ),
    "members by the name of their function": (
        "select m ->> 'ID' as x from bronze.tdx_departments d cross join lateral jsonb_array_elements(d.payload -> 'Tags') m",
        ["bronze.tdx_departments: Tags"],
    ),
    "members of an array": (
        "select m as x from silver.tdx_departments t cross join unnest(string_to_array(t.dept_notes, ',')) m",
        ["silver.tdx_departments: dept_notes"],
    ),
    "one of several columns of values": (
        "select v.given as x from silver.tdx_departments t "
        "cross join lateral (values ('code', t.dept_id), ('name', t.department_name)) v (kind, given)",
        ["silver.tdx_departments: department_name", "silver.tdx_departments: dept_id"],
    ),
    "the other column of values": (
        "select v.name as x from silver.tdx_departments t "
        "cross join lateral (values (t.dept_id, t.department_name)) v (code, name)",
        ["silver.tdx_departments: department_name"],
    ),
    "constants in values": ("select v.kind as x from (values ('code', 1), ('name', 2)) v (kind, rank)", []),
    "a lateral subquery": (
        "select l.found as x from silver.tdx_departments t cross join lateral ("
        "select t.dept_id || u.college_name as found from silver.umapi_departments u limit 1) l",
        ["silver.tdx_departments: dept_id", "silver.umapi_departments: college_name"],
    ),
    "one of several columns of a lateral subquery": (
        "select l.code as x from silver.tdx_departments t cross join lateral ("
        "select t.dept_id as code, u.college_name as college from silver.umapi_departments u limit 1) l",
        ["silver.tdx_departments: dept_id"],
    ),
    "what is asked whether it exists": (
        "select exists (select from silver.umapi_departments u where u.dept_id = t.dept_id union select where t.is_active) as x "
        "from silver.tdx_departments t",
        ["silver.tdx_departments: dept_id", "silver.tdx_departments: is_active", "silver.umapi_departments: dept_id"],
    ),
    "a row as a whole": (
        "with n as (select dept_id, tdx_id from silver.tdx_departments) select to_jsonb(n) as x from n",
        ["silver.tdx_departments: dept_id", "silver.tdx_departments: tdx_id"],
    ),
    "a constant": ("select 'tdx' as x from silver.tdx_departments t", []),
}  # fmt: skip


def of(select: str, **changes: object) -> list[str]:
    """What the column x of a SELECT is made from."""
    inputs = {name: found for definition in DEFINITIONS for name, found in definition.reach.items()}
    columns = {d.name: tuple(column.name for column in d.columns) for d in DEFINITIONS}
    found = replace(BY_TABLE["departments"], select=select, reach=inputs, input_columns=columns, **changes)  # type: ignore[arg-type]
    return [str(origin) for origin in lineage(found)["x"]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_column_is_followed_through(shape: str) -> None:
    select, origins = SHAPES[shape]
    assert of(select) == origins


@pytest.mark.parametrize(
    "select",
    [
        "with n as (select * from bronze.tdx_departments) select n.external_id as x from n",
        "select payload as x from bronze.tdx_departments d cross join enriched.tdx_department_details e",
        "select t.no_such_column as x from silver.tdx_departments t",
        "select no_such_column as x from silver.tdx_departments t",
        "select t.renamed as x from silver.tdx_departments t (renamed)",
        "select count(d.*) as x from bronze.tdx_departments d",
    ],
)
def test_a_column_that_cannot_be_followed_is_told_and_not_left_out(select: str) -> None:
    with pytest.raises(DefinitionError, match=r"^departments\.sql: .*column"):
        of(select)


def test_what_a_step_gives_is_made_from_all_that_it_is_given() -> None:
    step = Step(
        "grouped", "select dept_id, department_name from silver.umapi_departments", "linked_groups", {"dept_id": "text"}
    )
    assert of("select g.dept_id as x from grouped g", steps=(step,)) == [
        "silver.umapi_departments: department_name", "silver.umapi_departments: dept_id"
    ]  # fmt: skip


def test_telling_columns_of_the_hub() -> None:
    departments = {name: [str(o) for o in found] for name, found in lineage(BY_TABLE["departments"]).items()}
    assert departments["department_name"] == [
        "silver.tdx_departments: department_name", "silver.umapi_departments: department_name"
    ]  # fmt: skip
    assert departments["parent_dept_id"] == ["silver.tdx_departments: dept_id"]
    assert "silver.umapi_departments: department_name" in departments["field_sources"]
    accounts = {name: [str(o) for o in found] for name, found in lineage(BY_TABLE["tdx_departments"]).items()}
    assert accounts["attributes"] == ["enriched.tdx_department_details: Attributes"]
    assert "bronze.tdx_departments: Code" in accounts["quality_flags"]


# Columns that say which input or list a row is from.
CONSTANT = {
    "directory_objects": ("kind", "source_system", "source_table"),
    "group_members": ("is_direct_member", "in_ad", "in_mcommunity"),
    "group_owners": ("owner_kind",),
    "person_records": ("source_table",),
    "unlinked_records": ("entity",),
    "users": ("ou_department_ids",),
}


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.table)
def test_every_column_has_its_origins(definition: Definition) -> None:
    """But constants, and what the engine computes, which the SELECT does not give."""
    found = lineage(definition)
    assert found.keys() == set(definition.selected)
    assert not found.keys() & set(COMPUTED)
    nothing = {name for name, origins in found.items() if not origins}
    assert nothing <= {"source_systems", *CONSTANT.get(definition.table, ())}
    assert {origin.table for origins in found.values() for origin in origins} <= set(definition.inputs)


def test_following_columns_leaves_the_parsed_select_as_it_was() -> None:
    """Precedence and explanation read it too."""
    definition = BY_TABLE["departments"]
    before = definition.tree.sql(dialect="postgres")
    assert lineage(definition) == definition.origins
    assert definition.tree.sql(dialect="postgres") == before
