"""The whole asset graph as Dagster shows it: it loads anywhere, says all about every table, and changes on purpose only."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from lsats_dagster import definitions as definitions_module
from lsats_dagster.cli.execution import CODE_LOCATION
from lsats_dagster.definitions import build_definitions
from lsats_dagster.ingestion.stream import DetailStream
from lsats_dagster.settings import REPOSITORY
from lsats_dagster.sources import SOURCES, STREAMS
from lsats_dagster.transforms.definition import Definition, tables_read
from lsats_dagster_tests.conftest import DEFINITIONS, source_of
from lsats_dagster_tests.hubs import FEW, FEW_TABLES, WHOLE_KEYS, few_definitions

SNAPSHOT = Path(__file__).with_name("graph_snapshot.txt")
BIN = Path(sys.executable).parent
# Refuses the network from within, where no rights are needed for it, and says what was tried.
LOAD = """
import os, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(2, f"network: {event} {arguments}".encode())
        os._exit(3)
sys.addaudithook(refuse)
import dagster as dg
from lsats_dagster.definitions import build_definitions
hub = build_definitions()
dg.Definitions.validate_loadable(hub)
print(*sorted(key.to_user_string() for key in hub.resolve_asset_graph().get_all_asset_keys()))
"""


def empty_instance(folder: Path) -> Path:
    """A DAGSTER_HOME whose instance keeps everything in this folder."""
    (folder / "dagster.yaml").touch()
    return folder


@cache
def definitions() -> dg.Definitions:
    return build_definitions()


def node(key: str) -> Any:
    return definitions().resolve_asset_graph().get(dg.AssetKey(key.split("/")))


def bare(home: Path) -> dict[str, str]:
    """The least environment that a command can have."""
    return {"PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(home)}


def test_loads_in_a_new_interpreter_without_environment_and_network(tmp_path: Path) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split() == sorted(WHOLE_KEYS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", [("dagster", "definitions", "validate", "-w", "workspace.yaml"), ("dg", "check", "defs")]
)
def test_both_of_dagsters_ways_load_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=REPOSITORY,
        # Without an instance of its own, Dagster takes the dagster.yaml of the checkout, which wants a storage.
        env=bare(tmp_path) | {"DAGSTER_HOME": str(empty_instance(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hub_has_one_name_and_module_however_it_is_loaded() -> None:
    """Dagster keeps the state of schedules and the history of runs by the name of the location."""
    (location,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    project = tools["dg"]["project"]
    assert {tuple(sorted(named)) for named in (
        {location["python_module"]["location_name"], location["python_module"]["module_name"]},
        {tools["dagster"]["code_location_name"], tools["dagster"]["module_name"]},
        {project["code_location_name"], project["code_location_target_module"]},
        {CODE_LOCATION, definitions_module.__name__},
    )} == {("lsats_dagster", "lsats_dagster.definitions")}  # fmt: skip


def test_people_read_what_a_sensor_targets() -> None:
    """Dagster shows a selection that it cannot write in its own words as Python."""
    for sensor in definitions().get_repository_def().sensor_defs:
        if sensor.asset_selection is not None:
            shown = str(sensor.asset_selection)
            assert "AssetSelection(" not in shown
            assert dg.AssetSelection.from_string(shown) == sensor.asset_selection


def test_definitions_are_new_each_time_and_take_other_resources() -> None:
    marker = dg.ResourceDefinition.none_resource()
    assert few_definitions() is not few_definitions()
    assert (build_definitions(FEW, FEW_TABLES, {"hub": marker}).resources or {})["hub"] is marker
    assert (few_definitions().resources or {})["hub"] is not marker


def described(name: str, entries: Mapping[str, object]) -> list[str]:
    return [name, *(f"    {label}: {value}" for label, value in entries.items() if value not in (None, "", "-"))]


def listed(values: Any) -> str:
    return ", ".join(sorted(str(value) for value in values)) or "-"


def keys_of(keys: Any) -> str:
    return listed(key.to_user_string() for key in keys)


def graph_as_text() -> str:
    """Everything of the graph that somebody else relies on, one fact per line."""
    found = definitions()
    repository = found.get_repository_def()
    lines = []
    for key in sorted(WHOLE_KEYS):
        asset = node(key)
        lines += described(
            f"asset {key}",
            {
                "deps": keys_of(asset.parent_keys),
                "group": asset.group_name,
                "owners": listed(asset.owners),
                "kinds": listed(asset.kinds),
                "tags": listed(f"{n}={v}" for n, v in asset.tags.items() if not n.startswith("dagster/kind/")),
                "checks": listed(check.name for check in asset.check_keys),
                "follows its inputs": asset.automation_condition is not None,
            },
        )
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            selected = keys_of(job.asset_layer.executable_asset_keys)
            tags = listed(f"{n}={v}" for n, v in job.tags.items())
            lines += described(f"job {job.name}", {"selection": selected, "tags": tags})
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        when = f"{schedule.cron_schedule} {schedule.execution_timezone}"
        entries = {"job": schedule.job_name, "when": when, "at first": schedule.default_status.value}
        lines += described(f"schedule {schedule.name}", entries)
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        entries = {
            "kind": sensor.sensor_type.value,
            "jobs": listed(target.job_name for target in sensor.targets),
            "every": f"{sensor.minimum_interval_seconds} s",
            "at first": sensor.default_status.value,
        }
        lines += described(f"sensor {sensor.name}", entries)
    return "\n".join(lines) + "\n"


def test_the_graph_is_as_the_snapshot_says() -> None:
    text = graph_as_text()
    if os.environ.get("UPDATE_SNAPSHOT") == "1":
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8"), (
        "the graph changed; if that is meant, run these tests with UPDATE_SNAPSHOT=1 and review the difference"
    )


@pytest.mark.parametrize("key", WHOLE_KEYS)
def test_an_asset_says_everything_about_its_table(key: str) -> None:
    asset = node(key)
    layer, table = key.split("/")
    assert asset.owners == ["team:lsats"]
    assert {"postgres"} < asset.kinds
    grain, _, rest = asset.description.partition("\n")
    assert grain.startswith("One ")
    assert grain.endswith(".")
    assert len(rest.strip()) > 30
    assert asset.metadata["dagster/table_name"] == f"{layer}.{table}"
    columns = asset.metadata["dagster/column_schema"].columns
    assert len({column.name for column in columns}) == len(columns) > 5
    assert [column.name for column in columns if not (column.type and column.description)] == []
    assert 1 <= len(asset.check_keys) <= 4


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_an_asset_of_a_stream_belongs_to_its_source(stream: Any) -> None:
    asset = node(f"{stream.layer}/{stream.table}")
    assert asset.group_name == asset.tags["lsats/source"] == source_of(stream).name
    asked_by = stream.list_stream if isinstance(stream, DetailStream) else stream.parent
    assert [key.to_user_string() for key in asset.parent_keys] == ([asked_by.label] if asked_by else [])


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.table)
def test_a_silver_asset_depends_on_what_its_sql_reads(definition: Definition) -> None:
    asset = node(definition.name.replace(".", "/"))
    read = tables_read(definition.select)
    assert definition.name not in read
    assert set(definition.inputs) == read
    assert {".".join(key.path) for key in asset.parent_keys} == {t for t in read if not t.startswith("curated.")}
    assert asset.group_name == f"silver_{definition.path.parent.name}"
    assert asset.code_version == definition.hash[:12]
    # A reach query sees the table itself and the inputs, nothing else: no other change would call it.
    for reach in definition.reach.values():
        assert reach.query is None or tables_read(reach.query) <= {*read, definition.name}


def test_a_source_job_holds_all_that_is_made_of_its_source_alone() -> None:
    for source in SOURCES:
        job = definitions().resolve_job_def(f"{source.name}_ingest")
        keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        assert {stream.label for stream in source.streams} <= keys
        for key in keys:
            assert {parent.to_user_string() for parent in node(key).parent_keys} <= keys


def test_the_daily_job_holds_every_table() -> None:
    job = definitions().resolve_job_def("hub_daily")
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == set(WHOLE_KEYS)


def test_whatever_follows_its_inputs_is_looked_after() -> None:
    """Who has a condition but no sensor would never be refreshed, without a word."""
    sensor = definitions().resolve_sensor_def("silver_follows_inputs")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    looked_after = sensor.asset_selection.resolve(definitions().resolve_asset_graph())
    assert {key for key in WHOLE_KEYS if node(key).automation_condition} == set(
        map(dg.AssetKey.to_user_string, looked_after)
    )
    assert {key.path[0] for key in looked_after} == {"silver"}


def test_schedules_run_in_the_time_of_the_university() -> None:
    schedules = definitions().get_repository_def().schedule_defs
    assert schedules
    assert {schedule.execution_timezone for schedule in schedules} == {"America/Detroit"}
