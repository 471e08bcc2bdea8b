"""What the tests of the guides share: a copy of the checkout on a hub database and a campus."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lsats_dagster.demo.campus import Campus
from lsats_dagster_tests.docs.guide import Checkout, copy_of


@pytest.fixture
def checkout(emptied_database: Callable[[], str], campus: Campus, repository: Path, tmp_path: Path) -> Checkout:
    """The copy; its hub database is as the checkout says, without the guide's additions."""
    campus.limit("tdx", 100_000, 60)
    return copy_of(repository, tmp_path / "checkout", {**campus.environment, "DATABASE_URL": emptied_database()})
