"""The campus lives: days, determinism, its state, its end."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lsats_dagster.demo.campus import Campus, CampusError, running_campus
from lsats_dagster_tests.demo.conftest import (
    ACCOUNTS,
    ASSET_DETAILS,
    ASSETS,
    DEPARTMENTS,
    DETAILS,
    PATIENCE,
    REPOSITORY,
    STREAMS,
    USER_DETAILS,
    USERS,
    Visitor,
    claims,
    moment,
)

# The life of the campus


def _comparable(stream: str, payload: dict[str, Any]) -> dict[str, Any]:
    """What a hub would hash: volatile fields and choice lists left out."""
    kept = {name: value for name, value in payload.items() if not name.startswith("Modified")}
    if stream.endswith("_detail"):
        kept["Attributes"] = [
            {n: v for n, v in attribute.items() if n != "Choices"} for attribute in kept["Attributes"]
        ]
    return kept


def test_days_report_exactly_the_difference_and_bring_enough(campus: Campus) -> None:
    seen: dict[str, set[str]] = {stream: set(campus.truth(stream)) for stream in STREAMS}
    for day in range(1, 8):
        before = {stream: campus.truth(stream) for stream in STREAMS}
        report = campus.live_one_day()
        assert campus.day() == day
        for stream in STREAMS:
            old, new, brought = before[stream], campus.truth(stream), report[stream]
            appeared = new.keys() - old.keys()
            assert brought.new == sorted(appeared - seen[stream])
            assert brought.returned == sorted(appeared & seen[stream])
            assert brought.removed == sorted(old.keys() - new.keys())
            assert brought.changed == sorted(
                key for key in old.keys() & new.keys() if _comparable(stream, old[key]) != _comparable(stream, new[key])
            )
            seen[stream] |= new.keys()
            assert len(brought.new) >= 2
            assert len(brought.changed) >= 2
            assert len(brought.removed) >= 1
            assert len(brought.returned) == (day % 3 == 0)
        for lists, details in ((ACCOUNTS, DETAILS), (ASSETS, ASSET_DETAILS)):
            attribute_only = set(report[details].changed) - set(report[lists].changed)
            listed = campus.truth(lists)
            assert attribute_only
            for key in attribute_only:
                assert listed[key]["ModifiedDate"] != before[lists][key]["ModifiedDate"]
        assert report[USER_DETAILS] == report[USERS], "nothing tells of what only the detail shows: no day brings it"


def _answers(visitor: Visitor) -> list[bytes]:
    return [
        visitor.get("/accounts").content,
        visitor.search().content,
        *(visitor.get(f"/accounts/{key}").content for key in sorted(visitor.found())[:20]),
        visitor.page().content,
    ]


def test_same_seed_and_operations_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def history(seed: int) -> list[bytes]:
        with running_campus(seed=seed) as campus:
            campus.live_one_day()
            added = campus.add(ACCOUNTS)
            campus.put(ACCOUNTS, added, {"Notes": "x"})
            campus.live_one_day()
            return _answers(Visitor(campus))

    monkeypatch.setenv("PYTHONHASHSEED", "1")
    once = history(7)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert history(7) == once
    assert history(8)[1] != once[1]


def test_reset_gives_the_first_day_back(campus: Campus) -> None:
    visitor = Visitor(campus)
    first = _answers(visitor)
    added = campus.add(ACCOUNTS)
    campus.live_one_day()
    campus.advance(100_000)
    campus.double(ACCOUNTS, min(campus.truth(ACCOUNTS)), {"Name": "Twin"})
    campus.reorder(DEPARTMENTS, 3)
    campus.delete(DEPARTMENTS, min(campus.truth(DEPARTMENTS)))
    campus.put(ACCOUNTS, min(campus.truth(ACCOUNTS)), {"Name": "Other"})
    campus.poison(ACCOUNTS, ["null"])
    campus.poison_detail(DETAILS, min(campus.truth(ACCOUNTS)), "null")
    campus.fault("tdx/accounts", "status", times=None)
    campus.limit("tdx", 1, 60)
    campus.limit("gateway", 1, 60)
    campus.token_lifetime("tdx", 5)
    campus.empty_collections("list")
    campus.single_as_object(True)
    campus.page_size(1)
    campus.reset()
    assert (campus.day(), campus.calls()) == (0, {})
    assert visitor.get("/accounts").status_code == 401
    visitor = Visitor(campus)
    assert _answers(visitor) == first
    token = visitor.login()
    assert claims(token.text)["exp"] - moment(token, "Date") == pytest.approx(86_400, abs=2)
    assert moment(token, "Date") == pytest.approx(time.time(), abs=PATIENCE)
    assert token.headers["X-RateLimit-Limit"] == "60"
    assert campus.add(ACCOUNTS) == added


def test_a_campus_that_began_later_is_reset_to_its_first_day(tmp_path: Path) -> None:
    state = tmp_path / "campus.json"
    with running_campus(state=state) as campus:
        first = campus.truth(DETAILS)
        campus.live_one_day()
        campus.live_one_day()
        third = campus.truth(DETAILS)
    with running_campus(state=state) as campus:
        campus.reset()
        assert (campus.day(), campus.truth(DETAILS)) == (0, first)
        campus.live_one_day()
        campus.live_one_day()
        assert campus.truth(DETAILS) == third, "what records share, such as lists of choices, is shared as before"


def test_state_carries_the_day_to_the_next_start(tmp_path: Path) -> None:
    state = tmp_path / "new" / "campus.json"
    with running_campus(state=state) as campus:
        campus.live_one_day()
        campus.put(ACCOUNTS, min(campus.truth(ACCOUNTS)), {"Notes": "kept with the next day"})
        campus.poison(ACCOUNTS, ["null"])
        campus.live_one_day()
        truth = campus.truth(ACCOUNTS)
    with running_campus(state=state) as campus:
        assert (campus.day(), campus.truth(ACCOUNTS)) == (2, truth)
        assert len(Visitor(campus).search().json()) == len(truth), "how sources answer is as at every start"
    with pytest.raises(CampusError), running_campus(seed=8, state=state):
        pass
    state.write_text("{")
    with pytest.raises(CampusError), running_campus(state=state):
        pass


def test_a_campus_kept_by_another_version_lives_its_days_anew(tmp_path: Path) -> None:
    state = tmp_path / "campus.json"
    with running_campus(state=state) as campus:
        campus.live_one_day()
        truth = campus.truth(ASSETS)
        campus.live_one_day()
    about, _, kept = state.read_bytes().partition(b"\n")
    state.write_bytes(json.dumps(json.loads(about) | {"day": 1, "version": "another"}).encode() + b"\n" + kept)
    with running_campus(state=state) as campus:
        assert (campus.day(), campus.truth(ASSETS)) == (1, truth)


def test_campus_ends_with_a_parent_that_was_killed() -> None:
    program = """
import signal
from urllib.parse import urlsplit
from lsats_dagster.demo.campus import running_campus
with running_campus() as campus:
    print(urlsplit(campus.environment["TDX_BASE_URL"]).port, flush=True)
    signal.pause()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert parent.stdout is not None
    with parent:
        port = int(parent.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            parent.kill()
            # The connection ends with the campus: closed, or reset if the campus had not taken it yet.
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
