"""ASN.1 in the Basic Encoding Rules, as far as LDAP uses them (RFC 4511 5.1): definite lengths, tags of one byte."""

from collections.abc import Iterable

BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31
# Octets of a length, and of a number. AD's own client spells every length with four.
MOST_LENGTH_OCTETS = 4
MOST_NUMBER_OCTETS = 8


class BerError(ValueError):
    """Bytes that are no BER of LDAP."""


def element(tag: int, content: bytes) -> bytes:
    """One element: tag, length, content."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | octets)) + length.to_bytes(octets, "big") + content


def sequence(*parts: bytes, tag: int = SEQUENCE) -> bytes:
    """An element of elements."""
    return element(tag, b"".join(parts))


def integer(number: int, tag: int = INTEGER) -> bytes:
    """A whole number, in as few octets as hold it and its sign."""
    # One bit more for the sign; a negative number has the bits of the one that its complement is.
    bits = (number if number >= 0 else ~number).bit_length() + 1
    return element(tag, number.to_bytes((bits + 7) // 8, "big", signed=True))


def octets(value: bytes | str, tag: int = OCTET_STRING) -> bytes:
    """A string of octets, text in UTF-8."""
    return element(tag, value.encode() if isinstance(value, str) else value)


def attribute(name: str, values: Iterable[bytes]) -> bytes:
    """An attribute description with its values (PartialAttribute of RFC 4511 4.1.7)."""
    content = b"".join([element(OCTET_STRING, value) for value in values])
    return element(SEQUENCE, element(OCTET_STRING, name.encode()) + element(SET, content))


def message_length(buffer: bytes | bytearray, most: int) -> int | None:
    """How many bytes the message takes that begins the buffer; None while too few have come to tell.

    BerError if no message begins there, or one of more than `most` bytes.
    """
    if buffer and buffer[0] != SEQUENCE:
        raise BerError("a message is a sequence")
    if len(buffer) < 2 or len(buffer) < _length_octets(buffer[1]) + 2:
        return None
    start = _length_octets(buffer[1]) + 2
    length = start + (int.from_bytes(buffer[2:start], "big") if start > 2 else buffer[1])
    if length > most:
        raise BerError(f"a message has at most {most} bytes")
    return length


class Reader:
    """Reads the elements of a piece of BER one after another; each step raises BerError for what it does not find."""

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end

    @property
    def more(self) -> bool:
        """Whether anything follows."""
        return self._at < self._end

    def next_tag(self) -> int | None:
        """The tag of what follows, None at the end."""
        return self._data[self._at] if self.more else None

    def enter(self, tag: int) -> "Reader":
        """A reader of the content of the next element."""
        start, end = self._next(tag)
        return Reader(self._data, start, end)

    def octets(self, tag: int = OCTET_STRING) -> bytes:
        """The content of the next element."""
        start, end = self._next(tag)
        return self._data[start:end]

    def text(self, tag: int = OCTET_STRING) -> str:
        """The content of the next element, which is text."""
        try:
            return self.octets(tag).decode()
        except UnicodeDecodeError:
            raise BerError("text is UTF-8") from None

    def integer(self, tag: int = INTEGER) -> int:
        """The next element, a whole number."""
        content = self.octets(tag)
        if not 1 <= len(content) <= MOST_NUMBER_OCTETS:
            raise BerError(f"a number has 1 to {MOST_NUMBER_OCTETS} octets")
        return int.from_bytes(content, "big", signed=True)

    def boolean(self, tag: int = BOOLEAN) -> bool:
        """The next element, true or false."""
        content = self.octets(tag)
        if len(content) != 1:
            raise BerError("true and false have one octet")
        return content != b"\0"

    def _next(self, tag: int) -> tuple[int, int]:
        """Where the content of the next element begins and ends; what comes next is behind it."""
        if self.next_tag() != tag:
            raise BerError(f"an element of tag {tag:#04x} is missing")
        start = self._at + 2
        if start > self._end:
            raise BerError("an element has a length")
        length = self._data[start - 1]
        if octets := _length_octets(length):
            start += octets
            if start > self._end:
                raise BerError("a length has all of its octets")
            length = int.from_bytes(self._data[start - octets : start], "big")
        if start + length > self._end:
            raise BerError("an element ends within the one that holds it")
        self._at = start + length
        return start, self._at


def _length_octets(first: int) -> int:
    """How many octets follow the first one of a length."""
    if first < 0x80:
        return 0
    if not 1 <= first - 0x80 <= MOST_LENGTH_OCTETS:
        raise BerError(f"a length is definite and has at most {MOST_LENGTH_OCTETS} octets")
    return first - 0x80
