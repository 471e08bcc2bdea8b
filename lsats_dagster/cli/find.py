"""`lsats find`: what is meant by a name."""

import json
import shlex
from dataclasses import asdict
from typing import Annotated

import typer

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import as_reader, hub_environment
from lsats_dagster.cli.output import show, table, typed
from lsats_dagster.settings import ConfigurationError
from lsats_dagster.transforms.find import Hit, as_word
from lsats_dagster.transforms.find import find as find_rows

# Half of all people have any one sign somewhere.
SHORTEST = 2


def register(app: typer.Typer) -> None:
    app.command("find")(find)


def find(
    wanted: Annotated[str, typer.Argument(metavar="TEXT", help="A name, login name, mail address or code, or a part.")],
    limit: Annotated[int, typer.Option(min=1, help="Show no more than this.")] = 20,
    as_json: JSON = False,
) -> None:
    """Find people, departments and groups by name, login name, mail address or code, or by a part of these.

    Somebody who asks for privacy is found by the whole login name alone. Example: lsats find chemistry
    """
    if len(as_word(wanted)) < SHORTEST:
        raise ConfigurationError(f"{wanted!r} is too short to find something by: give {SHORTEST} signs or more")
    with hub_environment() as settings, as_reader(settings) as connection:
        hits, total = find_rows(connection, wanted, limit)
    if as_json:
        print(json.dumps([asdict(hit) | {"command": command(hit)} for hit in hits], indent=2))
    elif hits:
        rows = table("what", "key", "name", "found by", "present", "explained by", whole=("key", "explained by"))
        for hit in hits:
            found_by = hit.found_by if hit.match == "exact" else f"{hit.match} of {hit.found_by}"
            present = "yes" if hit.is_present else "no"
            rows.add_row(hit.entity, hit.key, hit.name or "-", found_by, present, typed(command(hit)))
        show(rows)
        if total > len(hits):
            print(f"The first {len(hits)} of {total}: say more, or take a higher --limit")
    else:
        print(f"❌ nothing is called {wanted!r}, or has it in its name")
    if not hits:
        raise typer.Exit(1)


def command(hit: Hit) -> str:
    """What explains a hit."""
    return f"lsats explain {hit.entity} {shlex.quote(hit.key)}"
