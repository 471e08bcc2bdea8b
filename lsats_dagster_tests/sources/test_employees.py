"""Appointments of the gateway: their number comes as number or text (sources.md 12; 24, Q9)."""

from lsats_dagster.sources.umich_api import EMPLOYEES
from lsats_dagster_tests.conftest import Hub


def test_a_record_number_that_comes_as_text_makes_no_new_version(wired_hub: Hub) -> None:
    campus = wired_hub.campus
    campus.limit("gateway", 100_000, 60)
    wired_hub.run(EMPLOYEES)
    for key, row in list(campus.truth(EMPLOYEES.name).items())[:9]:
        other = int(row["EmplRcd"]) if isinstance(row["EmplRcd"], str) else str(row["EmplRcd"])
        campus.put(EMPLOYEES.name, key, {"EmplRcd": other})
    counts = wired_hub.run(EMPLOYEES).counts
    assert (counts.created, counts.updated, counts.removed) == (0, 0, 0)


def test_one_row_that_comes_as_an_object_is_read(wired_hub: Hub) -> None:
    campus = wired_hub.campus
    campus.limit("gateway", 100_000, 60)
    campus.single_as_object(True)
    campus.page_size(2)
    assert wired_hub.run(EMPLOYEES).counts.created == len(campus.truth(EMPLOYEES.name))
