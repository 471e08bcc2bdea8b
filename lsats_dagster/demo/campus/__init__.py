"""A simulated campus that answers over the wire as TeamDynamix, the UMich API gateway and two directories do, and its handle.

The campus runs as a process of its own. A hub that reads it knows `environment` and nothing else; demo and
tests hold a `Campus`, which reaches behind it through a side door.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from lsats_dagster.demo.campus.entities import DayChanges
from lsats_dagster.demo.campus.sizes import SIZES

__all__ = [
    "BAD_RECORD",
    "SIZES",
    "Campus",
    "CampusError",
    "DayChanges",
    "exports_beside",
    "kept_size",
    "running_campus",
]

# A stream, and a record as its source sends one now and then: half a sign stands in it, so that it cannot be stored.
BAD_RECORD = ("umich_api/department", r'{"DeptId": "990001", "DeptDescription": "Department of Half Signs \ud83d"}')
PACKAGE_ROOT = Path(__file__).resolve().parents[3]


class CampusError(RuntimeError):
    """The campus did not start, or refused an operation; the message says why."""


class Campus:
    """A running campus. Streams, routes and fault kinds that do not exist raise CampusError.

    `exports` is the folder into which exports are dropped.
    Streams: `tdx/department` and `tdx/department_detail`, `tdx/asset` and `tdx/asset_detail` (key: ID as text), `tdx/user`
    and `tdx/user_detail` (key: UID), `umich_api/department` (key: DeptId), `umich_api/user` (key: EmplId:EmplRcd).
    Streams of exports show the newest export that was dropped: `lab_awards/lab_award` (key: award, uniqname, department
    and role), `key_client/computer` and `key_client/computer_usage` (key: MAC address in lower case with colons). What is
    done to them here is dropped at once, as an export of today; the next one that is due shows the truth again.
    Streams of directories: `mcommunity_ldap/user` (key: uidNumber) and `mcommunity_ldap/group` (key: gidNumber);
    `active_directory/user`, `/group`, `/organizational_unit` and `/computer` (key: objectGUID). Their records are a `dn` and
    decoded values by attribute, and memberOf follows from the lists of members.
    """

    def __init__(self, environment: dict[str, str], admin_url: str, admin_token: str, exports: str) -> None:
        self.environment = environment
        self.exports = Path(exports)
        self._address = urlsplit(admin_url).netloc
        self._token = admin_token

    def day(self) -> int:
        """Days lived since the campus began."""
        return int(self._ask("day"))

    def live_one_day(self) -> dict[str, DayChanges]:
        """Let a day pass; per stream, what a hub that read just before must see now."""
        return {stream: DayChanges(**brought) for stream, brought in self._ask("live_one_day").items()}

    def truth(self, stream: str) -> dict[str, dict[str, Any]]:
        """Per key, the payload that a perfect read returns now (poison is not part of it)."""
        truth: dict[str, dict[str, Any]] = self._ask("truth", stream=stream)
        return truth

    def dirt(self) -> dict[str, list[str]]:
        """Name of each kind of dirt that the first day has -> keys of the records that show it."""
        dirt: dict[str, list[str]] = self._ask("dirt")
        return dirt

    def advance(self, seconds: float) -> None:
        """Move the campus's clock ahead, at once and without waiting.

        Rate windows and tokens end by it, and what the campus says of the time is later by so much: Date headers,
        X-RateLimit-Reset, the `exp` of tokens, modified dates (these are on the campus calendar, which starts at a
        fixed date). A client with a clock of its own is moved by the same seconds, and nothing else is needed: it
        takes each time that an answer names relative to the Date header of that answer, so the two clocks need not
        show the same time. Whoever moves the campus alone makes a client meet a token that ended too early.
        """
        self._ask("advance", seconds=seconds)

    def put(self, stream: str, key: str, fields: dict[str, Any], *, touch: bool = True) -> None:
        """Set fields of one entity; `touch` moves its ModifiedDate where it has one."""
        self._ask("put", stream=stream, key=key, fields=fields, touch=touch)

    def add(self, stream: str) -> str:
        """Add a plausible entity to the stream's source and return its key."""
        return str(self._ask("add", stream=stream))

    def delete(self, stream: str, key: str) -> None:
        """Let an entity disappear: lists lack it, its detail answers 404. Active Directory moves it to its deleted objects."""
        self._ask("delete", stream=stream, key=key)

    def restore(self, stream: str, key: str) -> None:
        """Bring a deleted entity back exactly as it was."""
        self._ask("restore", stream=stream, key=key)

    def double(self, stream: str, key: str, fields: dict[str, Any] | None) -> None:
        """Let lists of the stream show a key twice, at two places of the order that stay, half a list apart.

        The second record is the first with other `fields` ({}: an equal one) and not part of `truth`. Which of them
        comes first depends on the order, see `reorder`. None ends it.
        """
        self._ask("double", stream=stream, key=key, fields=fields)

    def reorder(self, stream: str, seed: int) -> None:
        """Let lists of the stream come in another order, determined by `seed` (0: that of the start).

        With an odd seed the second record of a doubled key comes first. Streams of directories have no doubled keys.
        """
        self._ask("reorder", stream=stream, seed=seed)

    def export(self, kind: str, **style: bool | str) -> str:
        """Drop an export (`lab_awards`, `keyconfigure_computers`) of the truth as it is now; its name in the folder.

        Styles: older (the export before the newest, found again), half (as it is while it is copied), encoding (utf-8,
        utf-8-sig, cp1252), dashes (in MAC addresses), lost_zeros (in codes), extra_column.
        """
        return str(self._ask("export", kind=kind, **style))

    def poison(self, stream: str, records: list[str]) -> None:
        """Add these raw texts to every list answer of the stream, after its records; an empty list clears.

        In an export an object is a row by its columns, and a list a row as it stands there.

        In a directory an object is an entry like any other, which filters find by its values: `{"dn": "...", "cn": ["x"],
        "objectGUID": [{"base64": "AAE="}]}`. A text is sent as UTF-8, with escaped octets (PEP 383) as what they stand for.
        Without `dn` it stands in the stream's branch.
        """
        self._ask("poison", stream=stream, records=records)

    def poison_detail(self, stream: str, key: str, raw: str | None) -> None:
        """Answer the detail call of `key` with this raw text; None ends it."""
        self._ask("poison_detail", stream=stream, key=key, raw=raw)

    def fault(self, route: str, kind: str, *, times: int | None = 1, after: int = 0, **options: float | None) -> None:
        """Switch a fault on for the calls of a route that would be served (not those answered 401 or 429).

        `after` calls pass first, then `times` calls meet the fault (None: all). Kinds and options: `status`
        (status=503, retry_after; 404 is the source's own), `html_404` (a proxy's), `latency` (seconds=1), `hang`,
        `reset`, `truncate`, `cut_json`, `html` (200), `empty`, `endless` (the body never ends), `gzip_bomb` (the true
        answer, decoded longer by megabytes=64 of blanks), `shift` (rows=1: the pages move by so many rows), `storm`
        (429, to be lifted in seconds=2), `throttle_now` (429 with `Retry-After: 0`; with reset_ago=60, lifted so many
        seconds ago).

        The newest export of a kind is the route `exports/<kind>`, and its faults stand until they are cleared: `half` (as
        it is while it is copied), `removed`, `bad_bytes`, `other_header`, `empty` (the header alone), `large` (once it is
        unpacked, by megabytes=4).

        Of the directories `mcommunity` and `active_directory`, these routes meet these faults. `/connect`: `drop`, `hang`.
        `/bind`: `code` (code=51), `drop`, `hang`. `/search`, which every further page is too: `code` (code=51) and `drop` after
        entries=0 of them, `hang`, `slow` (each entry late by seconds=1), `empty` (success without entries, as a right that was
        taken away looks), `garbage` (after entries=0 octets that are no LDAP message, and the end), `truncate` (after entries=0
        the connection ends in the middle of one), `large` (behind the true entries comes one whose `description` has
        megabytes=4). `/page`: `cookie` (all cookies of the connection are forgotten).
        """
        self._ask("fault", route=route, kind=kind, times=times, after=after, options=options)

    def clear_faults(self) -> None:
        """Switch every fault off, and take every login again."""
        self._ask("clear_faults")

    def calls(self) -> dict[str, dict[str, int]]:
        """Route (`unknown` for other paths) -> status, or `fault` where no whole answer was sent -> calls.

        Of directories, logins (`mcommunity/bind`) and searches (`mcommunity/search`, further pages among them) by result code.
        """
        calls: dict[str, dict[str, int]] = self._ask("calls")
        return calls

    def reset_calls(self) -> None:
        """Count from zero again."""
        self._ask("reset_calls")

    def limit(self, source: str, calls: int, seconds: float) -> None:
        """Grant `calls` per window of `seconds`: `tdx` per method and address, `gateway` per client."""
        self._ask("limit", source=source, calls=calls, seconds=seconds)

    def token_lifetime(self, source: str, seconds: float) -> None:
        """How long tokens of `tdx` or `gateway` issued from now on live (whole seconds, rounded up)."""
        self._ask("token_lifetime", source=source, seconds=seconds)

    def expire_tokens(self, source: str) -> None:
        """Answer 401 to every token issued so far."""
        self._ask("expire_tokens", source=source)

    def empty_collections(self, style: str) -> None:
        """Whether lists show Attributes as `null` or as an empty `list`."""
        self._ask("empty_collections", style=style)

    def single_as_object(self, on: bool) -> None:
        """Whether the gateway answers a single row as an object in place of a list."""
        self._ask("single_as_object", on=on)

    def page_size(self, rows: int) -> None:
        """The gateway's cap of `$count`."""
        self._ask("page_size", rows=rows)

    def refuse_login(self, source: str) -> None:
        """Let `mcommunity` or `active_directory` answer 49 to logins of the hub and 50 to its searches, until `clear_faults`."""
        self._ask("refuse_login", source=source)

    def directory_limits(
        self, source: str, *, entries: int | None = None, page: int | None = None, values: int | None = None
    ) -> None:
        """What one search of `mcommunity` or `active_directory` brings at most; None means everything.

        entries: over all of its pages. page: at once. values: of an attribute, of which a longer one comes in ranges. At the
        start MCommunity has entries=350, Active Directory page=1000 and values=1500.
        """
        self._ask("directory_limits", source=source, entries=entries, page=page, values=values)

    def controller(self, number: int) -> None:
        """Let controller 1 or 2 of Active Directory answer from now on: the same objects with what each has its own.

        That is whenChanged, uSNChanged, uSNCreated, lastLogon, logonCount, badPwdCount, badPasswordTime and
        dSCorePropagationData; `truth` shows those of the first one. The root DSE names them `localhost` and `127.0.0.1`, and the
        time on the campus calendar by the clock of each.
        """
        self._ask("controller", number=number)

    def publish_schema(self, source: str, on: bool) -> None:
        """Whether `mcommunity` or `active_directory` publishes its schema, as at the start."""
        self._ask("publish_schema", source=source, on=on)

    def api_token(self) -> str:
        """A ready token of TDX, as a person would paste it into TDX_API_TOKEN."""
        return str(self._ask("api_token"))

    def reset(self) -> None:
        """The campus as on day 0; clock, faults, limits, counters, poison and every switch as at the start.

        Tokens issued before are refused.
        """
        self._ask("reset")

    def _ask(self, operation: str, **arguments: Any) -> Any:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(
                "POST",
                "/operate",
                json.dumps({"operation": operation, "arguments": arguments}),
                {"Authorization": f"Bearer {self._token}"},
            )
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise CampusError(f"the campus does not answer: {type(error).__name__}") from None
        finally:
            connection.close()
        if answer.status not in (200, 400, 404):
            raise CampusError(f"the campus failed in {operation!r}: status {answer.status}")
        content = json.loads(body)
        if answer.status != 200:
            raise CampusError(f"the campus refused {operation!r}: {content['error']}")
        return content["result"]


def kept_size(state: Path) -> str | None:
    """The size of the campus that a state file keeps; None without one that can be read."""
    try:
        with state.open("rb") as file:
            return str(json.loads(file.readline())["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def exports_beside(state: Path) -> Path:
    """The folder into which a campus with this state file drops its exports."""
    return state.absolute().with_name("exports")


@contextmanager
def running_campus(*, seed: int = 7, size: str = "tiny", state: Path | None = None) -> Iterator[Campus]:
    """Start a campus and end it with the block; it also ends when this process does, in whatever way.

    `state` keeps its days between two starts. Exports are dropped beside it, or into a folder that goes with the block.
    Raises CampusError if the campus does not start.
    """
    command = [sys.executable, "-m", __name__, "--seed", str(seed), "--size", size]
    with TemporaryDirectory(prefix="campus-") as passing:
        exports = Path(passing, "exports") if state is None else exports_beside(state)
        if state is not None:
            command += ["--state", str(state.absolute())]
        with _started([*command, "--exports", str(exports), "--passing", passing]) as campus:
            yield campus


@contextmanager
def _started(command: list[str]) -> Iterator[Campus]:
    search_path = [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # A session of its own: Ctrl-C in a terminal is for the parent, which then ends the campus when it wants.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search_path)},
        start_new_session=True,
    )
    with process:
        if process.stdin is None or process.stdout is None:
            raise CampusError("the campus has no pipes")
        try:
            line = process.stdout.readline()
            if not line:
                raise CampusError(f"the campus did not start: exit code {process.wait()}, see its messages above")
            yield Campus(**json.loads(line))
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
