"""A run can be stopped at any time: it ends, says so, and leaves no open row and nothing half done."""

import signal
import subprocess
from pathlib import Path

import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster.settings import REPOSITORY
from lsats_dagster_tests.automation.aids import PATIENCE, wait_until
from lsats_dagster_tests.cli.aids import Lsats, rows
from lsats_dagster_tests.hubs import LSATS_OF_FEW


@pytest.mark.budget(6, "a process of its own that loads Dagster, between runs in this one")
@pytest.mark.engine
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
@pytest.mark.parametrize(
    ("selection", "route"),
    [("bronze/tdx_departments", "tdx/accounts/search"), ("enriched/tdx_department_details", "tdx/accounts/{id}")],
)
def test_an_interrupt_ends_a_run(
    lsats: Lsats, variables: dict[str, str], campus: Campus, url: str, tmp_path: Path,
    selection: str, route: str, sent: signal.Signals,
) -> None:  # fmt: skip
    if selection.startswith("enriched"):
        assert lsats("run", "bronze/tdx_departments").returncode == 0
    campus.reset_calls()
    campus.fault(route, "hang", times=None)
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [*LSATS_OF_FEW, "run", selection],
            cwd=tmp_path,
            # So long is a silent source waited for.
            env=variables | {"HTTP_READ_SECONDS": "5", "PYTHONPATH": str(REPOSITORY)},
            stdout=said,
            stderr=said,
        )
    try:
        wait_until(lambda: campus.calls().get(route), "the call that hangs")
        process.send_signal(sent)
        assert process.wait(timeout=PATIENCE) == 1
    finally:
        process.kill()
        process.wait()
    text = (tmp_path / "said").read_text()
    assert "Traceback" not in text
    assert f"❌ {selection}: stopped" in " ".join(text.split())
    # `lsats status` and `lsats runs` show it in the same words.
    asset = "select status, error_message like 'stopped; %' from meta.ingestion_runs where asset_key = :key"
    assert rows(url, asset.replace(":key", f"'{selection}'")) == [("failed", True)]
    campus.clear_faults()
    assert lsats("run", selection).returncode == 0
