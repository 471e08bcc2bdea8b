"""Column lineage: through every form of SQL that definitions use, down to the field of a payload."""

from dataclasses import replace

import pytest

from lsats_dagster.transforms.definition import COMPUTED, Definition
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


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.table)
def test_every_column_has_its_origins(definition: Definition) -> None:
    """But constants, and what the engine computes, which the SELECT does not give."""
    found = lineage(definition)
    assert found.keys() == set(definition.selected)
    assert not found.keys() & set(COMPUTED)
    nothing = {name for name, origins in found.items() if not origins}
    assert nothing <= {"source_systems"}
    assert {origin.table for origins in found.values() for origin in origins} <= set(definition.inputs)
