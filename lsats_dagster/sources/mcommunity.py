"""MCommunity: people and groups of the university's LDAP directory (sources.md 4.4, 13, 14)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field, SecretStr

from lsats_dagster.clients.errors import PartialFetchError
from lsats_dagster.clients.ldap import LdapClient
from lsats_dagster.clients.ldap_values import Attributes
from lsats_dagster.ingestion.stream import (
    Extract,
    HashRule,
    ListStream,
    Part,
    Record,
    UnkeyedRecordError,
    UnprovenReadError,
)
from lsats_dagster.settings import Folder, Host, SourceSettings
from lsats_dagster.source import Source, Terms, Weekday, weekly

TITLE = "MCommunity"
ROOT = "dc=umich,dc=edu"
# As bigint holds it.
MOST_DIGITS = 18
# What a standard lets have one value only; anything else may have several.
PERSON = Attributes(
    one=("uidNumber", "gidNumber", "displayName", "homeDirectory", "loginShell"),
    several=(
        "uid", "cn", "sn", "givenName", "mail", "ou", "umichTitle", "telephoneNumber", "umichPostalAddress",
        "umichPostalAddressData", "objectClass",
    ),
)  # fmt: skip
GROUP = Attributes(
    one=(
        "gidNumber", "umichPrivate", "Membersonly", "joinable", "umichEntryDisabled", "umichDisabledTimestamp",
        "umichExpiryTimestamp", "RealtimeBlockList", "supressNoEmailError", "umichAutoReplyStart", "umichAutoReplyEnd",
    ),
    several=(
        "cn", "umichGroupEmail", "description", "umichDescription", "member", "groupMember", "umichDirectMember",
        "umichDirectGroupMember", "owner", "requestsTo", "errorsTo", "rfc822RequestsTo", "rfc822ErrorsTo", "rfc822mail",
        "umichAutoReply", "permittedGroup", "umichPermittedSenders", "umichPermittedSendersDomains",
        "umichServiceEntitlement", "labeledUri", "postalAddress", "umichPostalAddress", "telephoneNumber",
        "facsimileTelephoneNumber", "objectClass",
    ),
)  # fmt: skip


class McommunitySettings(SourceSettings):
    """Address and login of MCommunity."""

    ways: ClassVar = (("mcommunity_ldap_server", "mcommunity_ldap_user", "mcommunity_ldap_password"),)

    mcommunity_ldap_server: Host | None = Field(
        None, description="Host of the directory of MCommunity, ldap.umich.edu; always with TLS."
    )
    mcommunity_ldap_port: int = Field(636, gt=0, lt=65536, description="Its port for LDAP over TLS.")
    mcommunity_ldap_user: str = Field("", description="Login there, a DN such as uid=name,ou=People,dc=umich,dc=edu.")
    mcommunity_ldap_password: SecretStr = Field(SecretStr(""), description="Goes with MCOMMUNITY_LDAP_USER.")
    mcommunity_ldap_ca_file: Folder | None = Field(
        None, description="File with the authorities that may have signed its certificate; default: the system's."
    )


def open_client(settings: McommunitySettings, terms: Terms) -> LdapClient:
    """A client by the settings."""
    assert settings.mcommunity_ldap_server is not None
    return LdapClient(
        title=TITLE,
        host=settings.mcommunity_ldap_server,
        port=settings.mcommunity_ldap_port,
        user=settings.mcommunity_ldap_user,
        password=settings.mcommunity_ldap_password.get_secret_value(),
        ca_file=settings.mcommunity_ldap_ca_file,
        timeouts=terms.timeouts,
        ceilings=terms.ceilings,
        clock=terms.clock,
    )


def number_key(record: Record, name: str) -> str:
    """A number of the directory as text: 8, "8" and " 8 " are one."""
    value = record.get(name)
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 10**MOST_DIGITS:
        raise UnkeyedRecordError(f"{name} is not a positive whole number")
    return str(int(text))


def person_key(record: Record) -> str:
    """uidNumber: it stays when a login name changes."""
    return number_key(record, "uidNumber")


def group_key(record: Record) -> str:
    """gidNumber: it stays when a name or mail name changes."""
    return number_key(record, "gidNumber")


@dataclass(frozen=True)
class Branch:
    """What a stream reads: a branch, which of its entries, by the values of which number, and what of each."""

    base: str
    filter: str
    number: str
    attributes: Attributes

    @property
    def content(self) -> HashRule:
        """Everything but the key, which may come as number or text. The order of several values has no meaning."""
        known = {"dn", *self.attributes.names} - {self.number}
        return HashRule(sets=frozenset(self.attributes.several), known=frozenset(known))

    def read(self, client: LdapClient, extract: Extract) -> Iterator[Part]:
        """All entries, by intervals of the number, each of which the directory answered to its end.

        It gives some 350 entries a search and no more, over all pages (sources.md 4.4).
        """
        extract.evidence["base"], extract.evidence["filter"] = self.base, self.filter
        before, records = extract.before, 0
        try:
            for name, found in client.parts(
                self.base, self.filter, self.attributes, self.number, plan=before.parts, finished=before.finished
            ):
                records += len(found)
                yield Part(name, found)
        except PartialFetchError as error:
            raise UnprovenReadError(str(error)) from None
        extract.complete(f"every interval of {self.number} was answered to its end", records=records)


PEOPLE_BRANCH = Branch(f"ou=People,{ROOT}", "(uid=*)", "uidNumber", PERSON)
# Those without members too: who asks for members only does not see that a group lost its last one (silver_source_tables.md 4.7).
GROUPS_BRANCH = Branch(f"ou=User Groups,ou=Groups,{ROOT}", "(gidNumber=*)", "gidNumber", GROUP)

USERS = ListStream(
    source_system="mcommunity_ldap",
    entity_type="user",
    table="mcommunity_users",
    row="One person of the MCommunity directory.",
    description=(
        "Read whole from the branch of people, by intervals of uidNumber, because the directory gives few entries a search. "
        "Removed: absent from a complete read. Nobody without uidNumber is read."
    ),
    key=person_key,
    evidence=LdapClient.evidence,
    hash_rule=PEOPLE_BRANCH.content,
    read=PEOPLE_BRANCH.read,
)

GROUPS = ListStream(
    source_system="mcommunity_ldap",
    entity_type="group",
    table="mcommunity_groups",
    row="One group of the MCommunity directory, with members or without.",
    description=(
        "Read whole from the branch of groups, by intervals of gidNumber, because the directory gives few entries a search. "
        "Removed: absent from a complete read. No group without gidNumber is read."
    ),
    key=group_key,
    evidence=LdapClient.evidence,
    hash_rule=GROUPS_BRANCH.content,
    read=GROUPS_BRANCH.read,
)

SOURCE = Source(
    name="mcommunity",
    title=TITLE,
    settings=McommunitySettings,
    open_client=open_client,
    transport="ldap",
    streams=(USERS, GROUPS),
    # 700,000 people, of whom few change.
    cadences={USERS.table: weekly(Weekday.SUNDAY)},
)
