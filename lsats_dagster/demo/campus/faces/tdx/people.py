"""People: users, their details, the light list of all of them (sources.md 7, 8)."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.responses import PlainTextResponse, Response

from lsats_dagster.demo.campus.entities import Payload
from lsats_dagster.demo.campus.faces.tdx.common import flag, listed, number, numbers, one
from lsats_dagster.demo.campus.gate import Call
from lsats_dagster.demo.campus.simulation import Simulation

LIST, DETAIL = "tdx/user", "tdx/user_detail"
# What the light list says of each user.
LIGHT = (
    "UID", "ReferenceID", "UserName", "FirstName", "LastName", "FullName", "PrimaryEmail", "AlertEmail",
    "AuthenticationUserName", "ExternalID", "AlternateID", "IsEmployee", "IsActive", "IsConfidential", "TypeID",
    "DefaultAccountID",
)  # fmt: skip
# At most so many accounts in one search: an assumption of sources.md 24 (Q1).
MOST_ACCOUNTS = 200
LOOKUP_MOST = 50


class People:
    """The handlers: what each method answers to a call that may be served."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def search(self, call: Call) -> Response:
        """Users that meet the criteria of the body, without their collections."""
        wanted = Criteria(call.fields())
        if len(wanted.accounts) > MOST_ACCOUNTS:
            return PlainTextResponse(f"At most {MOST_ACCOUNTS} accounts may be searched at once.", 400)
        return listed(self._found(wanted), self._poison(wanted), wanted.most)

    def lookup(self, call: Call) -> Response:
        """Active users whose name or address has a text, some of them."""
        wanted = Criteria({"searchtext": call.query.get("searchtext", ""), "isactive": True})
        most = number(call.query.get("maxresults")) or LOOKUP_MOST
        return listed(self._found(wanted), most=min(most, LOOKUP_MOST))

    def one(self, call: Call) -> Response:
        """One user with their collections; 404 if they are gone."""
        return one(self._simulation, DETAIL, call.request.path_params["uid"].lower())

    def userlist(self, call: Call) -> Response:
        """All users in a few words each; for administrative logins only."""
        if not self._simulation.tdx_tokens.is_admin(call.token):
            return PlainTextResponse("Access to this method is denied.", 403)
        flags = ("IsActive", "IsConfidential", "IsEmployee")
        wanted = {name: flag(call.query.get(name.lower())) for name in flags}
        kind = number(call.query.get("usertype"))
        users = self._simulation.world.stream(LIST).listed()
        return listed(
            {name: user[name] for name in LIGHT}
            for user in users
            if all(value in (None, user[name]) for name, value in wanted.items()) and kind in (None, user["TypeID"])
        )

    def groups(self, call: Call) -> Response:
        """The groups of one user."""
        user = self._simulation.world.people.users.present.get(call.request.path_params["uid"].lower())
        groups = [] if user is None else self._simulation.world.stream(DETAIL).shown(user)["GroupIDs"]
        return listed({"GroupID": group, "IsPrimary": place == 0} for place, group in enumerate(groups))

    def _found(self, wanted: "Criteria") -> Iterator[Payload]:
        people, stream = self._simulation.world.people, self._simulation.world.stream(LIST)
        for key, fields in stream.table.ordered():
            user = stream.table[key]
            # Of most users a search makes no record.
            if wanted.accounts and people.records.account_of(user) not in wanted.accounts:
                continue
            if wanted.active is not None and people.is_active(user) is not wanted.active:
                continue
            shown = stream.shown(user) | fields
            if wanted.met_by(shown):
                yield shown

    def _poison(self, wanted: "Criteria") -> Iterable[bytes]:
        """Poison is active and belongs to the first account, so that a read in batches meets it once."""
        world = self._simulation.world
        first = min(map(int, world.departments.accounts.present), default=0)
        asked = (not wanted.accounts or first in wanted.accounts) and wanted.active is not False
        return self._simulation.behaviour.poison_of(LIST) if asked else ()


class Criteria:
    """The body of a people search. Absent and null mean no restriction; unknown properties are ignored."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._text = str(fields.get("searchtext") or "").strip().lower()
        # Active ones only, unless the body says otherwise; null is taken for both.
        self.active = flag(fields["isactive"]) if "isactive" in fields else True
        self.accounts = numbers(fields.get("accountids"))
        self._flags = {
            "IsEmployee": flag(fields.get("isemployee")),
            "IsConfidential": flag(fields.get("isconfidential")),
        }
        names = {"externalid": "ExternalID", "alternateid": "AlternateID", "username": "UserName",
                 "securityroleid": "SecurityRoleID"}  # fmt: skip
        self._texts = {field: str(fields[name]).lower() for name, field in names.items() if fields.get(name)}
        self._references = numbers(fields.get("referenceids"))
        self.most = max(0, number(fields.get("maxresults")) or 0)

    def met_by(self, user: Payload) -> bool:
        """Whether the user is asked for, accounts and activity aside."""
        named = f"{user['FullName']}\n{user['PrimaryEmail']}\n{user['AlternateID']}".lower()
        return (
            self._text in named
            and all(value in (None, user[name]) for name, value in self._flags.items())
            and all(str(user[name]).lower() == value for name, value in self._texts.items())
            and (not self._references or user["ReferenceID"] in self._references)
        )
