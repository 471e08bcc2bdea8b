"""What third-party clients ask for when they start, or to make sense of people and assets."""

from starlette.responses import Response

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import Payload, as_json
from lsats_dagster.demo.campus.faces.tdx.common import listed, number
from lsats_dagster.demo.campus.gate import Call, not_found
from lsats_dagster.demo.campus.populations.attributes import Definition, account_definitions, user_definitions
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
FIRST_LOCATION = 8800
GROUPS = range(400, 480)
# Components to which custom attributes belong: accounts, assets, people.
ACCOUNT, ASSET, PERSON = 14, 27, 31


class Reference:
    """The handlers: what each method answers to a call that may be served."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def applications(self, call: Call) -> Response:
        """All applications, inactive ones too."""
        return listed(
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
        )

    def locations(self, call: Call) -> Response:
        """All buildings."""
        return listed(map(_location, range(len(words.BUILDINGS))))

    def location_search(self, call: Call) -> Response:
        """Buildings whose name has a text."""
        text = str(call.fields().get("nametext") or "").lower()
        return listed(_location(place) for place, name in enumerate(words.BUILDINGS) if text in name.lower())

    def location(self, call: Call) -> Response:
        """One building."""
        place = int(call.request.path_params["id"]) - FIRST_LOCATION
        if not 0 <= place < len(words.BUILDINGS):
            return not_found("tdx")
        return Response(as_json(_location(place)), media_type="application/json")

    def groups(self, call: Call) -> Response:
        """Groups whose name has a text."""
        text = str(call.fields().get("namelike") or "").lower()
        return listed(group for group in map(_group, GROUPS) if text in str(group["Name"]).lower())

    def attributes(self, call: Call) -> Response:
        """The custom attributes of a component, with their choices."""
        definitions: dict[int | None, list[Definition]] = {
            ACCOUNT: account_definitions(),
            ASSET: self._simulation.world.assets.records.definitions.all(),
            PERSON: user_definitions(),
        }
        return listed(
            definition.filled("", "") for definition in definitions.get(number(call.query.get("componentid")), [])
        )


def _location(place: int) -> Payload:
    return {
        "ID": FIRST_LOCATION + place,
        "Name": words.BUILDINGS[place],
        "Description": "",
        "ExternalID": "",
        "IsActive": True,
        "Address": f"{place + 1} {words.STREETS[place % len(words.STREETS)]}",
        "City": "Inkwell",
        "State": "MI",
        "PostalCode": "00001",
        "Country": "US",
        "IsRoomRequired": False,
        "Rooms": [],
        "RoomsCount": 900,
    }


def _group(identifier: int) -> Payload:
    return {
        "ID": identifier,
        "Name": f"{words.QUALITIES[identifier % len(words.QUALITIES)]} Desk {identifier}",
        "Description": "",
        "IsActive": True,
        "ExternalID": "",
    }
