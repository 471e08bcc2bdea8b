"""When a table is due: a declaration that cannot be meant is refused where it stands."""

from datetime import date, timedelta
from typing import Any

import pytest

from lsats_dagster.source import NIGHTLY, Cadence, DetailSchedule, Source, Weekday, weekly
from lsats_dagster.sources import tdx

WEEK = [date(2026, 6, 29) + timedelta(days=days) for days in range(7)]  # from a Monday


def test_a_weekly_table_is_due_on_its_day_only() -> None:
    sundays = weekly(Weekday.SUNDAY)
    assert [day for day in WEEK if sundays.is_due_on(day)] == [date(2026, 7, 5)]
    # From one Sunday night to the next it is not late, also when the clocks change.
    assert sundays.warn_after > timedelta(days=7, hours=1)
    assert all(NIGHTLY.is_due_on(day) for day in WEEK)


@pytest.mark.parametrize("night", [6, "SUNDAY", date(2026, 7, 5)])
def test_a_night_that_is_no_weekday_is_refused(night: Any) -> None:
    with pytest.raises(ValueError, match="Weekday"):
        weekly(night)


def test_a_cadence_that_is_late_before_it_warns_is_refused() -> None:
    with pytest.raises(ValueError, match="warns before"):
        Cadence(frozenset({Weekday.SUNDAY}), timedelta(days=9), timedelta(days=8))


@pytest.mark.parametrize("minutes", [7, 0, -30, 90])
def test_details_that_do_not_divide_the_hour_are_refused(minutes: int) -> None:
    with pytest.raises(ValueError, match="equal distances"):
        DetailSchedule(every_minutes=minutes)


def test_the_cron_of_details_repeats_within_the_hour() -> None:
    assert [DetailSchedule(minutes).cron for minutes in (15, 60)] == ["*/15 * * * *", "0 * * * *"]


def declared(**changes: Any) -> Source:
    """The source of the departments with something else in its place."""
    return Source(**{name: getattr(tdx.SOURCE, name) for name in Source.__dataclass_fields__} | changes)


def test_detail_streams_and_their_schedule_go_together() -> None:
    assert declared() == tdx.SOURCE
    for wrong in ({"details": None}, {"streams": (tdx.DEPARTMENTS,)}):
        with pytest.raises(ValueError, match="go together"):
            declared(**wrong)


def test_a_cadence_of_a_table_that_the_source_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="tdx_buildings"):
        declared(cadences={"tdx_buildings": NIGHTLY})


def test_values_of_another_type_are_refused_where_they_are_declared() -> None:
    with pytest.raises(ValueError, match="tdx: what cadences says of tdx_departments is not of type Cadence"):
        declared(cadences={"tdx_departments": Weekday.SUNDAY})
    with pytest.raises(ValueError, match="tdx: details is not of type DetailSchedule"):
        declared(details=30)
