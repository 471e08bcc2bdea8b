"""The values of directories as they are sent, by attribute (sources.md 4.4, 4.5, 13 to 18)."""

import base64
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from lsats_dagster.demo.campus.entities import Payload
from lsats_dagster.demo.campus.ldap.filters import Attribute
from lsats_dagster.demo.campus.ldap.syntaxes import Syntax

BEGIN = datetime(1601, 1, 1)
TICKS = 10_000_000
NEVER = b"9223372036854775807"
# How late, in seconds, another controller may learn of a change, and by how much its counter of changes is ahead.
MOST_LATE, OTHER_COUNT = 300, 5_000_000
SID = re.compile(r"S-1-\d+(-\d+)+", re.ASCII)

Encoder = Callable[[Any], bytes]


def text_octets(text: str) -> bytes:
    """UTF-8; an escaped octet (PEP 383) as what it stands for, any other half of a sign in its three octets."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def plain(value: Any) -> bytes:
    """Text and numbers as they are written."""
    return text_octets(str(value))


def flag(value: Any) -> bytes:
    """TRUE or FALSE."""
    return plain(str(value).upper() if isinstance(value, bool) else value)


def seconds(value: str) -> bytes:
    """Generalized time as MCommunity writes it: `20260212230252Z`."""
    return f"{datetime.fromisoformat(value):%Y%m%d%H%M%S}Z".encode()


def tenths(value: str) -> bytes:
    """Generalized time as Active Directory writes it: `20260112081530.0Z`."""
    return f"{datetime.fromisoformat(value):%Y%m%d%H%M%S}.0Z".encode()


def ticks(value: str | None) -> bytes:
    """FILETIME: ticks of 100 ns since 1601; 0 for what never was."""
    if value is None:
        return b"0"
    whole, _, fraction = value.removesuffix("Z").partition(".")
    since = datetime.fromisoformat(whole) - BEGIN
    return b"%d" % ((since.days * 86_400 + since.seconds) * TICKS + int(fraction.ljust(7, "0")[:7]))


def expiry(value: str | None) -> bytes:
    """FILETIME of an end, which may never come."""
    return NEVER if value is None else ticks(value)


def guid(value: str) -> bytes:
    """16 octets, of which the first three fields are little-endian."""
    return UUID(value).bytes_le


def sid(value: str) -> bytes:
    """Revision, number of parts, authority in six octets, and each part little-endian in four."""
    if not SID.fullmatch(value):
        raise ValueError("a SID has an authority and parts")
    authority, *parts = (int(part) for part in value.split("-")[2:])
    return struct.pack("BB", 1, len(parts)) + authority.to_bytes(6) + struct.pack(f"<{len(parts)}I", *parts)


def octets(value: str) -> bytes:
    """What base64 stands for."""
    return base64.b64decode(value, validate=True)


@dataclass(frozen=True)
class Kind:
    """How values of some attributes are sent and compared. `absent`: whether None is no value at all."""

    syntax: Syntax
    encode: Encoder
    absent: bool = True


TEXT = Kind(Syntax.TEXT, plain)
KINDS: Mapping[Kind, str] = {
    TEXT: """
        objectClass dc ou cn name uid sn givenName displayName mail umichTitle telephoneNumber homeDirectory loginShell
        umichPostalAddress umichPostalAddressData umichGroupEmail description umichDescription rfc822RequestsTo rfc822ErrorsTo
        rfc822mail umichAutoReply umichPermittedSenders umichPermittedSendersDomains umichServiceEntitlement labeledUri
        postalAddress facsimileTelephoneNumber sAMAccountName userPrincipalName middleName initials mailNickname targetAddress
        legacyExchangeDN mobile pager title department streetAddress employeeType umichDirectoryID homeDrive
        extensionAttribute5 extensionAttribute6 extensionAttribute9 umichadNoBatchUpdates umichadHidePersonalInfo
        umichadUMDirToADSyncFlag proxyAddresses otherMobile umichadOU umichadRole info proxiedObjectName gPLink street l
        postalCode dNSHostName operatingSystem operatingSystemVersion operatingSystemServicePack servicePrincipalName
        msDS-KeyCredentialLink networkAddress
    """,
    Kind(Syntax.DN, plain): """
        distinguishedName member groupMember umichDirectMember umichDirectGroupMember owner requestsTo errorsTo permittedGroup
        memberOf managedObjects managedBy objectCategory msDFSR-ComputerReferenceBL netbootSCPBL lastKnownParent
    """,
    Kind(Syntax.INTEGER, plain): """
        uidNumber gidNumber instanceType uSNCreated uSNChanged sAMAccountType userAccountControl primaryGroupID logonCount
        badPwdCount msExchRecipientTypeDetails groupType gPOptions systemFlags countryCode codePage localPolicyFlags
        msDS-SupportedEncryptionTypes ms-Mcs-AdmPwdExpirationTime msLAPS-PasswordExpirationTime
    """,
    Kind(Syntax.BOOLEAN, flag): """
        umichPrivate Membersonly joinable umichEntryDisabled RealtimeBlockList supressNoEmailError isCriticalSystemObject
        isDeleted
    """,
    Kind(Syntax.TIME, seconds): """
        umichDisabledTimestamp umichExpiryTimestamp umichAutoReplyStart umichAutoReplyEnd
    """,
    Kind(Syntax.TIME, tenths): "whenCreated whenChanged dSCorePropagationData",
    Kind(Syntax.INTEGER, ticks, absent=False): """
        pwdLastSet lastLogon lastLogoff lastLogonTimestamp badPasswordTime lockoutTime
    """,
    Kind(Syntax.INTEGER, expiry, absent=False): "accountExpires",
    Kind(Syntax.OCTETS, guid): "objectGUID",
    Kind(Syntax.OCTETS, sid): "objectSid sIDHistory",
    Kind(Syntax.OCTETS, octets): "userCertificate",
}  # fmt: skip
SCHEMA: Mapping[str, Syntax] = {name: kind.syntax for kind, names in KINDS.items() for name in names.split()}
_OF_NAME = {name.lower(): kind for kind, names in KINDS.items() for name in names.split()}
# Shapes of records: by its names, where each attribute is and what it is.
_Shape = Mapping[str, tuple[int, str, Kind]]
_SHAPES: dict[tuple[str, ...], _Shape] = {}


class Sent(Mapping[str, Attribute]):
    """The attributes of a record as they are sent, by lower-case name; each is encoded when somebody asks for it.

    A campus has hundreds of thousands of records with some 40 attributes each, of which a search looks at few.
    """

    __slots__ = ("_shape", "_values")

    def __init__(self, record: Payload) -> None:
        there = {
            name: value
            for name, value in record.items()
            if (value is not None or not _kind(name).absent) and value != [] and name != "dn"
        }
        names = tuple(there)
        shape = _SHAPES.get(names)
        if shape is None:
            shape = {name.lower(): (at, name, _kind(name)) for at, name in enumerate(names)}
            _SHAPES[names] = shape
        self._shape = shape
        # Copies of lists, which the campus may change.
        self._values = tuple([tuple(value) if isinstance(value, list) else value for value in there.values()])

    def __getitem__(self, name: str) -> Attribute:
        at, spelled, kind = self._shape[name]
        value = self._values[at]
        values = value if isinstance(value, tuple) else (value,)
        return Attribute(spelled, tuple([_encoded(one, kind) for one in values]))

    def __contains__(self, name: object) -> bool:
        return name in self._shape

    def __iter__(self) -> Iterator[str]:
        return iter(self._shape)

    def __len__(self) -> int:
        return len(self._shape)


def _kind(name: str) -> Kind:
    return _OF_NAME.get(name.lower(), TEXT)


def _encoded(value: Any, kind: Kind) -> bytes:
    """A value as it is sent; what is none of its kind, because somebody put it there, as text."""
    try:
        return kind.encode(value)
    except (ValueError, TypeError, AttributeError, OverflowError, struct.error):
        return plain(value)


def raw_attributes(record: Mapping[str, Any]) -> dict[str, list[bytes]]:
    """The octets of a poisoned record: texts, or `{"base64": ...}`. ValueError for anything else."""
    if not all(name.isascii() for name in record):
        raise ValueError("names of attributes are ASCII")
    return {
        name: [_raw(value) for value in (values if isinstance(values, list) else [values])]
        for name, values in record.items()
        if name != "dn"
    }


def _raw(value: Any) -> bytes:
    if isinstance(value, str):
        return text_octets(value)
    if isinstance(value, dict) and value.keys() == {"base64"}:
        return octets(str(value["base64"]))
    raise ValueError('a raw value is a text, or {"base64": ...}')


def of_other_controller(record: Payload) -> Payload:
    """The same object as another domain controller shows it (sources.md 4.5; 23.2, L12).

    It learned of the last change some minutes later, and counts changes and logins by itself.
    """
    number = zlib.crc32(str(record.get("objectGUID")).encode())
    late, early = timedelta(seconds=1 + number % MOST_LATE), timedelta(hours=-1 - number % 100)
    others: Mapping[str, Callable[[Any], Any]] = {
        "whenChanged": lambda time: _moved(time, late),
        "dSCorePropagationData": lambda times: [_moved(time, late) for time in times],
        "uSNChanged": lambda count: count + OTHER_COUNT,
        "uSNCreated": lambda count: count + OTHER_COUNT,
        "lastLogon": lambda time: time and _moved(time, early),
        "badPasswordTime": lambda time: time and _moved(time, early),
        "logonCount": lambda count: count + 1 + number % 9,
        "badPwdCount": lambda count: (count + 1) % 3,
    }
    return record | {name: other(record[name]) for name, other in others.items() if name in record}


def _moved(time: str, by: timedelta) -> str:
    return f"{datetime.fromisoformat(time) + by:%Y-%m-%dT%H:%M:%SZ}"
