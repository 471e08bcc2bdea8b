"""MCommunity of the campus over LDAP (sources.md 4.4, 23.2)."""

from typing import Any, ClassVar

from lsats_dagster.demo.campus.faces.active_directory import ActiveDirectory
from lsats_dagster.demo.campus.faces.directories import NOTHING, CampusDirectory
from lsats_dagster.demo.campus.ldap.entries import Entry
from lsats_dagster.demo.campus.ldap.identities import Identity, Limits

# What MCommunity tells those only who log in.
HIDDEN = ("uidNumber", "homeDirectory", "loginShell", "umichPostalAddress", "umichPostalAddressData")


class Mcommunity(CampusDirectory):
    """MCommunity: people and groups, in small portions (sources.md 4.4)."""

    name = "mcommunity"
    prefix = "MCOMMUNITY_LDAP"
    root = "dc=umich,dc=edu"
    branches: ClassVar = {
        "mcommunity_ldap/user": f"ou=People,{root}",
        "mcommunity_ldap/group": f"ou=User Groups,ou=Groups,{root}",
    }
    units = (f"ou=People,{root}", f"ou=Groups,{root}", f"ou=User Groups,ou=Groups,{root}")
    login = (f"uid=svc-hub,ou=People,{root}",)
    limits = Limits(entries=350)
    indexed = ("uid", "uidNumber", "gidNumber")

    def __init__(self, accounts: ActiveDirectory, *shared: Any) -> None:
        super().__init__(*shared)
        self._accounts = accounts

    def refresh(self) -> None:
        self._accounts.refresh()
        super().refresh()

    def _anonymous(self) -> Identity:
        return Identity(hidden=frozenset(HIDDEN), hides=self._is_private)

    def _is_private(self, entry: Entry) -> bool:
        """Whether a group is private, or somebody is who said so in Active Directory."""
        # Called by searches, which hold the directory's own lock: so this looks at entries, not at the world.
        flags = entry.attributes.get("umichprivate", NOTHING).values
        return flags == (b"TRUE",) or any(map(self._accounts.hides, entry.attributes.get("uid", NOTHING).values))
