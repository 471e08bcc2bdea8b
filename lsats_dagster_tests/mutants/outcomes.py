"""A pytest plugin: writes which tests failed, and whether by an assertion, for the runner of mutants."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


def asserted(error: BaseException) -> bool:
    """Whether a test found something wrong; any other error shows that the mutant does not even run."""
    if isinstance(error, BaseExceptionGroup):
        return all(asserted(inner) for inner in error.exceptions)
    # The second is what pytest.raises ends with when nothing was raised; a case above its budget has a type of its own.
    return isinstance(error, AssertionError) or type(error) is pytest.fail.Exception


class Outcomes:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.failures: list[dict[str, Any]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            found = report.when != "setup" and asserted(call.excinfo.value)
            self.failures.append({"test": item.nodeid, "error": call.excinfo.typename, "asserted": found})
        return report

    def pytest_sessionfinish(self) -> None:
        self.file.write_text(json.dumps(self.failures))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", metavar="FILE", help="write the failures as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if file := config.getoption("--outcomes"):
        config.pluginmanager.register(Outcomes(Path(file)))
