"""Messages of LDAP as they arrive, within ceilings, and the entries among them (RFC 4511 4.1.1, 4.5.2).

ldap3 takes whatever a server announces or sends, and decodes each entry twice; it gets the other messages only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from lsats_dagster.clients.errors import PermanentSourceError
from lsats_dagster.clients.http import Ceilings

# A DN and its values by attribute, as received.
Entry = tuple[bytes, Mapping[str, Sequence[bytes]]]

_PIECE = 1 << 16
_MESSAGE, _ENTRY, _DONE = 0x30, 0x64, 0x65
_HEAD = 2  # octets of tag and length; a long length has further ones


class Messages:
    """The messages of one connection. title: what errors call the directory. receive: the next octets, at most so many.

    PermanentSourceError, as soon as it shows, for a message that is larger than a record may be, and for an answer that is
    larger than a list. ValueError or IndexError for what is no message.
    """

    def __init__(self, title: str, ceilings: Ceilings, receive: Callable[[int], bytes]) -> None:
        self._title = title
        self._ceilings = ceilings
        self._receive = receive
        self._arrived = bytearray()
        self.begin()

    def begin(self, *, is_further: bool = False) -> None:
        """Another search is sent. is_further: its answer belongs to the one before, as to the ceilings."""
        self.entries: list[Entry] = []
        self._numbers: set[bytes] = set()
        if not is_further:
            self._left = self._ceilings.list_bytes

    def receive(self) -> list[bytes]:
        """The next messages that are no entries, all that have arrived; none where the connection ended."""
        others: list[bytes] = []
        while not others:
            messages = self._whole()
            if not messages:
                piece = self._receive(_PIECE)
                if not piece:
                    return []
                self._left -= len(piece)
                if self._left < 0:
                    raise PermanentSourceError(f"{self._title}: {self._ceilings.excess('the answer', 'list')}")
                self._arrived += piece
            others = [message for message in messages if not self._is_entry(message)]
        return others

    def _is_entry(self, message: bytes) -> bool:
        """Whether it is an entry, which then is taken."""
        [(_, begin, end)] = _elements(message, 0, len(message))
        (_, *number), (operation, *content), *_ = _elements(message, begin, end)
        if operation == _ENTRY:
            self.entries.append(_entry(message, *content))
            self._numbers.add(message[slice(*number)])
        elif operation == _DONE and self._numbers - {message[slice(*number)]}:
            raise ValueError("entries of another search")
        return operation == _ENTRY

    def _whole(self) -> list[bytes]:
        """The messages that have arrived to their end."""
        messages, begin = [], 0
        while (end := self._end(begin)) is not None and end <= len(self._arrived):
            messages.append(bytes(self._arrived[begin:end]))
            begin = end
        del self._arrived[:begin]
        return messages

    def _end(self, begin: int) -> int | None:
        """Where the message that begins there will end; None where that is not known yet."""
        head = self._arrived[begin : begin + _HEAD]
        if len(head) < _HEAD:
            return None
        tag, size = head
        if tag != _MESSAGE:
            raise ValueError("no message")
        start = begin + _HEAD
        if size & 0x80:
            octets = self._arrived[start : start + (size & 0x7F)]
            if len(octets) < size & 0x7F:
                return None
            start += len(octets)
            size = int.from_bytes(octets, "big")
        if size > self._ceilings.record_bytes:
            raise PermanentSourceError(f"{self._title}: {self._ceilings.excess('an entry', 'record')}")
        return start + size


def _entry(message: bytes, begin: int, end: int) -> Entry:
    (_, *dn), (_, begin, end) = _elements(message, begin, end)
    found: dict[str, list[bytes]] = {}
    for _, *attribute in _elements(message, begin, end):
        (_, *name), (_, *values) = _elements(message, *attribute)
        given = found.setdefault(message[slice(*name)].decode(), [])
        given += [message[start:stop] for _, start, stop in _elements(message, *values)]
    return message[slice(*dn)], found


def _elements(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The elements from `start` to `stop`: tag, and where the content begins and ends. ValueError where one is cut."""
    while start < stop:
        tag, size = data[start], data[start + 1]
        start += _HEAD
        if size & 0x80:
            octets = data[start : start + (size & 0x7F)]
            start += len(octets)
            size = int.from_bytes(octets, "big")
        end = start + size
        if end > stop:
            raise ValueError("an element ends behind what it is part of")
        yield tag, start, end
        start = end
