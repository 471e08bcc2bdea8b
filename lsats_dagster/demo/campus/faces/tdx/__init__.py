"""The TeamDynamix Web API of the campus (sources.md 4.1): which path is which method."""

import hmac

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lsats_dagster.demo.campus.faces.tdx.accounts import Accounts
from lsats_dagster.demo.campus.faces.tdx.assets import Assets, in_the_application
from lsats_dagster.demo.campus.faces.tdx.common import understood
from lsats_dagster.demo.campus.faces.tdx.people import People
from lsats_dagster.demo.campus.faces.tdx.reference import Reference
from lsats_dagster.demo.campus.gate import Call, Handler, Method, guarded
from lsats_dagster.demo.campus.simulation import Simulation

# Paths arrive in lower case: the real server does not tell /Accounts from /accounts.
PREFIXES = ("/tdwebapi/api", "/sbtdwebapi/api")


def routes(simulation: Simulation) -> list[BaseRoute]:
    """All routes, under both prefixes. An earlier path wins."""
    logins, reference = Logins(simulation), Reference(simulation)
    accounts, people, assets = Accounts(simulation), People(simulation), Assets(simulation)
    table: tuple[tuple[str, str, Handler], ...] = (
        ("POST", "auth", logins.user),
        ("POST", "auth/login", logins.user),
        ("POST", "auth/loginadmin", logins.admin),
        ("GET", "applications", reference.applications),
        ("GET", "accounts", accounts.active),
        ("POST", "accounts/search", accounts.search),
        ("GET", "accounts/{id}", accounts.one),
        ("POST", "people/search", people.search),
        ("GET", "people/lookup", people.lookup),
        ("GET", "people/userlist", people.userlist),
        ("GET", "people/{uid}/groups", people.groups),
        ("GET", "people/{uid}", people.one),
        ("GET", "locations", reference.locations),
        ("POST", "locations/search", reference.location_search),
        ("GET", "locations/{id:int}", reference.location),
        ("POST", "groups/search", reference.groups),
        ("GET", "attributes/custom", reference.attributes),
        ("POST", "{app}/assets/search", in_the_application(assets.search)),
        ("GET", "{app}/assets/statuses", in_the_application(assets.statuses)),
        ("GET", "{app}/assets/models", in_the_application(assets.models)),
        ("GET", "{app}/assets/models/types", in_the_application(assets.types)),
        ("GET", "{app}/assets/vendors", in_the_application(assets.vendors)),
        ("GET", "{app}/assets/forms", in_the_application(assets.forms)),
        ("GET", "{app}/assets/{id}", in_the_application(assets.one)),
    )
    found: list[BaseRoute] = []
    for verb, path, handler in table:
        single = path.endswith("}")
        method = Method(
            _route(path), understood(handler), b"{}" if single else b"[]", open_to_all=path.startswith("auth")
        )
        endpoint = guarded(simulation, method)
        found += [Route(f"{prefix}/{path}", endpoint, methods=[verb]) for prefix in PREFIXES]
    return found


def _route(path: str) -> str:
    """The name of the method behind a path: both user logins are one, and the application is not part of it."""
    name = {"auth/login": "auth", "auth/loginadmin": "loginadmin"}.get(path, path)
    return "tdx/" + name.removeprefix("{app}/").replace(":int", "")


class Logins:
    """The handlers of logins: a bare token as text."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def user(self, call: Call) -> Response:
        """User login."""
        simulation = self._simulation
        return self._token(call, admin=False, username=simulation.username, password=simulation.password)

    def admin(self, call: Call) -> Response:
        """Administrative login."""
        simulation = self._simulation
        return self._token(call, admin=True, beid=simulation.beid, webserviceskey=simulation.web_services_key)

    def _token(self, call: Call, *, admin: bool, **expected: str) -> Response:
        given = call.fields()
        for name, value in expected.items():
            if not hmac.compare_digest(str(given.get(name, "")).encode("utf-8", "replace"), value.encode()):
                return PlainTextResponse("Invalid credentials.", 401)
        return PlainTextResponse(self._simulation.tdx_tokens.issue(admin=admin))
