"""Values of a directory: bytes, decoded by the name of their attribute (sources.md 4.5 and 4.7).

One table for all servers: by the schema that a server publishes, the same value would be a number from one and text from another.
"""

import base64
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from lsats_dagster.clients.errors import PermanentSourceError, UnreadableRecordError

# Passwords and keys of accounts and machines, in small letters: never asked for, never kept.
SECRETS = frozenset({
    "ms-mcs-admpwd", "mslaps-password", "mslaps-encryptedpassword", "mslaps-encryptedpasswordhistory",
    "mslaps-encrypteddsrmpassword", "mslaps-encrypteddsrmpasswordhistory", "unicodepwd", "userpassword", "unixuserpassword",
    "mssfu30password", "dbcspwd", "ntpwdhistory", "lmpwdhistory", "supplementalcredentials", "msds-managedpassword",
    "msds-managedpasswordid", "msds-managedpasswordpreviousid", "msfve-recoverypassword", "msfve-keypackage",
    "mstpm-ownerinformation", "userpkcs12", "authpassword", "krbprincipalkey", "sambantpassword", "sambalmpassword",
    "sambapasswordhistory",
})  # fmt: skip
# Wherever JSON is read, whole numbers up to this one stay what they are.
_GREATEST_NUMBER = 2**53
_BEGIN = datetime(1601, 1, 1)
_TICKS = 10_000_000  # of a FILETIME in a second
# From the last day of year 9999 on, a FILETIME stands for "never": programs write what is next to their greatest day.
_NEVER = int((datetime(9999, 12, 31) - _BEGIN).total_seconds()) * _TICKS
_KEPT = 1 << 20  # of one record that cannot be read

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*(;binary)?", re.ASCII)
_NUMBER = re.compile(rb"-?[0-9]{1,40}")
_FILETIME = re.compile(rb"[0-9]{1,40}")
_TIME = re.compile(
    rb"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3])([0-5]\d)?)"
)
_GUID = re.compile(rb"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)
_SID = re.compile(rb"S-1(-[0-9]{1,20})+")


def text(value: bytes) -> str:
    """As it came; base64 where it is no UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return octets(value)


def octets(value: bytes) -> str:
    """Base64, also of what happens to be text: one attribute has one shape."""
    return base64.b64encode(value).decode()


def integer(value: bytes) -> int | str:
    """A number; as text what is beyond 2^53, or is none."""
    if _NUMBER.fullmatch(value) and abs(number := int(value)) <= _GREATEST_NUMBER:
        return number
    return text(value)


def boolean(value: bytes) -> bool | str:
    """True or false; anything else as text."""
    known = {b"TRUE": True, b"FALSE": False}.get(value.upper())
    return text(value) if known is None else known


def filetime(value: bytes) -> str | None:
    """ISO time in UTC of 100-ns ticks since 1601; None for 0 and for never. What is no such number stays as it came."""
    if not _FILETIME.fullmatch(value):
        return text(value)
    ticks = int(value)
    if ticks == 0 or ticks >= _NEVER:
        return None
    seconds, fraction = divmod(ticks, _TICKS)
    return _iso(_BEGIN + timedelta(seconds=seconds), f"{fraction:07d}")


def generalized_time(value: bytes) -> str:
    """ISO time in UTC of any form of RFC 4517; a day or time that there is not, or one without a zone, stays as it came."""
    match = _TIME.fullmatch(value)
    if match is None:
        return text(value)
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    # A fraction is one of the smallest unit that is given.
    unit = 1 if second else 60 if minute else 3600
    seconds, nanoseconds = divmod(unit * int((fraction or b"").ljust(9, b"0")), 10**9)
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == b"-" else 1)
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute or 0), int(second or 0))
        moment += timedelta(seconds=seconds) - offset
    except (ValueError, OverflowError):
        return text(value)
    return _iso(moment, f"{nanoseconds:09d}")


def guid(value: bytes) -> str:
    """Lower-case with dashes and without braces, of the 16 octets (the first three fields little-endian) or of text."""
    if len(value) == 16:
        return str(UUID(bytes_le=value))
    match = _GUID.fullmatch(value)
    return octets(value) if match is None else match[1].decode().lower()


def sid(value: bytes) -> str:
    """S-1-... of the octets or of text; base64 of anything else."""
    if _SID.fullmatch(value):
        return value.decode()
    if len(value) < 8 or value[0] != 1 or len(value) != 8 + 4 * value[1]:
        return octets(value)
    parts = struct.unpack(f"<{value[1]}I", value[8:])
    return "-".join(["S", "1", str(int.from_bytes(value[2:8], "big")), *map(str, parts)])


def _iso(moment: datetime, fraction: str) -> str:
    return f"{moment.isoformat()}.{fraction}".rstrip("0").rstrip(".") + "Z"


Decoder = Callable[[bytes], Any]

# What is named nowhere here is text.
_NAMES: dict[Decoder, str] = {
    guid: "objectGUID",
    sid: "objectSid sIDHistory",
    filetime: "accountExpires pwdLastSet lastLogon lastLogoff lastLogonTimestamp badPasswordTime lockoutTime",
    generalized_time: """
        whenCreated whenChanged dSCorePropagationData currentTime createTimestamp modifyTimestamp
        umichExpiryTimestamp umichDisabledTimestamp umichAutoReplyStart umichAutoReplyEnd
    """,
    # The expirations of LAPS are FILETIMEs whose very ticks the tables show (silver_source_tables.md 4.11, C-13).
    integer: """
        uidNumber gidNumber userAccountControl primaryGroupID logonCount badPwdCount uSNCreated uSNChanged instanceType
        sAMAccountType groupType gPOptions systemFlags countryCode codePage localPolicyFlags msDS-SupportedEncryptionTypes
        msDS-ManagedPasswordInterval msExchRecipientTypeDetails ms-Mcs-AdmPwdExpirationTime msLAPS-PasswordExpirationTime
    """,
    boolean: """
        isCriticalSystemObject isDeleted joinable Membersonly umichPrivate umichEntryDisabled RealtimeBlockList
        supressNoEmailError
    """,
    octets: """
        userCertificate userSMIMECertificate cACertificate jpegPhoto thumbnailPhoto logonHours nTSecurityDescriptor
        msDS-AllowedToActOnBehalfOfOtherIdentity msDS-GroupMSAMembership mSMQDigests
        mSMQSignCertificates mS-DS-ConsistencyGuid
    """,
}
_DECODERS: dict[str, Decoder] = {name.lower(): decoder for decoder, names in _NAMES.items() for name in names.split()}


@dataclass(frozen=True)
class Attributes:
    """The attributes that a search asks for, in the spelling that records have, `;binary` where a server wants it.

    one: of these a record holds a value; several: of these a list, of one value too. PermanentSourceError for a name that is
    no attribute's, comes twice, stands for all there are, or holds a secret.
    """

    one: tuple[str, ...]
    several: tuple[str, ...] = ()
    _known: dict[str, tuple[str, bool, Decoder]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.names:
            plain, _, option = name.partition(";")
            if not _NAME.fullmatch(name):
                raise PermanentSourceError("attributes of a directory are asked for by their names, one by one")
            if is_secret(name):
                raise PermanentSourceError(f"{plain} holds secrets and is never asked for")
            if plain.lower() in self._known:
                raise PermanentSourceError(f"{plain} is asked for twice")
            decoder = octets if option else _DECODERS.get(plain.lower(), text)
            known = (plain, name in self.several, decoder)
            # A server may add the option by itself.
            self._known.update({plain.lower(): known, f"{plain.lower()};binary": known})

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.one, *self.several)

    def record(self, dn: bytes, found: Mapping[str, Sequence[bytes | str]]) -> dict[str, Any] | UnreadableRecordError:
        """The record of an entry by its values as received: its `dn`, and what was asked for and is there.

        A second value of an attribute that has one makes it an UnreadableRecordError.
        """
        record: dict[str, Any] = {"dn": text(dn)}
        for received, values in found.items():
            known = self._known.get(received.lower())
            if known is None or not values:
                continue
            name, is_list, decoder = known
            decoded = [_decoded(value, decoder) for value in values]
            if is_list:
                record.setdefault(name, []).extend(decoded)
            elif len(decoded) > 1 or name in record:
                return UnreadableRecordError(
                    f"{name} has several values and is declared to have one", _shown(dn, found)
                )
            else:
                record[name] = decoded[0]
        return record

    def unasked_secrets(self, found: Mapping[str, Any]) -> list[str]:
        """Names of attributes with secrets that a server sent by itself. No record holds them."""
        return [name for name in found if name.lower() not in self._known and is_secret(name)]


def is_secret(name: str) -> bool:
    """Whether an attribute holds passwords or keys, whatever options its name has."""
    return name.partition(";")[0].lower() in SECRETS


def _decoded(value: bytes | str, decoder: Decoder) -> Any:
    """A value as received, bytes or the text of the same bytes. What is empty is None, where it is no text."""
    if isinstance(value, str):
        value = value.encode()
    return decoder(value) if value or decoder is text else None


def _shown(dn: bytes, found: Mapping[str, Sequence[bytes | str]]) -> str:
    """An entry as it came, for whoever looks after it; without secrets."""
    values = {
        name: [value if isinstance(value, str) else value.decode("utf-8", "backslashreplace") for value in given]
        for name, given in found.items()
        if not is_secret(name)
    }
    return json.dumps({"dn": dn.decode("utf-8", "backslashreplace"), **values}, ensure_ascii=False)[:_KEPT]
