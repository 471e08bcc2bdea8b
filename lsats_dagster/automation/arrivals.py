"""What people drop is read: each arrival once, and again, ever more rarely, as long as its run failed and nothing newer came."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from lsats_dagster.assets.common import asset_key
from lsats_dagster.automation.jobs import INGEST_SUFFIX
from lsats_dagster.clients.errors import SourceError
from lsats_dagster.clients.window import LocalCallWindow
from lsats_dagster.local_time import local
from lsats_dagster.resources import open_client
from lsats_dagster.settings import ConfigurationError, load_settings
from lsats_dagster.source import Source, lacking

# Tag of a run: the arrival that it was asked to read.
ARRIVAL = "lsats/arrival"
# After the first, second, third failure of one arrival, and every further one: as rarely as the nightly run would read it.
PAUSES = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=4), timedelta(days=1))


def arrivals(source: Source) -> dg.SensorDefinition:
    """The sensor that reads what people drop for one source."""
    look = source.arrivals
    assert look is not None
    keys = {stream.table: asset_key(f"{stream.layer}.{stream.table}") for stream in source.streams}

    @dg.sensor(
        name=f"{source.name}_arrivals",
        job_name=f"{source.name}{INGEST_SUFFIX}",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"{source.title}: reads each new file as soon as two looks in a row found it the same; after a failed run again."
        ),
    )
    def read_arrivals(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        if not source.is_set_up:
            return dg.SkipReason(f"{source.title} is not set up: {lacking([source])}")
        try:
            client = open_client(source, load_settings(), LocalCallWindow())
            try:
                lying = look(client)
            finally:
                client.close()
        except (ConfigurationError, SourceError) as error:
            return dg.SkipReason(str(error))
        known = json.loads(context.cursor or '{"seen": {}, "read": {}}')
        read, told = dict(known["read"]), []
        requests = []
        for mark, tables in by_arrival(lying).items():
            new = [table for table in tables if mark != read.get(table)]
            ready = [table for table in new if mark == known["seen"].get(table)]
            runs = runs_of(context.instance, mark)
            again = None if new else next_try(runs)
            unread = unread_since(context.instance, runs[0], {t: keys[t] for t in tables}) if again else []
            if ready:
                # A tick may be lost behind its request, and its cursor with it.
                requests.append(request(mark, mark, [keys[table] for table in ready]))
                read |= dict.fromkeys(ready, mark)
                state = "read now"
            elif new:
                state = "new, looked at again"
            elif again and unread and again <= datetime.now(UTC):
                requests.append(request(mark, f"{mark}; try {len(runs) + 1}", [keys[table] for table in unread]))
                state = "its run failed, read again now"
            elif again and unread:
                state = f"its run failed, read again at {local(again)}"
            else:
                state = "known"
            told += [f"{table}: {mark}, {state}" for table in tables]
        context.update_cursor(json.dumps({"seen": lying, "read": read}))
        sentence = "; ".join([*told, *(f"{table}: no file" for table, mark in lying.items() if mark is None)])
        context.log.info(sentence)
        return requests or dg.SkipReason(sentence)

    return read_arrivals


def by_arrival(lying: Mapping[str, str | None]) -> dict[str, list[str]]:
    """What lies there -> the tables that are made of it."""
    found: dict[str, list[str]] = {}
    for table, mark in lying.items():
        if mark is not None:
            found.setdefault(mark, []).append(table)
    return found


def request(mark: str, run_key: str, keys: Sequence[dg.AssetKey]) -> dg.RunRequest:
    """A run that reads an arrival. Dagster starts one for each run key, however often it is asked."""
    return dg.RunRequest(run_key=run_key, asset_selection=list(keys), tags={ARRIVAL: mark})


def runs_of(instance: dg.DagsterInstance, mark: str) -> Sequence[dg.RunRecord]:
    """The runs that were to read an arrival, the newest first."""
    return instance.get_run_records(dg.RunsFilter(tags={ARRIVAL: mark}))


def next_try(runs: Sequence[dg.RunRecord]) -> datetime | None:
    """When an arrival is asked for again, by its runs; None unless the newest of them failed.

    One that a person canceled is not: that was an answer.
    """
    if not runs or runs[0].dagster_run.status != dg.DagsterRunStatus.FAILURE:
        return None
    ended = datetime.fromtimestamp(runs[0].end_time or 0, UTC)
    return ended + PAUSES[min(len(runs), len(PAUSES)) - 1]


def unread_since(instance: dg.DagsterInstance, failed: dg.RunRecord, keys: Mapping[str, dg.AssetKey]) -> list[str]:
    """Those of these tables that neither the failed run nor one that began after it has written."""
    made = instance.get_latest_materialization_events(keys.values())
    since = failed.create_timestamp.timestamp()
    return [table for table, key in keys.items() if (event := made.get(key)) is None or event.timestamp < since]


def outlook(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The sentence of an alert that says when what a failed run was to read is read again; empty where it is not."""
    mark = run.tags.get(ARRIVAL)
    again = next_try(runs_of(instance, mark)) if mark else None
    return f"It is read again at {local(again)}, unless it was read before or a newer one has come." if again else ""
