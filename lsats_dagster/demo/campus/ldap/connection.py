"""One connection of a client, from its first byte to its end."""

import asyncio
import contextlib
import hmac
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from lsats_dagster.demo.campus.ldap import ber, messages
from lsats_dagster.demo.campus.ldap.directory import Directory
from lsats_dagster.demo.campus.ldap.entries import Entry, Selection
from lsats_dagster.demo.campus.ldap.faults import Fault, FaultBoard
from lsats_dagster.demo.campus.ldap.filters import read_filter
from lsats_dagster.demo.campus.ldap.identities import Identity, Limits, comparable_name
from lsats_dagster.demo.campus.ldap.log import RequestLog, Searched
from lsats_dagster.demo.campus.ldap.messages import (
    ANSWERS,
    START_TLS,
    Code,
    Control,
    Message,
    Operation,
    RequestError,
    Scope,
    Search,
)
from lsats_dagster.demo.campus.ldap.searches import (
    PAGED,
    SHOW_DELETED,
    SORTED,
    Answer,
    Pages,
    View,
    page_control,
    read_order,
    read_page,
)
from lsats_dagster.demo.campus.ldap.syntaxes import comparable_dn

LARGEST_MESSAGE = 1 << 18
MOST_SEARCHES = 16
BATCH = 1 << 16
# What a program answers that does not speak LDAP.
NO_LDAP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
LARGE_ATTRIBUTE = "description"


@dataclass
class Service:
    """What all connections of a server share. Limits may change. `patience`: seconds in which a client must end what it began."""

    directory: Directory
    identities: Mapping[str, Identity]
    anonymous: Identity | None
    limits: Limits
    tls: ssl.SSLContext | None
    controls: tuple[str, ...]
    patience: float
    faults: FaultBoard = field(default_factory=FaultBoard)
    log: RequestLog = field(default_factory=RequestLog)

    @property
    def features(self) -> Mapping[str, Iterable[bytes]]:
        """What the root DSE says of the server."""
        return {
            "supportedLDAPVersion": [b"3"],
            "supportedControl": [control.encode() for control in self.controls],
            "supportedExtension": [START_TLS.encode()] if self.tls else [],
        }


class Connection:
    """Reads the requests of one client and answers them. Searches run beside each other, everything else in turn."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._service = service
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self._identity = service.anonymous
        self._pages = Pages()
        self._searches: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Answer until one of the two ends the connection."""
        self._service.log.counts["connect"] += 1
        try:
            # What fails in a search ends the connection as well.
            async with asyncio.TaskGroup() as self._group:
                await self._meet(self._service.faults.strike("connect"))
                while (message := await self._next()) is not None and message.operation is not Operation.UNBIND:
                    await self._take(message)
                self._abandon_searches()
        except* ber.BerError as wrong:
            self._service.log.counts["garbage"] += 1
            text = str(wrong.exceptions[0])
            self._writer.write(messages.notice_of_disconnection(Code.PROTOCOL_ERROR, text))
        except* OSError:
            # The client is gone, too slow, or struck by a fault: there is nobody to tell.
            pass
        finally:
            await self._close()

    async def refuse(self, text: str) -> None:
        """Say that the server has too much to do, and end the connection."""
        self._writer.write(messages.notice_of_disconnection(Code.BUSY, text))
        await self._close()

    def abort(self) -> None:
        """End the connection at once."""
        self._writer.transport.abort()

    async def _close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(self._service.patience):
                await self._writer.wait_closed()
        self.abort()

    # What comes

    async def _next(self) -> Message | None:
        """The next request, None at the end; TimeoutError if it began and does not end, BerError if it is none."""
        if not self._buffer and not await self._more():
            return None
        async with asyncio.timeout(self._service.patience):
            while (length := ber.message_length(self._buffer, LARGEST_MESSAGE)) is None or len(self._buffer) < length:
                if not await self._more():
                    return None
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        message = messages.read_message(data)
        self._service.log.counts[message.operation.name.lower()] += 1
        return message

    async def _more(self) -> bool:
        """Wait for more bytes; whether some came before the end."""
        data = await self._reader.read(BATCH)
        self._buffer += data
        return bool(data)

    async def _take(self, message: Message) -> None:
        if message.operation is Operation.ABANDON:
            if task := self._searches.pop(messages.read_abandon(message.body), None):
                task.cancel()
            return
        try:
            self._check_controls(message)
            match message.operation:
                case Operation.BIND:
                    await self._bind(message)
                case Operation.SEARCH:
                    self._start_search(message)
                case Operation.EXTENDED:
                    await self._extended(message)
                case _:
                    raise RequestError(Code.UNWILLING_TO_PERFORM, "the directory is only read")
        except RequestError as refused:
            await self._refuse(message, refused)

    def _check_controls(self, message: Message) -> None:
        known = self._service.controls if message.operation is Operation.SEARCH else ()
        if any(control.critical and name not in known for name, control in message.controls.items()):
            raise RequestError(Code.UNAVAILABLE_CRITICAL_EXTENSION, "a critical control is not known")

    # Logins and TLS

    async def _bind(self, message: Message) -> None:
        self._abandon_searches()
        self._pages.clear()
        # Whoever fails is nobody (RFC 4511 4.2.1).
        self._identity = self._service.anonymous
        bind = messages.read_bind(message.body)
        await self._meet(self._service.faults.strike("bind"), message)
        if bind.version != 3:
            raise RequestError(Code.PROTOCOL_ERROR, "only version 3 is spoken")
        if bind.password is None:
            raise RequestError(Code.AUTH_METHOD_NOT_SUPPORTED, "only simple logins are taken")
        if bind.name or bind.password:
            self._identity = self._login(bind.name, bind.password)
        await self._answer(message, Code.SUCCESS)

    def _login(self, name: str, password: bytes) -> Identity:
        if not password:
            # RFC 4513 5.1.2: a client that forgot the password must not take itself for logged in.
            raise RequestError(Code.UNWILLING_TO_PERFORM, "a login with a name has a password")
        identity = self._service.identities.get(comparable_name(name))
        if (
            identity is None
            or self._service.faults.refused(identity) is not None
            or not hmac.compare_digest(identity.password.encode(), password)
        ):
            raise RequestError(Code.INVALID_CREDENTIALS, "name or password is wrong")
        return identity

    async def _extended(self, message: Message) -> None:
        if messages.read_extended(message.body) != START_TLS or self._service.tls is None:
            raise RequestError(Code.PROTOCOL_ERROR, "the extended operation is not known")
        if self._searches or self._writer.get_extra_info("ssl_object") is not None:
            raise RequestError(Code.OPERATIONS_ERROR, "TLS starts once, and between requests")
        if self._buffer:
            raise ber.BerError("what follows the request for TLS is encrypted")
        # Nothing may be read between this answer and the handshake: no other task gets its turn.
        self._writer.write(self._result(message, Code.SUCCESS, name=START_TLS))
        await self._writer.start_tls(self._service.tls, ssl_handshake_timeout=self._service.patience)

    # Searches

    def _start_search(self, message: Message) -> None:
        if message.number in self._searches:
            raise ber.BerError("two requests at work have one number")
        if len(self._searches) >= MOST_SEARCHES:
            raise RequestError(Code.BUSY, f"{MOST_SEARCHES} searches are at work")
        task = self._group.create_task(self._search(message))
        self._searches[message.number] = task
        task.add_done_callback(lambda done: self._search_ended(message.number, done))

    def _search_ended(self, number: int, task: asyncio.Task[None]) -> None:
        # An abandoned one has left its number to others before.
        if self._searches.get(number) is task:
            del self._searches[number]

    def _abandon_searches(self) -> None:
        for number in list(self._searches):
            self._searches.pop(number).cancel()

    async def _search(self, message: Message) -> None:
        asked = {name: control for name, control in message.controls.items() if name in self._service.controls}
        try:
            request = messages.read_search(message.body)
            code, said = Code.TIME_LIMIT_EXCEEDED, [page_control(b"")] if PAGED in asked else []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(request.time_limit or None):
                    code, said = await self._found(message, request, asked)
        except RequestError as refused:
            await self._refuse(message, refused)
            return
        await self._answer(message, code, controls=said)

    async def _found(self, message: Message, request: Search, asked: Mapping[str, Control]) -> tuple[Code, list[bytes]]:
        """Send what a search finds, or one page of it; the code and the controls that end it."""
        directory, faults = self._service.directory, self._service.faults
        size, cookie = read_page(asked[PAGED]) if PAGED in asked else (inf, b"")
        order = read_order(asked[SORTED], directory.schema) if SORTED in asked else None
        query = read_filter(request.filter, directory.schema)
        searched = Searched(request.base, request.scope, query.text, request.attributes, bool(cookie))
        self._service.log.searches.append(searched)
        identity = self._searching(request)
        if cookie and faults.strike("page"):
            self._pages.clear()
        fault = faults.strike("search")
        if fault is not None and fault.kind == "hang":
            self._count(message, "fault")
            await asyncio.Event().wait()
        # What the root tells is everybody's.
        if fault is not None and fault.kind == "empty" and request.base:
            return Code.SUCCESS, [page_control(b"")] if PAGED in asked else []

        limits = identity.limits or self._service.limits
        at_once = min(size, limits.page or inf)
        most = min(request.size_limit or inf, limits.entries or inf, inf if PAGED in asked else at_once)
        if cookie:
            answer = self._pages.take(cookie, message.body)
        elif size:
            view = View(directory, identity, SHOW_DELETED in asked, self._service.features)
            found = await view.find(request, query, inf if order else most)
            answer = Answer(message.body, order.sorted(found, view) if order else found)
        else:
            raise RequestError(Code.UNWILLING_TO_PERFORM, "a page has at least one entry")
        end = int(min(len(answer.entries), answer.sent + at_once, most))
        selection = Selection(
            request.attributes,
            types_only=request.types_only,
            operational=directory.operational,
            most_values=limits.values,
        )
        await self._send_entries(message, answer.entries[answer.sent : end], selection, identity, fault)
        answer.sent = end

        code, next_cookie = Code.SUCCESS, b""
        if end == len(answer.entries):
            if request.scope is Scope.SUBTREE and comparable_dn(request.base) in directory.roots:
                for url in directory.referrals:
                    await self._send(messages.referral(message.number, url))
        elif end == most:
            code = Code.SIZE_LIMIT_EXCEEDED
        elif size:
            next_cookie = self._pages.keep(answer)
        said = [page_control(next_cookie)] if PAGED in asked else []
        return code, [*said, order.control] if order else said

    def _searching(self, request: Search) -> Identity:
        """Who searches; RequestError for who may not."""
        identity = self._identity
        if identity is None:
            if request.base or request.scope is not Scope.BASE:
                raise RequestError(Code.OPERATIONS_ERROR, "a login comes first")
            return Identity()
        if (code := self._service.faults.refused(identity)) is not None:
            raise RequestError(code, "the login is no longer valid")
        return identity

    async def _send_entries(
        self, message: Message, entries: list[Entry], selection: Selection, identity: Identity, fault: Fault | None
    ) -> None:
        number = ber.integer(message.number)
        options = fault.options if fault else {}
        seconds = options.get("seconds", 0)
        batch: list[bytes] = []
        size = 0

        def encoded(entry: Entry) -> bytes:
            return messages.entry(number, entry.name, selection.of(identity.seen(entry)))

        for entry in entries[: int(options.get("entries", len(entries)))]:
            batch.append(encoded(entry))
            size += len(batch[-1])
            if size >= BATCH or seconds:
                await asyncio.sleep(seconds)
                await self._send(b"".join(batch))
                batch, size = [], 0
        await self._send(b"".join(batch))
        if fault is not None and "entries" in options:
            if fault.kind == "truncate":
                rest = entries[int(options["entries"]) :]
                whole = encoded(rest[0]) if rest else self._result(message, Code.SUCCESS)
                self._writer.write(whole[: len(whole) // 2])
            await self._meet(fault, message)
        if fault is not None and fault.kind == "large":
            # But for its name and text it is the last one, so that it belongs there.
            last = identity.seen(entries[-1]) if entries else {}
            others = selection.of({name: last[name] for name in last if name != LARGE_ATTRIBUTE})
            text = ber.attribute(LARGE_ATTRIBUTE, [b"x" * (int(options["megabytes"]) << 20)])
            above = f",{entries[-1].dn}" if entries else ""
            await self._send(messages.entry(number, ber.octets(f"cn=large{above}"), others + text))

    # What goes

    async def _meet(self, fault: Fault | None, message: Message | None = None) -> None:
        """Do what a fault says in the place of an answer, or of the rest of it."""
        if fault is None:
            return
        if fault.kind == "code":
            raise RequestError(int(fault.options["code"]), "a fault is switched on")
        if message is not None:
            self._count(message, "fault")
        if fault.kind == "garbage":
            self._writer.write(NO_LDAP)
        while fault.kind == "hang" and await self._more():
            self._buffer.clear()
        raise ConnectionAbortedError

    async def _refuse(self, message: Message, refused: RequestError) -> None:
        await self._answer(message, refused.code, refused.text, matched=refused.matched)

    async def _answer(self, message: Message, code: int, text: str = "", **said: Any) -> None:
        """Send what ends an answer; it is counted before somebody sees it."""
        self._count(message, str(code))
        await self._send(self._result(message, code, text, **said))

    def _count(self, message: Message, outcome: str) -> None:
        self._service.log.outcomes[message.operation.name.lower(), outcome] += 1

    def _result(
        self,
        message: Message,
        code: int,
        text: str = "",
        *,
        matched: str = "",
        name: str = "",
        controls: Sequence[bytes] = (),
    ) -> bytes:
        tag = ANSWERS[message.operation]
        return messages.result(message.number, tag, code, text, matched=matched, name=name, controls=controls)

    async def _send(self, data: bytes) -> None:
        """Send something and let others have their turn; ConnectionAbortedError if the client does not take it in time."""
        self._writer.write(data)
        try:
            async with asyncio.timeout(self._service.patience):
                await self._writer.drain()
        except TimeoutError:
            raise ConnectionAbortedError from None
        await asyncio.sleep(0)
