"""The running campus: the world, how its sources answer, and every operation that the side door offers."""

import functools
import gc
import json
import pickle
import secrets
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lsats_dagster.demo.campus.clock import Clock
from lsats_dagster.demo.campus.entities import EPOCH, Behaviour, Payload
from lsats_dagster.demo.campus.faces.active_directory import ActiveDirectory
from lsats_dagster.demo.campus.faces.directories import CampusDirectory, certified
from lsats_dagster.demo.campus.faces.files import DropFolder, dated_name, file_name, rendered
from lsats_dagster.demo.campus.faces.mcommunity import Mcommunity
from lsats_dagster.demo.campus.faults import FaultBoard
from lsats_dagster.demo.campus.ldap.faults import KINDS as LDAP_FAULTS
from lsats_dagster.demo.campus.ldap.identities import Limits
from lsats_dagster.demo.campus.limits import FixedWindows, GatewayTokens, TdxTokens
from lsats_dagster.demo.campus.populations.exports import DAYS, Cell, Row
from lsats_dagster.demo.campus.sizes import SIZES
from lsats_dagster.demo.campus.state import read_state, write_state
from lsats_dagster.demo.campus.world import DETAIL, World

CATEGORY = "bf"
# By route the kind of export that is read there.
FILE_ROUTES = {f"exports/{kind}": kind for kind in DAYS}


class Simulation:
    """One campus with its credentials, limits, faults and counters.

    ca_file: where the authority is written that signs for the directories. lock: held while an operation is at work, see
    `CampusDirectory`.
    """

    world: World
    clock: Clock
    faults: FaultBoard
    windows: dict[str, FixedWindows]
    tdx_tokens: TdxTokens
    gateway_tokens: GatewayTokens

    def __init__(
        self, seed: int, size: str, exports: Path, ca_file: Path, *, day: int = 0, state: Path | None = None
    ) -> None:
        self.seed = seed
        self.size = size
        self.beid = str(uuid.uuid4())
        self.web_services_key = str(uuid.uuid4())
        self.username = "hub@campus.example"
        self.password = secrets.token_urlsafe(16)
        self.client_key = secrets.token_hex(16)
        self.client_secret = secrets.token_hex(16)
        self.counts: dict[str, dict[str, int]] = {}
        # Route -> whether its pages can shift. The faces fill it.
        self.routes: dict[str, bool] = {}
        self.folder = DropFolder(exports)
        self._state = state
        self.lock = threading.RLock()
        shared = self._first_world, self.lock, certified(ca_file), ca_file
        self.active_directory = ActiveDirectory(*shared)
        self.directories: dict[str, CampusDirectory] = {
            directory.name: directory
            for directory in (Mcommunity(self.active_directory, *shared), self.active_directory)
        }
        # A copy, because it takes a quarter of the time that building a world does, and tests reset often.
        self._first_day = pickle.dumps(World(seed, size))
        kept = self._kept_world()
        self._start(kept or self._world_of(day))
        self._keep_world()
        if kept is None:
            self.folder.empty()
        for kind in DAYS:
            self._drop_newest(kind)

    def environment(self, port: int) -> dict[str, str]:
        """The hub's variables for this campus."""
        origin = f"http://127.0.0.1:{port}"
        told = {
            "TDX_BASE_URL": f"{origin}/TDWebApi/api",
            "TDX_BEID": self.beid,
            "TDX_WEB_SERVICES_KEY": self.web_services_key,
            "TDX_USERNAME": self.username,
            "TDX_PASSWORD": self.password,
            "UM_BASE_URL": origin,
            "UM_TOKEN_URL": f"{origin}/um/oauth2/token",
            "UM_CATEGORY_ID": CATEGORY,
            "UM_CLIENT_KEY": self.client_key,
            "UM_CLIENT_SECRET": self.client_secret,
            "UM_CALLS_PER_MINUTE": str(SIZES[self.size].gateway_calls),
            "LSATS_DATA_FOLDER": str(self.folder.path),
        }
        for directory in self.directories.values():
            told |= directory.environment()
        return told

    @property
    def behaviour(self) -> Behaviour:
        """How the sources answer."""
        return self.world.behaviour

    def count(self, route: str, outcome: str) -> None:
        """Note one call: its status, or `fault` where no whole answer was sent."""
        outcomes = self.counts.setdefault(route, {})
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    def operations(self) -> dict[str, Callable[..., Any]]:
        """What the side door offers, by name."""
        return {
            "day": self.day,
            "live_one_day": self.live_one_day,
            "advance": self.advance,
            "truth": lambda stream: self.world.stream(stream).truth(),
            "dirt": lambda: self.world.truth.dirt,
            "put": self._dropping(self.put),
            "add": self._dropping(lambda stream: self.world.stream(stream).newcomer()),
            "delete": self._dropping(lambda stream, key: self.world.stream(stream).table.remove(key)),
            "restore": self._dropping(lambda stream, key: self.world.stream(stream).table.bring_back(key)),
            "double": self._dropping(self.world.double),
            "reorder": self._dropping(self.reorder),
            "export": self.export,
            "poison": self._dropping(self.poison),
            "poison_detail": self.poison_detail,
            "fault": self.fault,
            "clear_faults": self.clear_faults,
            "calls": self.calls,
            "reset_calls": self.reset_calls,
            "limit": self.limit,
            "token_lifetime": self.token_lifetime,
            "expire_tokens": lambda source: self._tokens(source).revoke_all(),
            "empty_collections": self.empty_collections,
            "single_as_object": self.single_as_object,
            "page_size": self.page_size,
            "api_token": self.tdx_tokens.issue,
            "refuse_login": lambda source: self._directory(source).refuse_login(),
            "directory_limits": self.directory_limits,
            "controller": self.active_directory.controller,
            "publish_schema": self.publish_schema,
            "reset": self.reset,
        }

    def day(self) -> int:
        """Days lived since the campus began."""
        return self.world.time.day

    def live_one_day(self) -> dict[str, dict[str, list[str]]]:
        """Let a day pass; per stream, what it brought."""
        changes = {stream: asdict(brought) for stream, brought in self.world.live_one_day().items()}
        for kind, every in DAYS.items():
            if self.day() % every == 0:
                self._drop(kind, self.world.exports.newest[kind])
        self._keep_world()
        return changes

    def advance(self, seconds: float) -> None:
        """Move the clock ahead, and with it the campus calendar."""
        self.clock.advance(seconds)
        self.world.time.advance(seconds)

    def export(self, kind: str, *, older: bool = False, half: bool = False, **style: Any) -> str:
        """Drop an export of the truth as it is now; its name. `older`: the one before the newest, with its time."""
        if kind not in DAYS:
            raise ValueError(f"export {kind!r} is not one of {', '.join(DAYS)}")
        exports, moment = self.world.exports, self._now()
        if older:
            name, rows, moment = file_name(kind, "found_again"), exports.former[kind], moment - timedelta(DAYS[kind])
            if not rows:
                raise ValueError("there was no export before the newest")
        else:
            if not half:
                exports.make(kind)
            name, rows = dated_name(kind, self.day()), exports.newest[kind]
        self.folder.put(kind, name, rendered(kind, exports.columns(kind), rows, half=half, **style), moment)
        return name

    def put(self, stream: str, key: str, fields: Payload, *, touch: bool) -> None:
        """Set fields of one entity."""
        if "dn" in fields and (directory := self._showing(stream)) is not None:
            directory.check_name((stream, key), fields["dn"])
        self.world.put(stream, key, fields, touch=touch)

    def reorder(self, stream: str, seed: int) -> None:
        """Let lists come in another order."""
        self.world.reorder(stream, seed)
        if (directory := self._showing(stream)) is not None:
            directory.rebuild()

    def poison(self, stream: str, records: list[str]) -> None:
        """Add raw JSON texts to the list answers of a stream."""
        if (directory := self._showing(stream)) is not None:
            directory.check_poison(stream, records)
        self.behaviour.poison[self.world.listed(stream).name] = list(records)

    def poison_detail(self, stream: str, key: str, raw: str | None) -> None:
        """Replace the answer for one key of a detail stream by a raw text; None gives the true one again."""
        if not self.world.stream(stream).name.endswith(DETAIL):
            raise ValueError(f"{stream} is not a detail stream")
        if raw is None:
            self.behaviour.poisoned_details.pop((stream, key), None)
        else:
            self.behaviour.poisoned_details[stream, key] = raw

    def fault(self, route: str, kind: str, times: int | None, after: int, options: Payload) -> None:
        """Switch a fault on. That of a file stands until it is cleared: nobody sees who reads it."""
        if route in FILE_ROUTES:
            self.folder.spoil(FILE_ROUTES[route], kind, options)
            return
        source, _, struck = route.partition("/")
        if source in self.directories and struck in LDAP_FAULTS:
            given = {name: value for name, value in options.items() if value is not None}
            self.directories[source].server.faults.add(struck, kind, times, after, **given)
            return
        if route not in self.routes:
            routes = [
                *self.routes,
                *FILE_ROUTES,
                *(f"{name}/{struck}" for name in self.directories for struck in LDAP_FAULTS),
            ]
            raise ValueError(f"route {route!r} is not one of {', '.join(routes)}")
        if kind == "shift" and not self.routes[route]:
            paged = [name for name, pages in self.routes.items() if pages]
            raise ValueError(f"only {', '.join(paged)} have pages that can shift")
        self.faults.add(route, kind, times, after, options)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self.faults.clear()
        self.folder.restore()
        for directory in self.directories.values():
            directory.server.faults.clear()

    def calls(self) -> dict[str, dict[str, int]]:
        """How many calls of each route had which outcome."""
        of_directories = [directory.calls() for directory in self.directories.values()]
        return {route: calls for counts in (self.counts, *of_directories) for route, calls in counts.items()}

    def reset_calls(self) -> None:
        """Count from zero again."""
        self.counts.clear()
        for directory in self.directories.values():
            directory.server.log.clear()

    def directory_limits(
        self, source: str, *, entries: int | None = None, page: int | None = None, values: int | None = None
    ) -> None:
        """What one search of a directory brings at most."""
        if any(most is not None and most < 1 for most in (entries, page, values)):
            raise ValueError("a limit is at least one")
        self._directory(source).server.limits = Limits(entries, page, values)

    def publish_schema(self, source: str, on: bool) -> None:
        """Whether a directory tells of its attributes."""
        self._directory(source).directory.publishes_schema = on

    def limit(self, source: str, calls: int, seconds: float) -> None:
        """Grant another number of calls per window, beginning anew."""
        self._tokens(source)
        self.windows[source] = FixedWindows(calls, seconds, self.clock)

    def token_lifetime(self, source: str, seconds: float) -> None:
        """How long tokens live that are issued from now on."""
        self._tokens(source).lifetime = seconds

    def empty_collections(self, style: str) -> None:
        """How lists show collections that they leave out: `null` or `list`."""
        if style not in ("null", "list"):
            raise ValueError("the style is null or list")
        self.behaviour.empty_collections = style

    def single_as_object(self, on: bool) -> None:
        """Whether the gateway answers one row as an object in place of a list."""
        self.behaviour.single_as_object = on

    def page_size(self, rows: int) -> None:
        """The gateway's cap of `$count`."""
        if rows < 1:
            raise ValueError("a page has at least one row")
        self.behaviour.page_size = rows

    def reset(self) -> None:
        """The campus as it was on day 0, and everything else as it was at the start; no token was issued yet."""
        self._start(self._first_world(), is_first_day=True)
        self._keep_world()
        self.folder.empty()
        for kind, content in self._first_exports.items():
            self.folder.put(kind, dated_name(kind, 0), content, EPOCH)

    def _start(self, world: World, *, is_first_day: bool = False) -> None:
        self.clock = Clock()
        self.faults = FaultBoard()
        self.counts.clear()
        size = SIZES[self.size]
        self.windows = {
            "tdx": FixedWindows(size.tdx_calls, size.tdx_seconds, self.clock),
            "gateway": FixedWindows(size.gateway_calls, 60.0, self.clock),
        }
        self.tdx_tokens = TdxTokens(self.clock)
        self.gateway_tokens = GatewayTokens(self.clock)
        self.world = world
        for directory in self.directories.values():
            directory.show(world, is_first_day=is_first_day)

    def _dropping(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """The operation; where it concerns a stream of exports, a file of it as it is then is dropped."""

        def operate(stream: str, **arguments: Any) -> Any:
            result = change(stream, **arguments)
            exports = self.world.exports
            kind = exports.kind_of(self.world.stream(stream).table)
            if kind is not None:
                bad = map(json.loads, self.behaviour.poison.get(stream, []))
                rows = [exports.row_of(kind, row) if isinstance(row, dict) else row for row in bad]
                self._drop(kind, [*exports.shown(kind), *rows])
            return result

        return operate

    def _now(self) -> datetime:
        """A moment that was not yet."""
        self.world.time.stamp()
        return self.world.time.now()

    def _drop(self, kind: str, rows: Sequence[Row | list[Cell]]) -> None:
        """Write an export of today."""
        content = rendered(kind, self.world.exports.columns(kind), rows)
        self.folder.put(kind, dated_name(kind, self.day()), content, self._now())

    def _drop_newest(self, kind: str) -> None:
        """Write the newest export under the day on which it was due, unless it lies there from an earlier start."""
        day, exports = self.day() - self.day() % DAYS[kind], self.world.exports
        name = dated_name(kind, day)
        if not (self.folder.path / name).exists():
            content = rendered(kind, exports.columns(kind), exports.newest[kind])
            self.folder.put(kind, name, content, EPOCH + timedelta(day))

    @functools.cached_property
    def _first_exports(self) -> dict[str, bytes]:
        """The files of day 0 by kind, kept because tests reset often."""
        exports = self._first_world().exports
        return {kind: rendered(kind, exports.columns(kind), exports.newest[kind]) for kind in DAYS}

    def _first_world(self) -> World:
        # Nothing of it is garbage yet: to look for some while it is made takes a third of the time.
        gc.disable()
        try:
            world: World = pickle.loads(self._first_day)
        finally:
            gc.enable()
        return world

    def _world_of(self, day: int) -> World:
        world = self._first_world()
        for _ in range(day):
            world.live_one_day()
        return world

    def _showing(self, stream: str) -> CampusDirectory | None:
        """The directory that shows a stream, if one does."""
        return next((directory for directory in self.directories.values() if stream in directory.branches), None)

    def _directory(self, source: str) -> CampusDirectory:
        try:
            return self.directories[source]
        except KeyError:
            raise ValueError(f"source {source!r} is not one of {', '.join(self.directories)}") from None

    def _tokens(self, source: str) -> TdxTokens | GatewayTokens:
        if source == "tdx":
            return self.tdx_tokens
        if source == "gateway":
            return self.gateway_tokens
        raise ValueError(f"source {source!r} is not one of tdx, gateway")

    def _kept_world(self) -> World | None:
        """The campus as the state file has it; None without one. Another version of this package lives its days anew."""
        kept = None if self._state is None else read_state(self._state, self.seed, self.size)
        if kept is None:
            return None
        world = self._world_of(kept.day) if kept.world is None else kept.world
        world.behaviour.reset()
        return world

    def _keep_world(self) -> None:
        if self._state is not None:
            write_state(self._state, self.seed, self.size, self.world)
