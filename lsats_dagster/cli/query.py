"""`lsats query`: one statement over the readers' views."""

import sys
from typing import Annotated

import typer

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_environment
from lsats_dagster.cli.explain import text_of
from lsats_dagster.cli.output import show, table


def register(app: typer.Typer) -> None:
    app.command("query")(query)


def query(
    sql: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT; - reads it from standard input.")],
    as_json: JSON = False,
) -> None:
    """Answer one SELECT over the views for readers, read only, as an analyst would get it.

    Example: lsats query "select * from silver.v_departments limit 3"
    """
    # Dagster and data frames are loaded where an answer is made of them, not with the help.
    from lsats_dagster.resources import HubDatabase

    statement = sys.stdin.read() if sql == "-" else sql
    with hub_environment():
        frame = HubDatabase().query_to_dataframe(statement)
    if as_json:
        print(frame.to_json(orient="records", date_format="iso", indent=2))
        return
    rows = table(*map(str, frame.columns))
    for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
        rows.add_row(*map(text_of, row))
    show(rows)
    print(f"{len(frame)} row{'s' * (len(frame) != 1)}")
