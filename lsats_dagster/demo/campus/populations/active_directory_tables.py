"""The tables of Active Directory: links that are seen from both ends, and what a hub compares that reads by date."""

from typing import TYPE_CHECKING

from lsats_dagster.demo.campus.entities import DayChanges, Payload, Table, subject_of
from lsats_dagster.demo.campus.populations.active_directory_days import WEEK
from lsats_dagster.demo.campus.populations.active_directory_objects import guid_of
from lsats_dagster.demo.campus.populations.active_directory_records import LAPS, LEGACY_LAPS
from lsats_dagster.demo.campus.populations.mcommunity import without

if TYPE_CHECKING:
    from lsats_dagster.demo.campus.populations.active_directory import ActiveDirectory

# Each controller has its own, or moves them without meaning; the key is no content (sources.md 15 to 18).
OF_ONE_CONTROLLER = ("objectGUID", "whenChanged", "uSNChanged", "uSNCreated", "dSCorePropagationData")
OF_LOGINS = ("lastLogon", "lastLogoff", "logonCount", "badPwdCount", "badPasswordTime")
OF_PASSWORDS = ("pwdLastSet", LEGACY_LAPS, LAPS)
# A change of groups, or of who manages what, does not touch the account: whoever reads by whenChanged sees it later.
BACK_LINKS = ("memberOf", "managedObjects")


class Objects(Table):
    """Objects whose members and managers are links, so that they are seen from both ends."""

    def __init__(self, directory: "ActiveDirectory") -> None:
        super().__init__(directory.related)
        self._directory = directory

    def write(self, entity: Payload, fields: Payload) -> None:
        others = dict(fields)
        key = guid_of(subject_of(entity))
        if "member" in others:
            self._directory.set_members(key, others.pop("member") or [])
        if "managedBy" in others:
            self._directory.set_managers(key, filter(None, [others.pop("managedBy")]))
        super().write(entity, others)


class Accounts(Objects):
    """Accounts, whose back-links a hub has as they were when they were dated last: it reads by date, and all once a week."""

    def __init__(self, directory: "ActiveDirectory") -> None:
        super().__init__(directory)
        # Key -> date, and the back-links then, of whoever changed since all were read.
        self._read: dict[str, tuple[str, Payload]] = {}

    def read_all(self) -> None:
        """Let the hub read all accounts as they are now."""
        self._read.clear()

    def changing(self, key: str) -> None:
        if not self.noted(key):
            self._reads(key)
        super().changing(key)

    def end_day(self) -> dict[str, DayChanges]:
        for key in self._journal or ():
            self._reads(key)
        changes = super().end_day()
        if self._directory.time.day % WEEK == 0:
            self.read_all()
        return changes

    def compared(self, shown: Payload) -> Payload:
        """What a hub that reads by date compares."""
        own = without((*OF_ONE_CONTROLLER, *OF_LOGINS, *OF_PASSWORDS, "lastLogonTimestamp", *BACK_LINKS), shown)
        return own | self._read.get(shown["objectGUID"], ("", back_links(shown)))[1]

    def _reads(self, key: str) -> None:
        """Let the hub read the account, if it was dated since it did so last."""
        if key in self.present:
            shown = self._directory.records.account(self.present[key])
            if self._read.get(key, ("",))[0] != shown["whenChanged"]:
                self._read[key] = shown["whenChanged"], back_links(shown)


def back_links(shown: Payload) -> Payload:
    """What others say of an account."""
    return {name: sorted(shown[name]) for name in BACK_LINKS if name in shown}
