"""Active Directory of the campus over LDAP (sources.md 4.5, 23.2)."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar

from lsats_dagster.demo.campus.entities import Payload, Stream
from lsats_dagster.demo.campus.faces.directories import ADDRESS, CONTAINER, HOST, NOTHING, CampusDirectory, first_name
from lsats_dagster.demo.campus.faces.directory_values import MOST_LATE, of_other_controller, tenths
from lsats_dagster.demo.campus.ldap.filters import Attribute, Attributes, Within
from lsats_dagster.demo.campus.ldap.identities import Limits
from lsats_dagster.demo.campus.ldap.syntaxes import COMPARABLE, Syntax, comparable_dn, is_below
from lsats_dagster.demo.campus.world import World

# What a deletion leaves of an object's attributes.
REMAINS = (
    "objectClass", "objectGUID", "objectSid", "sAMAccountName", "userAccountControl", "instanceType", "whenCreated",
    "whenChanged", "uSNCreated", "uSNChanged",
)  # fmt: skip


class ActiveDirectory(CampusDirectory):
    """Active Directory: accounts, groups, units and computers, and what deletions left (sources.md 4.5)."""

    name = "active_directory"
    prefix = "AD"
    root = "DC=adsroot,DC=itcs,DC=umich,DC=edu"
    university = f"OU=UMICH,{root}"
    college = f"OU=LSA,OU=Organizations,{university}"
    # Each unit in these is a record.
    unit_branches = (f"OU=Research and Instrumentation,{college}", f"OU=Workstations,{college}")
    branches: ClassVar = {
        "active_directory/user": f"OU=People,{university}",
        "active_directory/group": f"OU=Users and Groups,{college}",
        "active_directory/organizational_unit": unit_branches[0],
        "active_directory/computer": unit_branches[1],
    }
    trash = f"CN=Deleted Objects,{root}"
    units = (
        trash, university, f"OU=People,{university}", f"OU=Organizations,{university}", college,
        f"OU=Users and Groups,{college}",
    )  # fmt: skip
    login = ("UMROOT\\svc-hub", "svc-hub@umich.edu")
    limits = Limits(page=1000, values=1500)
    indexed = ("whenChanged", "sAMAccountName", "objectGUID")
    referrals = (f"ldap://DomainDnsZones.adsroot.itcs.umich.edu/DC=DomainDnsZones,{root}",)
    # By the number of a controller, its name; the second one's clock is ahead by as much as it may be late.
    controllers: ClassVar = {1: (HOST, timedelta(0)), 2: (ADDRESS, timedelta(seconds=MOST_LATE))}

    def controller(self, number: int) -> None:
        """Let another controller answer."""
        if number not in self.controllers:
            raise ValueError("the controllers are 1 and 2")
        self._controller = number
        self.rebuild()

    def show(self, world: World, *, is_first_day: bool) -> None:
        super().show(world, is_first_day=is_first_day)
        self._controller = 1

    def hides(self, uid: bytes) -> bool:
        """Whether the account of this name says that its owner wants to be private."""
        name = COMPARABLE[Syntax.TEXT](uid)
        found = self.directory.candidates(Within("samaccountname", Syntax.TEXT, name, name, ""))
        return any(
            value.lower() in (b"true", b"yes")
            for account in found
            for value in account.attributes.get("umichadhidepersonalinfo", NOTHING).values
        )

    def _about(self) -> Mapping[str, Iterable[bytes]]:
        name, ahead = self.controllers[self._controller]
        return {
            "dnsHostName": [name.encode()],
            "currentTime": [tenths((self._now + ahead).isoformat())],
            "defaultNamingContext": [self.root.encode()],
        }

    def _shown(self, stream: Stream, key: str) -> Payload | None:
        record = super()._shown(stream, key)
        if record is None:
            record = self._tombstone(stream.shown(stream.table.gone[key]))
        record = {**record, "distinguishedName": record["dn"]}
        return of_other_controller(record) if self._controller == 2 else record

    def _tombstone(self, record: Payload) -> Payload:
        """What a deletion leaves of an object (sources.md 4.5; 23.2, L10)."""
        kind, _, above = first_name(record["dn"])
        spelled = record["dn"].removesuffix(f",{above}")
        mangled = f"{record['name']}\nDEL:{record['objectGUID']}"
        return {
            **{attribute: record[attribute] for attribute in REMAINS if attribute in record},
            "dn": f"{spelled}\\0ADEL:{record['objectGUID']},{self.trash}",
            kind: mangled,
            "name": mangled,
            "isDeleted": True,
            "lastKnownParent": above,
        }

    def _structure(self, dn: str) -> Attributes:
        made = dict(super()._structure(dn))
        if any(is_below(comparable_dn(dn), comparable_dn(branch)) for branch in self.unit_branches):
            made["objectclass"] = Attribute("objectClass", (b"top", CONTAINER.encode()))
        if dn == self.trash:
            made["isdeleted"] = Attribute("isDeleted", (b"TRUE",))
        return made
