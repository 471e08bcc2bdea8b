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
# Stream -> a field of its records that names a person.
NAMES = {
    "tdx/user": "LastName", "umich_api/user": "LastName", "mcommunity_ldap/user": "sn", "active_directory/user": "sn",
    "lab_awards/lab_award": "Person Last Name",
}  # fmt: skip


@pytest.mark.budget(25, "the whole hub")
def test_a_failure_at_the_people_names_nobody(
    operation: Operation, channels: Channels, caplog: pytest.LogCaptureFixture
) -> None:
    """The channels look into what was sent and logged when the test is over."""
    hub = replace(operation, definitions=build_definitions())
    people = [stream for stream in STREAMS if stream.name in NAMES]
    for stream in people:
        key, _ = place_of_canary(hub.campus, stream.name)
        field = NAMES[stream.name]
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
    for stream in people:
        assert hub.sql(f"select 1 from silver.{stream.table} t where t::text like '%{PERSON}%'"), stream.table
