"""What exports must not do to the log (sources.md 23.4: A17, A18), and what an older one must not."""

from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.clients.errors import PermanentSourceError
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.sources.documents import COMPUTERS, LAB_AWARDS, USAGE
from lsats_dagster_tests.conftest import Hub
from lsats_dagster_tests.contracts.stream_cases import (
    assert_mirrors,
    keys,
    shown,
)
from lsats_dagster_tests.contracts.stream_kinds import name
from lsats_dagster_tests.contracts.stream_states import changes, log, run_row

every_stream = pytest.mark.parametrize("stream", [LAB_AWARDS, COMPUTERS, USAGE], ids=name)


def kind_of(stream: ListStream[Any]) -> str:
    return "lab_awards" if stream is LAB_AWARDS else "keyconfigure_computers"


def newest(hub: Hub, stream: ListStream[Any]) -> Path:
    return max(hub.campus.exports.glob(f"{kind_of(stream)}*"), key=lambda path: path.stat().st_mtime_ns)


def test_a17_department_ids_that_a_spreadsheet_took_for_numbers_make_the_same_keys(
    source_hub: Hub, other_hub: Hub
) -> None:
    """A column with gaps becomes one of numbers: 185500.0 in place of 185500."""
    source_hub.campus.export("lab_awards", lost_zeros=True)
    other_hub.run(LAB_AWARDS)
    assert_mirrors(other_hub, LAB_AWARDS)
    source_hub.campus.export("lab_awards")
    source_hub.run(LAB_AWARDS)
    before = log(source_hub, LAB_AWARDS)
    for style in ({"lost_zeros": True}, {"encoding": "utf-8-sig"}, {"extra_column": True}):
        source_hub.campus.export("lab_awards", **style)
        run = source_hub.run(LAB_AWARDS)
        assert run.metadata["extract"]["state"] == "complete"
        assert log(source_hub, LAB_AWARDS) == before, style
    assert run.metadata["skipped_by_rule"] == {"without Person Uniqname": 1, "without Person Appt Department Id": 1}


@pytest.mark.parametrize("stream", [COMPUTERS, USAGE], ids=name)
def test_a18_upper_case_macs_with_dashes_make_no_new_entities(stream: ListStream[Any], source_hub: Hub) -> None:
    source_hub.run(stream)
    before = log(source_hub, stream)
    source_hub.campus.export("keyconfigure_computers", dashes=True)
    run = source_hub.run(stream)
    assert (log(source_hub, stream), run.counts.failed) == (before, 0)
    assert run.metadata["skipped_by_rule"] == {"without MAC": 1}
    assert_mirrors(source_hub, stream)


def test_usage_that_moves_makes_versions_of_the_usage_alone(source_hub: Hub) -> None:
    for stream in (COMPUTERS, USAGE):
        source_hub.run(stream)
    machines, used = len(log(source_hub, COMPUTERS)), len(log(source_hub, USAGE))
    source_hub.campus.live_one_day()
    source_hub.campus.live_one_day()
    for stream in (COMPUTERS, USAGE):
        source_hub.run(stream)
        assert_mirrors(source_hub, stream)
    assert changes(source_hub, COMPUTERS, machines) == []
    assert {change for _, change in changes(source_hub, USAGE, used)} == {"changed"}
    assert len(log(source_hub, USAGE)) == 2 * used


@every_stream
def test_an_older_export_is_refused_by_name_and_removes_nothing(stream: ListStream[Any], source_hub: Hub) -> None:
    campus = source_hub.campus
    for _ in range(7):
        campus.live_one_day()
    campus.delete(stream.name, keys(campus, stream)[2])
    source_hub.run(stream)
    before, last = log(source_hub, stream), newest(source_hub, stream)
    older = campus.export(kind_of(stream), older=True)
    # Beside the newer one it is not even looked at.
    assert source_hub.run(stream).metadata["extract"]["file"].startswith(last.name)
    for file in campus.exports.glob(f"{kind_of(stream)}*"):
        if file.name != older:
            file.unlink()
    with pytest.raises(PermanentSourceError, match=f"^{older} is of .* and older than {last.name}"):
        source_hub.run(stream)
    row = run_row(source_hub, stream)
    assert (row.status, row.metadata["extract"]["state"]) == ("failed", "partial")
    assert row.metadata["extract"]["file"].startswith(older)
    (campus.exports / older).unlink()
    with pytest.raises(PermanentSourceError, match=f"holds no file {kind_of(stream)}"):
        source_hub.run(stream)
    assert log(source_hub, stream) == before
    assert len(shown(source_hub, stream)) == len(keys(campus, stream))
    campus.export(kind_of(stream))
    source_hub.run(stream)
    assert_mirrors(source_hub, stream)
