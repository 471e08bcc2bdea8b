"""JSON of sources, record by record: a bad record spoils itself only, and a broken answer is never taken for a whole list.

A list is read twice. First its structure is followed to the end by brackets and strings alone: that finds the elements
and refuses what is cut. Then they are decoded, a page at a time, and one by one where a page does not decode.
"""

import io
import json
import math
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, Any, NamedTuple

from lsats_dagster.clients.errors import UnreadableRecordError

PAGE_RECORDS = 1000
PAGE_BYTES = 4 << 20  # a page of large records ends earlier
# Brackets within brackets: records have six, and Python, whose stack is shared with its callers, ends at 1000.
DEEPEST = 500
QUOTED_BYTES = 1 << 20  # of a record that cannot be read
_WINDOW = 1 << 20
_HEAD = 1 << 16  # bytes within which a value begins and a name ends
_DEEPEST_FOLLOWED = 1 << 20

_BLANKS = b" \t\r\n"
_QUOTE, _COMMA, _ARRAY, _OBJECT = b'",[{'
_OPENED_BY = {ord("]"): _ARRAY, ord("}"): _OBJECT}
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# Each runs over whole strings to the sign it is named after, or to the start of a string that does not end in the window.
_TO_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:%b[^"\[\]{}]*+)*+' % _STRING, re.DOTALL)
_TO_COMMA_OR_BRACKET = re.compile(rb'[^"\[\]{},]*+(?:%b[^"\[\]{},]*+)*+' % _STRING, re.DOTALL)
_TO_QUOTE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_NAME = re.compile(rb"[ \t\r\n]*+(%b)[ \t\r\n]*+:" % _STRING, re.DOTALL)


class NotJsonError(Exception):
    """The body is cut, or no JSON at all."""


class WrongShapeError(Exception):
    """JSON without the array asked for. The message completes "HTTP 200 with"."""


class Span(NamedTuple):
    """Where a value lies in a body, and how deep its brackets go."""

    start: int
    end: int
    depth: int


@dataclass
class _Page:
    """Elements that are decoded together: at most PAGE_BYTES of them, or a single larger one."""

    start: int
    end: int
    count: int
    depth: int
    largest: int


class JsonArray:
    """The elements of the array at `path` in a body: found by the constructor, decoded by `pages`.

    Without a path the body is the array. With one the array may be missing or null, which is no elements, or be a single
    object, which is one. Raises NotJsonError and WrongShapeError. The body is closed after the last page or an error.
    """

    def __init__(self, body: IO[bytes], size: int, path: tuple[str, ...], record_bytes: int) -> None:
        self._body = body
        self._record_bytes = record_bytes
        try:
            whole = Span(_after_mark(body), size, 0)
            self._pages = list(_pages(_elements(body, whole, path), record_bytes))
        except BaseException:
            body.close()
            raise

    def pages(self) -> Iterator[list[object]]:
        """The elements in pages; one that cannot be read is an UnreadableRecordError in its place."""
        with self._body:
            for page in self._pages:
                yield self._decoded(page)

    def close(self) -> None:
        """Close the body without its pages."""
        self._body.close()

    def _decoded(self, page: _Page) -> list[object]:
        size = page.end - page.start
        if page.count == 1:  # perhaps a huge one
            raw = _read(self._body, page.start, size if size <= self._record_bytes else min(size, QUOTED_BYTES))
            return [_record(raw, size, page.depth, self._record_bytes)]
        raw = b"[%b]" % _read(self._body, page.start, size)
        if page.largest <= self._record_bytes and page.depth <= DEEPEST:
            with suppress(ValueError, RecursionError):
                rows: list[object] = _DECODER.decode(_text(raw))
                return rows
        spans = spans_within(io.BytesIO(raw), Span(0, len(raw), 0))
        return [_record(raw[s.start : s.end], s.end - s.start, s.depth, self._record_bytes) for s in spans]


def document(raw: bytes) -> Any:
    """The value of a body that is one record; NotJsonError or UnreadableRecordError if it cannot be read."""
    body = io.BytesIO(raw)
    whole = Span(_after_mark(body), len(raw), 0)
    depth = 0
    if _first(body, whole) in (_ARRAY, _OBJECT):
        depth = 1 + max((span.depth for span in spans_within(body, whole)), default=0)
    value = _record(raw[whole.start :], len(raw), depth, len(raw))
    if isinstance(value, UnreadableRecordError):
        raise value
    return value


def spans_within(body: IO[bytes], whole: Span) -> Iterator[Span]:
    """The elements of the array, or the members of the object, that fills `whole`; NotJsonError where that is broken.

    Strings, brackets and outer commas are followed. What stands between them may still be no JSON. Memory is bounded,
    however large an element is.
    """
    window, offset = b"", whole.start  # of the window in the body
    opened = bytearray()  # the brackets that are open
    in_string = ended = False
    begun, deepest = whole.start, 0  # of the span under way
    plain = nested = False  # what it has: anything outside of brackets; a value in brackets, which must come last
    spans = 0
    while more := _read(body, offset + len(window), min(_WINDOW, whole.end - offset - len(window))):
        window += more
        position = 0
        while position < len(window):
            if in_string:
                position = _end(_TO_QUOTE, window, position)
                if position == len(window) or window[position] != _QUOTE:
                    break  # the rest of it, or of its last escape, is in the next window
                in_string = False
                position += 1
            outermost = len(opened) < 2
            stop = _end(_TO_COMMA_OR_BRACKET if outermost else _TO_BRACKET, window, position)
            sign = window[stop] if stop < len(window) else None
            if outermost and (sign == _QUOTE or window[position:stop].strip(_BLANKS)):
                if nested or not opened:
                    raise NotJsonError
                plain = True
            position = stop if sign is None else stop + 1
            if sign == _QUOTE:
                in_string = True
            elif sign in (_ARRAY, _OBJECT):
                if ended or len(opened) == _DEEPEST_FOLLOWED:
                    raise NotJsonError
                if len(opened) == 1 and (nested or plain != (opened[0] == _OBJECT)):  # a member has a name before
                    raise NotJsonError
                opened.append(sign)
                deepest = max(deepest, len(opened) - 1)
                if len(opened) == 1:
                    begun = offset + position
            elif sign is not None:
                ended = sign != _COMMA and len(opened) == 1
                if not opened or (sign != _COMMA and opened.pop() != _OPENED_BY[sign]):
                    raise NotJsonError
                if sign == _COMMA or ended:
                    if plain or nested:
                        yield Span(begun, offset + stop, deepest)
                        spans += 1
                    elif spans or not ended:  # a comma with nothing before or after it
                        raise NotJsonError
                    begun, deepest, plain, nested = offset + position, 0, False, False
                elif len(opened) == 1:
                    nested = True
        window, offset = window[position:], offset + position
    if not ended:
        raise NotJsonError


def _elements(body: IO[bytes], whole: Span, path: tuple[str, ...]) -> Iterator[Span]:
    value: Span | None = whole
    for number, name in enumerate(path):
        if value is None or _first(body, value) != _OBJECT:
            _check(body, whole)
            raise WrongShapeError(f"JSON without the envelope {path[max(number - 1, 0)]}")
        value = _member(body, value, name)
    if path and (value is None or _is_null(body, value)):
        return
    assert value is not None
    first = _first(body, value)
    if first == _ARRAY:
        yield from spans_within(body, value)
    elif first == _OBJECT and path:
        yield value
    else:
        _check(body, whole)
        raise WrongShapeError(f"JSON in which {path[-1]} is not a list" if path else "JSON that is not a list")


def _member(body: IO[bytes], whole: Span, name: str) -> Span | None:
    """The value of the member `name` of an object, which is followed to its end."""
    found = None
    for span in spans_within(body, whole):
        match = _NAME.match(_read(body, span.start, min(span.end - span.start, _HEAD)))
        if match is None:
            raise NotJsonError
        if _value(match[1]) == name:
            if found is not None:
                raise WrongShapeError(f"JSON in which {name} comes twice")
            found = Span(span.start + match.end(), span.end, span.depth)
    return found


def _pages(spans: Iterator[Span], record_bytes: int) -> Iterator[_Page]:
    page: _Page | None = None
    for start, end, depth in spans:
        if page is None or page.count == PAGE_RECORDS or end - page.start > PAGE_BYTES:
            if page is not None:
                yield page
            page = _Page(start, end, 0, 0, 0)
        page.end = end
        page.count += 1
        page.depth = max(page.depth, depth)
        page.largest = max(page.largest, end - start)
    if page is not None:
        yield page


def _check(body: IO[bytes], whole: Span) -> None:
    """Raise NotJsonError unless the body is a whole value."""
    if _first(body, whole) in (_ARRAY, _OBJECT):
        deque(spans_within(body, whole), maxlen=0)
    else:
        _value(_read(body, whole.start, min(whole.end - whole.start, _HEAD)))


def _is_null(body: IO[bytes], span: Span) -> bool:
    return _read(body, span.start, min(span.end - span.start, _HEAD)).strip(_BLANKS) == b"null"


def _value(raw: bytes) -> object:
    try:
        return json.loads(_text(raw))
    except (ValueError, RecursionError):
        pass
    raise NotJsonError


def _record(raw: bytes, size: int, depth: int, most: int) -> object:
    """The value in `raw`, or why there is none. Of `size` bytes above `most`, only the first need be there."""
    raw = raw.strip(_BLANKS)
    if size > most:
        reason = f"larger than {most / 2**20:g} MB (HTTP_RECORD_MEGABYTES)"
    elif depth > DEEPEST:
        reason = f"nested more than {DEEPEST} deep"
    else:
        try:
            return _DECODER.decode(_text(raw))
        except _DoubledNameError:
            reason = "one name comes twice in an object"
        except json.JSONDecodeError as error:
            reason = f"invalid JSON at character {error.pos + 1}"
        except RecursionError:
            reason = "nested deeper than Python can follow"
    return UnreadableRecordError(reason, raw[:QUOTED_BYTES].decode("utf-8", "backslashreplace"))


def _read(body: IO[bytes], start: int, size: int) -> bytes:
    body.seek(start)
    return body.read(size)


def _end(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    """Where the match that begins at `start` ends; these patterns match everywhere."""
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _first(body: IO[bytes], span: Span) -> int | None:
    """The first byte of a value."""
    head = _read(body, span.start, min(span.end - span.start, _HEAD)).lstrip(_BLANKS)
    return head[0] if head else None


def _after_mark(body: IO[bytes]) -> int:
    """Behind the byte order mark that some sources write."""
    return 3 if _read(body, 0, 3) == b"\xef\xbb\xbf" else 0


def _text(raw: bytes) -> str:
    """As UTF-8. A wrong byte becomes a lone surrogate: it spoils one value and not the record."""
    return raw.decode("utf-8", "surrogateescape")


class _DoubledNameError(ValueError):
    pass


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(members)
    if len(read) != len(members):  # Python would keep the last value and lose the others without a word
        raise _DoubledNameError
    return read


def _whole_number(text: str) -> int | str:
    """Python refuses integers of thousands of digits: as text, they spoil one value and not the record."""
    return int(text) if len(text) < 1000 else text


def _decimal_number(text: str) -> float | str:
    """A number that a float cannot hold stays the text it is: digits are not lost, and too large is not infinite."""
    value = float(text)
    try:
        exact = math.isfinite(value) and Decimal(text) == Decimal(repr(value))
    except ArithmeticError:  # an exponent beyond those of Decimal
        exact = False
    return value if exact else text


# NaN and the infinities, which are no JSON but which some sources write, become texts too.
_DECODER = json.JSONDecoder(
    parse_int=_whole_number, parse_float=_decimal_number, parse_constant=str, object_pairs_hook=_object
)
