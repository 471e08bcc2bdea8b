"""How tables are printed: what does not fit is folded or takes more lines, and is never cut."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from textwrap import fill

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

# Wider than any table.
UNBOUNDED = 10_000


def typed(command: str) -> str:
    """A command (`lsats ...`) as it can be typed here, where `lsats` may be in no folder of PATH."""
    return command if shutil.which("lsats") else f"{os.path.relpath(sys.argv[0])}{command.removeprefix('lsats')}"


def console(width: int = 160) -> Console:
    """The terminal as wide as it is; what is no terminal and has no COLUMNS is `width` wide."""
    out = Console(highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = width
    return out


def table(*headings: str, whole: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table whose cells are folded; columns of `whole` keep their lines as long as the others can give way."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold", no_wrap=heading in whole)
    return made


def print_missing(label: str, key: str, near: Mapping[str, str]) -> None:
    """Say that the table of this asset key has no row with this key; near: keys like it, with the names of their rows."""
    print(f"❌ {label} has no row with the key {key}{'. Near it:' if near else ''}")
    for other, name in near.items():
        print(f"   {other}  {name}" if name else f"   {other}")


def show(made: Table, width: int = 160) -> None:
    """Print a table whose rows are short; where it does not fit, each row as lines of its own."""
    out = console(width)
    if Measurement.get(out, out.options.update(max_width=UNBOUNDED), made).maximum <= out.width:
        out.print(made)
    else:
        print("\n".join(stacked(made, out.width)))


def stacked(made: Table, width: int) -> Iterator[str]:
    """Each row as its first cell, with the mark before it, and below all others behind their headings."""
    if made.title:
        yield str(made.title)
    headings = [str(column.header) for column in made.columns]
    # Behind the mark, whose column has no heading, and the first cell.
    rest = 1 if headings[0] else 2
    for cells in zip(*(column.cells for column in made.columns), strict=True):
        yield " ".join(map(str, cells[:rest]))
        told = [f"{heading} {cell}" for heading, cell in zip(headings[rest:], cells[rest:], strict=True) if cell]
        yield fill(", ".join(told), width, initial_indent="   ", subsequent_indent="   ", break_on_hyphens=False)
