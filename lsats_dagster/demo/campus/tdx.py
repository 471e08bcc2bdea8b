"""The TeamDynamix Web API of the campus (sources.md 4.1, 5, 6)."""

import hmac
from collections.abc import Iterable
from typing import Any

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lsats_dagster.demo.campus.entities import Payload, UnknownEntityError, as_json
from lsats_dagster.demo.campus.gate import Call, Method, guarded, not_found
from lsats_dagster.demo.campus.simulation import Simulation

# Identifier, name, type, class, active or not. Clients ask for these when they start: the identifier is part of paths.
APPLICATIONS = (
    (12, "People", "Standard", "TDPeople", True),
    (27, "Analysis", "Standard", "TDAnalysis", True),
    (31, "Example Help Tickets", "Ticketing", "TDTickets", True),
    (35, "Example Retired Tickets", "Ticketing", "TDTickets", False),
    (48, "Example Assets/CIs", "Assets/CI", "TDAssets", True),
    (52, "Example Client Portal", "Client Portal", "TDClient", True),
    (60, "Example Room Finder", "External", "External", True),
)

# Paths arrive in lower case: the real server does not tell /Accounts from /accounts.
PREFIXES = ("/tdwebapi/api", "/sbtdwebapi/api")


def routes(simulation: Simulation) -> list[BaseRoute]:
    """All routes, under both prefixes."""
    api = TdxApi(simulation)
    login = guarded(simulation, Method("tdx/auth", api.login, b"", open_to_all=True))
    loginadmin = guarded(simulation, Method("tdx/loginadmin", api.login_admin, b"", open_to_all=True))
    applications = guarded(simulation, Method("tdx/applications", api.applications, b"[]"))
    accounts = guarded(simulation, Method("tdx/accounts", api.accounts, b"[]"))
    search = guarded(simulation, Method("tdx/accounts/search", api.search, b"[]"))
    account = guarded(simulation, Method("tdx/accounts/{id}", api.account, b"{}"))
    table = (
        ("/auth", login, "POST"),
        ("/auth/login", login, "POST"),
        ("/auth/loginadmin", loginadmin, "POST"),
        ("/applications", applications, "GET"),
        ("/accounts", accounts, "GET"),
        ("/accounts/search", search, "POST"),
        ("/accounts/{id}", account, "GET"),
    )
    return [Route(prefix + path, endpoint, methods=[verb]) for prefix in PREFIXES for path, endpoint, verb in table]


class TdxApi:
    """The handlers: what each method answers to a call that may be served."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def login(self, call: Call) -> Response:
        """User login: a bare token as text."""
        simulation = self._simulation
        return self._token(call, username=simulation.username, password=simulation.password)

    def login_admin(self, call: Call) -> Response:
        """Administrative login: a bare token as text."""
        simulation = self._simulation
        return self._token(call, beid=simulation.beid, webserviceskey=simulation.web_services_key)

    def applications(self, call: Call) -> Response:
        """All applications, inactive ones too."""
        records = [
            {
                "AppID": identifier,
                "Name": name,
                "Description": None,
                "Type": kind,
                "AppClass": app_class,
                "ExternalUrl": "https://rooms.campus.example/" if kind == "External" else None,
                "Purpose": "Questions and requests" if kind == "Ticketing" else None,
                "Active": active,
                "PartialUrl": "Portal" if kind == "Client Portal" else None,
            }
            for identifier, name, kind, app_class, active in APPLICATIONS
        ]
        return Response(as_json(records), media_type="application/json")

    def accounts(self, call: Call) -> Response:
        """Active accounts, without Attributes."""
        return self._listed(account for account in self._all() if account["IsActive"] is True)

    def search(self, call: Call) -> Response:
        """Accounts that meet the criteria of the body, without Attributes."""
        try:
            wanted = Criteria(call.fields())
        except (ValueError, TypeError, OverflowError):
            return PlainTextResponse("The request is invalid.", 400)
        return self._listed((account for account in self._all() if wanted.met_by(account)), wanted.most)

    def account(self, call: Call) -> Response:
        """One account with its Attributes; 404 if it is gone."""
        key = call.request.path_params["id"]
        stream = self._simulation.world.stream("tdx/department_detail")
        raw = self._simulation.behaviour.poisoned_details.get((stream.name, key))
        if raw is not None:
            return Response(raw.encode("utf-8", "backslashreplace"), media_type="application/json")
        try:
            return Response(as_json(stream.shown(stream.table[key])), media_type="application/json")
        except UnknownEntityError:
            return not_found("tdx")

    def _token(self, call: Call, **expected: str) -> Response:
        try:
            given = call.fields()
        except ValueError:
            return PlainTextResponse("The request is invalid.", 400)
        for name, value in expected.items():
            if not hmac.compare_digest(str(given.get(name, "")).encode("utf-8", "replace"), value.encode()):
                return PlainTextResponse("Invalid credentials.", 401)
        return PlainTextResponse(self._simulation.tdx_tokens.issue())

    def _all(self) -> Iterable[Payload]:
        stream = self._simulation.world.stream("tdx/department")
        return (stream.shown(account) for _, account in stream.table.ordered())

    def _listed(self, accounts: Iterable[Payload], most: int = 0) -> Response:
        """A bare array; poison comes last, whatever was asked for."""
        records = [as_json(account) for account in accounts]
        poison = self._simulation.behaviour.poison.get("tdx/department", [])
        records += [raw.encode("utf-8", "backslashreplace") for raw in poison]
        return Response(b"[" + b",".join(records[: most or None]) + b"]", media_type="application/json")


class Criteria:
    """The body of an account search. Absent and null mean no restriction; unknown properties are ignored."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._text = str(fields.get("searchtext") or "").strip().lower()
        self._active = _flag(fields.get("isactive"))
        self._parent = _number(fields.get("parentaccountid"))
        self._parent_name = str(fields.get("parentaccountname") or "").strip().lower()
        managers = fields.get("manageruids") or []
        self._managers = {str(uid).lower() for uid in ([managers] if isinstance(managers, str) else managers)}
        self.most = max(0, _number(fields.get("maxresults")) or 0)

    def met_by(self, account: Payload) -> bool:
        """Whether the account is asked for."""
        named = f"{account['Name']}\n{account['Code']}".lower()
        return (
            self._text in named
            and self._active in (None, account["IsActive"])
            and self._parent in (None, 0, account["ParentID"])
            and self._parent_name in ("", str(account["ParentName"]).lower())
            and (not self._managers or str(account["ManagerUID"]).lower() in self._managers)
        )


def _flag(value: object) -> bool | None:
    """A boolean that may arrive as text; ValueError if it is none."""
    if value is None or value == "":
        return None
    text = str(value).lower()
    if text not in ("true", "false", "1", "0"):
        raise ValueError("no boolean")
    return text in ("true", "1")


def _number(value: Any) -> int | None:
    """An integer that may arrive as text; ValueError or TypeError if it is none."""
    return None if value is None or value == "" else int(value)
