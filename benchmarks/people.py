"""The people and groups of a whole university: as many as asked for, in the proportions of a large one.

Each record is one of the smallest campus with names, numbers, keys and members of its own; made when it is read, so that no
number of people needs memory. What people do not make (units, assets, exports) is that of the campus.
"""

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any
from uuid import UUID

from lsats_dagster.demo.campus.world import World

Record = dict[str, Any]
# Thousands, as in the volumes that the hub is planned for: entries of MCommunity, and what of them others have.
ENTRIES = 703
ACCOUNTS = 535
TDX_USERS = 91
EMPLOYEES = 61
APPOINTMENTS = 93
ALUMNI = 487
MCOMMUNITY_GROUPS = 33.8
AD_GROUPS = 8.7
SHARED_GROUPS = 1.1
# Members of a group, mostly; of each thousandth; each tenth holds the next group, and this one the one after it.
MEMBERS = 20
EVERYBODY = 5_000
FIRST = ("Brasso", "Islette", "Nesdra", "Griwen", "Lurtí", "Ilvo", "Øysso")
LAST = ("Mossyshaw", "Apmoor", "Fennistone", "Kestewake", "Tarrowwick", "Nuñdale", "Brindleington", "Thistle")
PEOPLE_DN = "ou=People,dc=umich,dc=edu"
GROUPS_DN = "ou=User Groups,ou=Groups,dc=umich,dc=edu"
DOMAIN_DN = "OU=UMICH,DC=adsroot,DC=itcs,DC=umich,DC=edu"


def guid(kind: int, number: int) -> str:
    """Scattered as true ones are, and another for each."""
    return str(UUID(int=(kind << 120) | (number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % (1 << 120))))


def uniqname(number: int) -> str:
    """Letters only, and another for each."""
    letters = ""
    for _ in range(6):
        number, letter = divmod(number, 26)
        letters += chr(ord("a") + letter)
    return f"b{letters}"


def employee_id(number: int) -> str:
    return f"{10_000_000 + number}"


class University:
    """Records by stream. people: entries of MCommunity, alumni last; accounts of Active Directory are those of the first."""

    def __init__(self, campus: World, people: int) -> None:
        self._campus = campus
        self._people = people
        self._counts = {
            "mcommunity_ldap/user": people,
            "active_directory/user": self._share(ACCOUNTS),
            "tdx/user": self._share(TDX_USERS),
            "tdx/user_detail": self._share(TDX_USERS),
            "umich_api/user": self._share(APPOINTMENTS),
            "mcommunity_ldap/group": self._share(MCOMMUNITY_GROUPS),
            "active_directory/group": self._share(AD_GROUPS),
        }
        self._makers: dict[str, Callable[[int], Record]] = {
            "mcommunity_ldap/user": self._entry,
            "active_directory/user": self._account,
            "tdx/user": self._tdx_user,
            "tdx/user_detail": self._tdx_user,
            "umich_api/user": self._appointment,
            "mcommunity_ldap/group": self._mcommunity_group,
            "active_directory/group": self._ad_group,
        }

    def _share(self, thousands: float) -> int:
        return max(1, round(self._people * thousands / ENTRIES))

    def records(self, stream: str) -> Iterator[Record]:
        """All records of one stream."""
        campus = self._campus.stream(stream).truth().values()
        if stream not in self._makers:
            yield from campus
            return
        for number, record in enumerate(islice(cycle(campus), self._counts[stream])):
            yield record | self._makers[stream](number)

    def _entry(self, number: int) -> Record:
        name = uniqname(number)
        words = {"sn": [LAST[number % len(LAST)]], "givenName": [FIRST[number % len(FIRST)]]}
        if number < self._share(EMPLOYEES):
            unit = "Lunar Umbrella Science - Faculty and Staff"
        else:
            unit = "Alumni" if number >= self._people - self._share(ALUMNI) else "Lunar Umbrella Science - Student"
        return words | {
            "dn": f"uid={name},{PEOPLE_DN}",
            "uid": [name],
            "uidNumber": 1_000_000 + number,
            "cn": [f"{words['givenName'][0]} {words['sn'][0]}"],
            "displayName": f"{words['givenName'][0]} {words['sn'][0]}",
            "mail": [f"{name}@campus.example"],
            "ou": [unit],
            "homeDirectory": f"/users/{name}",
        }

    def _account(self, number: int) -> Record:
        entry, name = self._entry(number), uniqname(number)
        return {
            "dn": f"CN={name},OU=People,{DOMAIN_DN}",
            "objectGUID": guid(1, number),
            "cn": name,
            "name": name,
            "objectSid": f"S-1-5-21-1004336348-1177238915-682003330-{1_000_000 + number}",
            "sAMAccountName": name,
            "uid": [name],
            "displayName": f"{entry['sn'][0]}, {entry['givenName'][0]}",
            "givenName": entry["givenName"][0],
            "sn": entry["sn"][0],
            "userPrincipalName": f"{name}@campus.example",
            "mail": f"{name}@campus.example",
            "proxyAddresses": [f"SMTP:{name}@campus.example", f"smtp:{name}@old.campus.example"],
            "umichadOU": entry["ou"],
            "uidNumber": entry["uidNumber"],
        }

    def _tdx_user(self, number: int) -> Record:
        entry, name = self._entry(number), uniqname(number)
        return {
            "UID": guid(2, number),
            "ReferenceID": number + 1,
            "BEID": guid(3, number),
            "BEIDInt": number + 1,
            "FullName": entry["displayName"],
            "FirstName": entry["givenName"][0],
            "LastName": entry["sn"][0],
            "UserName": f"{name}@campus.example",
            "PrimaryEmail": f"{name}@campus.example",
            "AuthenticationUserName": f"{name}@campus.example",
            "AlternateID": name,
            "ExternalID": employee_id(number),
            "ReportsToUID": guid(2, number // 12),
        }

    def _appointment(self, number: int) -> Record:
        """Those beyond the employees are second ones; each thousandth names no login."""
        place, second = number % self._share(EMPLOYEES), number >= self._share(EMPLOYEES)
        entry = self._entry(place)
        return {
            "EmplId": employee_id(place),
            "EmplRcd": int(second),
            "UniqName": "" if place % 1_000 == 999 else uniqname(place).upper(),
            "Name": f"{entry['sn'][0]},{entry['givenName'][0]}",
            "FirstName": entry["givenName"][0],
            "LastName": entry["sn"][0],
            "SupervisorId": employee_id(place // 12),
        }

    def _members(self, number: int) -> list[str]:
        count = EVERYBODY if number % 1_000 == 0 else MEMBERS
        return [uniqname((number * 7_919 + i * 104_729) % self._people) for i in range(min(count, self._people))]

    def _mcommunity_group(self, number: int) -> Record:
        """The last ones have the names of groups of Active Directory too."""
        own = self._counts["mcommunity_ldap/group"] - self._share(SHARED_GROUPS)
        members = [f"uid={name},{PEOPLE_DN}" for name in self._members(number)]
        nested = [f"cn=bench circle {number + 1},{GROUPS_DN}"] if number % 10 < 2 else []
        name = f"bench circle {number}" if number < own else f"BENCH-Group-{number - own}"
        return {
            "dn": f"cn={name},{GROUPS_DN}",
            "cn": [name],
            "gidNumber": 7_000_000 + number,
            "member": members,
            "umichDirectMember": members,
            "groupMember": nested,
            "umichDirectGroupMember": nested,
            "owner": members[:2],
        }

    def _ad_group(self, number: int) -> Record:
        members = [f"CN={name},OU=People,{DOMAIN_DN}" for name in self._members(number)]
        nested = [f"CN=BENCH-Group-{number + 1},OU=Groups,{DOMAIN_DN}"] if number % 10 < 2 else []
        return {
            "dn": f"CN=BENCH-Group-{number},OU=Groups,{DOMAIN_DN}",
            "objectGUID": guid(4, number),
            "cn": f"BENCH-Group-{number}",
            "name": f"BENCH-Group-{number}",
            "objectSid": f"S-1-5-21-1004336348-1177238915-682003330-{9_000_000 + number}",
            "sAMAccountName": f"BENCH-Group-{number}",
            "displayName": f"BENCH-Group-{number}",
            "managedBy": members[0],
            "member": members + nested,
        }
