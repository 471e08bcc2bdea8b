"""The encoding of LDAP: what it writes another reader reads, and what is no BER of LDAP is refused."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pyasn1.type import univ

from lsats_dagster.demo.campus.ldap import ber
from lsats_dagster_tests import depth

EXAMPLES = settings(max_examples=50 * depth.FACTOR, derandomize=True, deadline=None, database=None)


@pytest.mark.deep
@EXAMPLES
@given(st.integers(-(1 << 63), (1 << 63) - 1))
@example(-(1 << 63))
@example(-128)
@example(128)
def test_whole_numbers_are_those_of_another_library(number: int) -> None:
    written = ber.integer(number)
    assert decoder.decode(written)[0] == number
    assert ber.Reader(written).integer() == number
    # The other one spends an octet too many on some negative numbers: X.690 8.3.2 forbids nine equal bits in front.
    content = written[2:]
    assert len(content) == 1 or int.from_bytes(content[:2], "big") >> 7 not in (0, 0x1FF)
    if number > -(1 << 63):
        assert ber.Reader(encoder.encode(univ.Integer(number))).integer() == number


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_strings_are_those_of_another_library(length: int) -> None:
    value = b"x" * length
    assert ber.octets(value) == encoder.encode(univ.OctetString(value))
    assert ber.Reader(ber.octets(value)).octets() == value
    assert ber.message_length(ber.sequence(ber.octets(value)), 1 << 20) == len(ber.sequence(ber.octets(value)))


@pytest.mark.parametrize("octets", [1, 2, 3, 4])
def test_a_length_may_be_longer_than_it_needs(octets: int) -> None:
    content = bytes((4, 0x80 | octets)) + (2).to_bytes(octets, "big") + b"ab"
    assert ber.Reader(content).octets() == b"ab"
    whole = bytes((0x30, 0x80 | octets)) + len(content).to_bytes(octets, "big") + content
    assert ber.message_length(whole, 100) == len(whole)
    assert all(ber.message_length(whole[:cut], 100) in (None, len(whole)) for cut in range(len(whole)))


@pytest.mark.parametrize(
    "data",
    [
        b"\x31\x03\x02\x01\x01",
        b"\x30\x80\x02\x01\x01\x00\x00",
        b"\x30\x85\x00\x00\x00\x00\x03\x02\x01\x01",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\xff",
        b"\x30\x82\x00\x65",
    ],
)
def test_what_begins_no_message_is_told_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(ber.BerError):
        ber.message_length(data, 100 if data[1] == 0x82 else 1 << 18)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x04",
        b"\x04\x01",
        b"\x04\x82\x01",
        b"\x04\x80ab\0\0" + b"x" * 200,
        b"\x04\x85\0\0\0\0\1x",
        b"\x02\x01x",
        b"\x04\x84\x7f\xff\xff\xffx",
    ],
)
def test_a_string_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ber.BerError):
        ber.Reader(data).octets()


def test_an_element_ends_within_the_one_that_holds_it() -> None:
    outer = ber.Reader(b"\x30\x03\x04\x02ab")
    with pytest.raises(ber.BerError):
        outer.enter(ber.SEQUENCE).octets()


@pytest.mark.parametrize("data", [b"\x02\x00", b"\x02\x09" + b"\1" * 9])
def test_a_number_is_neither_empty_nor_huge(data: bytes) -> None:
    with pytest.raises(ber.BerError):
        ber.Reader(data).integer()


@pytest.mark.parametrize("data", [b"\x01\x00", b"\x01\x02\xff\xff"])
def test_true_and_false_have_one_octet(data: bytes) -> None:
    with pytest.raises(ber.BerError):
        ber.Reader(data).boolean()
