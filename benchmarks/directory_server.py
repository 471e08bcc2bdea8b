"""`python -m benchmarks.directory_server KIND ENTRIES FOLDER`: invented entries over LDAPS, until standard input ends.

Tells port and CA file in one line of JSON; certificate and authority are made for this run and lie in FOLDER.
"""

import json
import sys
from pathlib import Path
from uuid import UUID

from lsats_dagster.demo.campus.faces.active_directory import ActiveDirectory
from lsats_dagster.demo.campus.faces.directories import certified
from lsats_dagster.demo.campus.faces.mcommunity import Mcommunity
from lsats_dagster.demo.campus.ldap.directory import Directory, Values
from lsats_dagster.demo.campus.ldap.identities import Identity, Limits
from lsats_dagster.demo.campus.ldap.server import LdapServer
from lsats_dagster.demo.campus.ldap.syntaxes import Syntax
from lsats_dagster.sources import active_directory, mcommunity

PASSWORD = "invented"
# What the hub gets of a search: 350 entries over all pages, or pages of 1,000. The yardstick has no limits.
HUB = {face.name: face.limits for face in (Mcommunity, ActiveDirectory)}
NAMES = ("hub", "yardstick")
NUMBERS = ("uidNumber", "gidNumber", "userAccountControl", "instanceType", "uSNChanged", "pwdLastSet")
TIMES = ("whenCreated", "whenChanged", "currentTime")
DEPARTMENTS = 240


def texts(**values: str | list[str]) -> dict[str, list[bytes]]:
    """Attributes of one text, or of several."""
    return {name: [text.encode() for text in ([given] if isinstance(given, str) else given)]
            for name, given in values.items()}  # fmt: skip


def login(number: int) -> str:
    """A name that is in no order."""
    return f"person{number * 2654435761 % 4294967296:08x}"


def person(number: int) -> tuple[str, Values]:
    """A person of MCommunity: 16 attributes."""
    name = login(number)
    department = f"Department {number % DEPARTMENTS} of the College of Examples"
    return f"uid={name},{mcommunity.PEOPLE_BRANCH.base}", texts(
        uid=name,
        # Different for each of a million. Where a directory gives the lowest first, there are more and smaller parts.
        uidNumber=str(100_000 + number * 7_919 % 1_000_003),
        gidNumber="10",
        cn=[f"Person {name}", f"Person Of {name}"],
        sn=name,
        givenName="Person",
        displayName=f"Person {name}",
        mail=f"{name}@example.edu",
        ou=[f"{department} - Faculty and Staff", "Alumni"],
        umichTitle="Research Laboratory Specialist",
        telephoneNumber=f"555-{number:07}",
        homeDirectory=f"/users/{name}",
        loginShell="/bin/bash",
        umichPostalAddress=f"{department} $ {number} Example Avenue",
        umichPostalAddressData=f"{{addr1={number} Example Avenue}}:{{city=Exampleton}}:{{state=MI}}",
        objectClass=["top", "person", "inetOrgPerson", "posixAccount", "umichPerson"],
    )


def account(number: int) -> tuple[str, Values]:
    """An account of Active Directory: 19 attributes."""
    name = login(number)
    groups = [
        f"CN=group {place},OU=Users and Groups,{active_directory.COLLEGE}" for place in (number % 40, number % 300)
    ]
    return f"CN={name},OU=People,{active_directory.UNIVERSITY}", {
        "objectGUID": [UUID(int=number + 1).bytes_le],
        **texts(
            cn=name,
            name=name,
            sAMAccountName=name,
            displayName=f"Person {name}",
            givenName="Person",
            sn=name,
            mail=f"{name}@example.edu",
            userPrincipalName=f"{name}@example.edu",
            department=f"Department {number % DEPARTMENTS} of the College of Examples",
            userAccountControl="512",
            instanceType="4",
            whenCreated="20240901040000.0Z",
            whenChanged="20260112081530.0Z",
            uSNChanged=str(1_000_000 + number),
            pwdLastSet="133800000000000000",
            umichadOU=[f"Department {number % DEPARTMENTS} - Faculty and Staff", "Alumni"],
            memberOf=groups,
            objectClass=["top", "person", "organizationalPerson", "user"],
        ),
    }


def directory(kind: str, entries: int) -> Directory:
    """So many entries of one kind, below what the hub reads."""
    made, base, context = (
        (person, mcommunity.PEOPLE_BRANCH.base, mcommunity.ROOT)
        if kind == "mcommunity"
        else (account, f"OU=People,{active_directory.UNIVERSITY}", active_directory.UNIVERSITY)
    )
    names = set(made(0)[1])
    syntaxes = (
        dict.fromkeys(NUMBERS, Syntax.INTEGER) | dict.fromkeys(TIMES, Syntax.TIME) | {"objectGUID": Syntax.OCTETS}
    )
    content = Directory(
        [context],
        {name: syntaxes.get(name, Syntax.TEXT) for name in names},
        indexed=["uidNumber"] if kind == "mcommunity" else [],
        about=lambda: texts(dnsHostName="localhost", currentTime="20260112081530.0Z"),
    )
    for dn in (context, base):
        content.add(dn, texts(objectClass="top"))
    for number in range(entries):
        content.add(*made(number))
    return content


def main() -> None:
    kind, entries, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    ca_file = folder / f"{kind}.pem"
    identities = [
        Identity((f"cn={name}",), PASSWORD, limits=limits)
        for name, limits in zip(NAMES, (HUB[kind], Limits()), strict=True)
    ]
    with LdapServer(directory(kind, entries), identities, tls=certified(ca_file)) as server:
        print(json.dumps({"port": server.tls_port, "ca_file": str(ca_file)}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
