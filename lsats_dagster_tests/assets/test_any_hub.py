"""A hub of any sources and tables: a declaration is all it takes to have assets, jobs and schedules."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import dagster as dg
import pytest

from lsats_dagster.definitions import build_definitions
from lsats_dagster.ingestion.stream import Before, DetailStream, Extract, ListStream, Record
from lsats_dagster.settings import SourceSettings
from lsats_dagster.source import Cadence, DetailSchedule, Source, Terms, Weekday, weekly
from lsats_dagster_tests.assets.conftest import Dagster, assets_of, failures

SINCE = "2026-06-01T08:00:00-04:00"
ROOMS = [{"ID": str(number), "Name": f"Room {number}"} for number in range(5)]
JOBS = {"library_ingest", "library_backfill", "library_details", "hub_daily"}


class LibrarySettings(SourceSettings):
    """An address, which this source never calls."""

    ways: ClassVar = (("library_address",),)

    library_address: str = "library.example.edu"


class Library:
    """A client that has its rooms in memory, and notes what each reading knew."""

    def __init__(self) -> None:
        self.befores: list[Before] = []

    def close(self) -> None:
        """Nothing is open."""


def identity(record: Record) -> str:
    return str(record["ID"])


def read_rooms(client: Library, extract: Extract) -> Iterator[list[Any]]:
    client.befores.append(extract.before)
    yield list(ROOMS)
    if extract.before.since is None:
        extract.complete("end of the list in memory")
    else:
        extract.changes(extract.before.since.isoformat())


def read_shelves(_client: Library, extract: Extract) -> Iterator[list[Any]]:
    yield [{"ID": f"{room}-1"} for room in extract.before.parent_keys()]
    extract.complete("every room was asked")


ABOUT: dict[str, Any] = {
    "source_system": "library",
    "key": identity,
    "description": "Invented for this test, in memory.",
}
ROOM_LIST = ListStream(
    **ABOUT,
    entity_type="room",
    table="library_rooms",
    row="One room.",
    whole_every=timedelta(days=7),
    read=read_rooms,
)
SHELVES = ListStream(
    **ABOUT, entity_type="shelf", table="library_shelves", row="One shelf.", parent=ROOM_LIST, read=read_shelves
)
ROOM_DETAILS = DetailStream(
    **ABOUT,
    entity_type="room_detail",
    table="library_room_details",
    row="One room in full.",
    list_stream=ROOM_LIST,
    fetch=lambda _client, key: {"ID": key, "Seats": 12},
)


def library(client: Library, *streams: Any, cadences: Mapping[str, Cadence] | None = None) -> Source:
    """A source of these streams."""

    def open_client(_settings: LibrarySettings, _terms: Terms) -> Library:
        return client

    return Source(
        name="library",
        title="Library",
        settings=LibrarySettings,
        open_client=open_client,
        transport="file",
        streams=streams,
        cadences=cadences or {},
        details=DetailSchedule() if any(isinstance(stream, DetailStream) for stream in streams) else None,
    )


def run(dagster: Dagster, definitions: dg.Definitions, job: str, config: Any = None) -> None:
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=dagster.instance, run_config=config, raise_on_error=False
    )
    assert result.success, failures(result)


def test_a_source_alone_makes_a_hub() -> None:
    definitions = build_definitions([library(Library(), ROOM_LIST, SHELVES, ROOM_DETAILS)], [])
    dg.Definitions.validate_loadable(definitions)
    repository = definitions.get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= JOBS
    schedules = {schedule.name: schedule.job_name for schedule in repository.schedule_defs}
    assert schedules == {"hub_daily_at_two": "hub_daily", "library_details_all_day": "library_details"}
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in asset.asset_deps[key]}
        for asset in assets_of(definitions)
        for key in asset.keys
    }
    rooms = {"bronze/library_rooms"}
    assert parents == {
        "bronze/library_rooms": set(), "bronze/library_shelves": rooms, "enriched/library_room_details": rooms,
    }  # fmt: skip


@pytest.mark.parametrize("job", ["library_ingest", "library_backfill"])
def test_since_reaches_the_reader(dagster: Dagster, job: str) -> None:
    client = Library()
    definitions = build_definitions([library(client, ROOM_LIST, SHELVES, ROOM_DETAILS)], [])
    asked = {"since": SINCE}
    run(dagster, definitions, job)
    run(
        dagster, definitions, job,
        asked if job.endswith("backfill") else {"ops": {"bronze__library_rooms": {"config": asked}}},
    )  # fmt: skip
    assert [before.since for before in client.befores] == [None, datetime(2026, 6, 1, 12, tzinfo=UTC)]
    stored = "select entity_type, count(*) from bronze.current_entities group by 1 order by 1"
    assert dagster.sql(stored) == [("room", 5), ("room_detail", 5), ("shelf", 5)]


@pytest.mark.parametrize("since", ["2026-06-01T08:00:00", "yesterday"])
def test_a_moment_without_its_zone_is_refused(dagster: Dagster, since: str) -> None:
    client = Library()
    definitions = build_definitions([library(client, ROOM_LIST)], [])
    result = definitions.resolve_job_def("library_backfill").execute_in_process(
        instance=dagster.instance, run_config={"since": since}, raise_on_error=False
    )
    assert "since is no moment with a zone" in failures(result)["bronze/library_rooms"]
    assert client.befores == []


def test_only_a_source_that_can_tell_what_changed_is_asked_since_when() -> None:
    can = build_definitions([library(Library(), ROOM_LIST)], [])
    cannot = build_definitions([library(Library(), SHELVES)], [])
    asked = {"since": SINCE}
    assert dg.validate_run_config(can.resolve_job_def("library_backfill"), asked)
    assert dg.validate_run_config(cannot.resolve_job_def("library_backfill"), {"full": True})
    with pytest.raises(dg.DagsterInvalidConfigError, match="since"):
        dg.validate_run_config(cannot.resolve_job_def("library_backfill"), asked)


def test_a_night_on_which_nothing_is_due_runs_nothing() -> None:
    sundays = {"library_rooms": weekly(Weekday.SUNDAY)}
    definitions = build_definitions([library(Library(), ROOM_LIST, cadences=sundays)], [])
    nights = []
    for day in (4, 5):
        at = datetime(2026, 7, day, 6, tzinfo=UTC)
        tick = definitions.resolve_schedule_def("hub_daily_at_two").evaluate_tick(
            dg.build_schedule_context(scheduled_execution_time=at)
        )
        nights.append([request.asset_selection for request in tick.run_requests or []])
    assert nights == [[], [[dg.AssetKey(["bronze", "library_rooms"])]]]
