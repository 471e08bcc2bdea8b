"""Active Directory: accounts, groups, organizational units and computers (sources.md 4.5, 15 to 18)."""

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field, SecretStr

from lsats_dagster.clients.errors import PartialFetchError
from lsats_dagster.clients.ldap import LdapClient
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.ingestion.stream import (
    BLANKS,
    Extract,
    HashRule,
    ListStream,
    Record,
    SkippedRecordError,
    UnkeyedRecordError,
    UnprovenReadError,
)
from lsats_dagster.settings import Folder, Host, SourceSettings
from lsats_dagster.source import Source, Terms

TITLE = "Active Directory"
UNIVERSITY = "OU=UMICH,DC=adsroot,DC=itcs,DC=umich,DC=edu"
COLLEGE = f"OU=LSA,OU=Organizations,{UNIVERSITY}"
# Computers are of the class person too.
ACCOUNTS = "(&(objectClass=person)(cn=*)(!(objectClass=computer)))"
GUID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.ASCII | re.IGNORECASE)
OCTETS = 16
# The clocks of controllers differ, and what one of them learned late it marks with its own time (sources.md 22.2).
OVERLAP = timedelta(minutes=15)

# Of each controller its own, or moved without meaning: no content (sources.md 4.5, 15 to 18).
OF_ONE_CONTROLLER = ("whenChanged", "uSNChanged", "uSNCreated", "dSCorePropagationData")
OF_LOGINS = ("lastLogon", "lastLogoff", "logonCount", "badPwdCount", "badPasswordTime")
# An account changes its password now and then, a computer every month by itself.
OF_PASSWORDS = ("pwdLastSet", "ms-Mcs-AdmPwdExpirationTime", "msLAPS-PasswordExpirationTime")

KEY = "objectGUID"
OBJECT = (
    KEY, "cn", "name", "objectCategory", "instanceType", "whenCreated", "whenChanged", "uSNCreated", "uSNChanged",
)  # fmt: skip
OBJECT_LISTS = ("objectClass", "description", "dSCorePropagationData")
PRINCIPAL = ("objectSid", "sAMAccountName", "sAMAccountType", "displayName")
LOGIN = (
    "userAccountControl", "primaryGroupID", "accountExpires", "pwdLastSet", "lastLogon", "lastLogoff", "lastLogonTimestamp",
    "logonCount", "badPwdCount", "badPasswordTime",
)  # fmt: skip
ACCOUNT = Attributes(
    one=(
        *OBJECT, *PRINCIPAL, *LOGIN, "userPrincipalName", "givenName", "sn", "middleName", "initials", "mail", "mailNickname",
        "targetAddress", "legacyExchangeDN", "telephoneNumber", "mobile", "facsimileTelephoneNumber", "pager", "title",
        "department", "streetAddress", "employeeType", "umichDirectoryID", "homeDirectory", "homeDrive", "loginShell",
        "uidNumber", "gidNumber", "lockoutTime", "msExchRecipientTypeDetails", "extensionAttribute5", "extensionAttribute6",
        "extensionAttribute9", "umichadNoBatchUpdates", "umichadHidePersonalInfo", "umichadUMDirToADSyncFlag",
    ),
    several=(
        *OBJECT_LISTS, "uid", "proxyAddresses", "otherMobile", "umichadOU", "umichadRole", "memberOf", "managedObjects",
        "sIDHistory",
    ),
)  # fmt: skip
GROUP = Attributes(
    one=(*OBJECT, *PRINCIPAL, "mail", "info", "managedBy", "gidNumber", "groupType"),
    several=(*OBJECT_LISTS, "member", "memberOf", "proxyAddresses", "proxiedObjectName", "sIDHistory"),
)
UNIT = Attributes(
    one=(*OBJECT, "managedBy", "gPLink", "gPOptions", "street", "l", "postalCode", "systemFlags"),
    several=(*OBJECT_LISTS, "ou"),
)
COMPUTER = Attributes(
    one=(
        *OBJECT, *PRINCIPAL, *LOGIN, "dNSHostName", "operatingSystem", "operatingSystemVersion", "operatingSystemServicePack",
        "countryCode", "codePage", "localPolicyFlags", "managedBy", "msDS-SupportedEncryptionTypes",
        "ms-Mcs-AdmPwdExpirationTime", "msLAPS-PasswordExpirationTime", "isCriticalSystemObject", "pager",
    ),
    several=(
        *OBJECT_LISTS, "servicePrincipalName", "memberOf", "userCertificate", "msDS-KeyCredentialLink", "networkAddress",
        "msDFSR-ComputerReferenceBL", "netbootSCPBL",
    ),
)  # fmt: skip


class ActiveDirectorySettings(SourceSettings):
    """Address and login of Active Directory."""

    ways: ClassVar = (("ad_server", "ad_user", "ad_password"),)

    ad_server: Host | None = Field(
        None,
        description="Active Directory: host of a controller or of the domain, adsroot.itcs.umich.edu; always with TLS.",
    )
    ad_port: int = Field(636, gt=0, lt=65536, description="Its port for LDAP over TLS.")
    ad_user: str = Field("", description="Login there, DOMAIN\\name or name@domain.")
    ad_password: SecretStr = Field(SecretStr(""), description="Goes with AD_USER.")
    ad_ca_file: Folder | None = Field(
        None, description="File with the authorities that may have signed its certificate; default: the system's."
    )


def open_client(settings: ActiveDirectorySettings, terms: Terms) -> LdapClient:
    """A client by the settings."""
    assert settings.ad_server is not None
    return LdapClient(
        title=TITLE,
        host=settings.ad_server,
        port=settings.ad_port,
        user=settings.ad_user,
        password=settings.ad_password.get_secret_value(),
        ca_file=settings.ad_ca_file,
        timeouts=terms.timeouts,
        ceilings=terms.ceilings,
        clock=terms.clock,
    )


def content(attributes: Attributes, *volatile: str) -> HashRule:
    """The content of objects: lists without order, without the key and what each controller has its own."""
    return HashRule(
        volatile=frozenset((*OF_ONE_CONTROLLER, *volatile)),
        sets=frozenset(attributes.several),
        known=frozenset({"dn", *attributes.names} - {KEY}),
    )


def object_key(record: Record) -> str:
    """objectGUID in lower case without braces, whether it comes as its 16 octets, as these in base64, or as text.

    Octets hold the first three fields in little-endian order. Some that happen to be characters come as text.
    """
    value = record.get(KEY)
    guid = None
    if isinstance(value, str):
        match = GUID.fullmatch(value.strip(BLANKS))
        guid = UUID(match[1]) if match else None
        value = octets(value)
    if guid is None and isinstance(value, bytes) and len(value) == OCTETS:
        guid = UUID(bytes_le=value)
    if guid is None or guid.int == 0:
        raise UnkeyedRecordError(f"{KEY} is not a GUID")
    return str(guid)


def octets(text: str) -> bytes:
    """The octets behind a text: base64 of them, or characters that they are."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    return decoded if len(decoded) == OCTETS else text.encode(errors="replace")


def account_key(record: Record) -> str:
    """The same of accounts; a computer is an account too, and a record of another stream."""
    classes = record.get("objectClass")
    if isinstance(classes, list) and any(isinstance(name, str) and name.lower() == "computer" for name in classes):
        raise SkippedRecordError("a computer")
    return object_key(record)


def read_accounts(client: LdapClient, extract: Extract) -> Iterator[list[Any]]:
    """All accounts, or those that changed since the last read: whenChanged is that of one controller, whose own clock counts.

    What another controller has changed is not known by that time, nor what a controller changes whose clock went back behind it:
    then everything is read.
    """
    memory = extract.before.memory
    controller = client.controller(memory.get("controller"))
    extract.remember(controller=controller.name, read_at=controller.time.isoformat())
    since = extract.before.since
    if since is None and extract.before.changes_only and memory.get("controller") == controller.name:
        last = datetime.fromisoformat(memory["read_at"]) - OVERLAP
        since = last if last <= controller.time else None
    if since is None:
        yield from whole(client, extract, [UNIVERSITY], ACCOUNTS, ACCOUNT)
        return
    moment = since.astimezone(UTC)
    # Not later than: what changed within this second, behind an earlier read, is read again.
    changed = f"(&{ACCOUNTS}(whenChanged>={moment:%Y%m%d%H%M%S}.0Z))"
    records = 0
    for page in pages(client, extract, UNIVERSITY, changed, ACCOUNT):
        records += len(page)
        yield page
    extract.changes(moment.isoformat(), records=records, controller=controller.name)


def read_groups(client: LdapClient, extract: Extract) -> Iterator[list[Any]]:
    """All groups of LSA."""
    return whole(client, extract, [f"OU=Users and Groups,{COLLEGE}"], "(objectClass=group)", GROUP)


def read_units(client: LdapClient, extract: Extract) -> Iterator[list[Any]]:
    """All organizational units in the branches of labs and of workstations, these two themselves among them."""
    branches = [f"OU={name},{COLLEGE}" for name in ("Research and Instrumentation", "Workstations")]
    return whole(client, extract, branches, "(objectClass=organizationalUnit)", UNIT)


def read_computers(client: LdapClient, extract: Extract) -> Iterator[list[Any]]:
    """All computers of LSA."""
    return whole(client, extract, [COLLEGE], "(objectClass=computer)", COMPUTER)


def whole(
    client: LdapClient, extract: Extract, bases: list[str], wanted: str, attributes: Attributes
) -> Iterator[list[Any]]:
    """Everything below some units; the client raises where a search did not end with success."""
    records = 0
    for base in bases:
        for page in pages(client, extract, base, wanted, attributes):
            records += len(page)
            yield page
    extract.complete("every search ended with success behind its last page", records=records)


def pages(client: LdapClient, extract: Extract, base: str, wanted: str, attributes: Attributes) -> Iterator[list[Any]]:
    """The pages of one search."""
    extract.evidence["filter"] = wanted
    try:
        yield from client.pages(base, wanted, attributes)
    except PartialFetchError as error:
        raise UnprovenReadError(str(error)) from None


USERS = ListStream(
    source_system="active_directory",
    entity_type="user",
    table="ad_users",
    row="One account of Active Directory, of a person or a service.",
    description=(
        "What changed since the last read is read by whenChanged of one controller, and at least every week everything, from "
        "the unit of the university. Computers, which are accounts too, are left out. Removed: absent from a complete read. "
        "A change of groups does not touch the account, and shows with the next complete read."
    ),
    key=account_key,
    evidence=LdapClient.evidence,
    hash_rule=content(ACCOUNT, *OF_LOGINS, *OF_PASSWORDS, "lastLogonTimestamp"),
    # A Sunday that failed is made up on Monday.
    whole_every=timedelta(days=6.5),
    read=read_accounts,
)

GROUPS = ListStream(
    source_system="active_directory",
    entity_type="group",
    table="ad_groups",
    row="One group of LSA in Active Directory, with its members.",
    description=(
        "Read whole from the unit Users and Groups of LSA. Removed: absent from a complete read, so deleted or moved out. "
        "The primary group of an account is not among its groups."
    ),
    key=object_key,
    evidence=LdapClient.evidence,
    hash_rule=content(GROUP),
    read=read_groups,
)

UNITS = ListStream(
    source_system="active_directory",
    entity_type="organizational_unit",
    table="ad_organizational_units",
    row="One organizational unit of LSA in Active Directory, of labs or of workstations.",
    description=(
        "Read whole from the units Research and Instrumentation and Workstations of LSA. Removed: absent from a complete "
        "read, so deleted or moved out."
    ),
    key=object_key,
    evidence=LdapClient.evidence,
    hash_rule=content(UNIT),
    read=read_units,
)

COMPUTERS = ListStream(
    source_system="active_directory",
    entity_type="computer",
    table="ad_computers",
    row="One computer of LSA in Active Directory, without passwords.",
    description=(
        "Read whole from the unit of LSA. Removed: absent from a complete read, so deleted or moved out. The last login that "
        "all controllers know of is content, what each counts by itself is not."
    ),
    key=object_key,
    evidence=LdapClient.evidence,
    hash_rule=content(COMPUTER, *OF_LOGINS, *OF_PASSWORDS),
    read=read_computers,
)

SOURCE = Source(
    name="active_directory",
    title=TITLE,
    settings=ActiveDirectorySettings,
    open_client=open_client,
    transport="ldap",
    streams=(USERS, GROUPS, UNITS, COMPUTERS),
)
