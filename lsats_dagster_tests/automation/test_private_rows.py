"""A run that fails at the people: what Dagster keeps of it, and what alerts tell of it, names nobody."""

from dataclasses import replace

import pytest

from lsats_dagster.definitions import build_definitions
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.assets.conftest import Dagster
from lsats_dagster_tests.automation.aids import Operation
from lsats_dagster_tests.automation.alert_aids import PERSON, Channels, failure_tick, finding_tick
from lsats_dagster_tests.contracts.test_canaries import QUOTING, place_of_canary

BROKEN = "silver/users"
PEOPLE = ("tdx_users", "umapi_employees", "mcommunity_users", "ad_users", "lab_awards")


@pytest.mark.budget(25, "the whole hub")
def test_a_failure_at_the_people_names_nobody(
    operation: Operation, channels: Channels, caplog: pytest.LogCaptureFixture
) -> None:
    """The channels look into what was sent and logged when the test is over."""
    hub = replace(operation, definitions=build_definitions())
    for stream in STREAMS:
        key, field = place_of_canary(hub.campus, stream.name)
        hub.campus.put(stream.name, key, {field: [PERSON] if field in stream.hash_rule.sets else PERSON})
    hub.sql(QUOTING.format(table=BROKEN.replace("/", ".")))
    assert not hub.run("hub_daily").success
    assert failure_tick(hub)[0] == "1 failed runs, 1 alerts"
    finding_tick(hub)
    assert BROKEN in channels.posted.caught[0]
    told = Dagster(hub.instance, hub.campus, hub.url, caplog).told()
    assert PERSON not in told
    assert BROKEN.replace("/", "__") in told
    # There was something to hide.
    for table in PEOPLE:
        assert hub.sql(f"select 1 from silver.{table} t where t::text like '%{PERSON}%'"), table
