"""Static pages: one file without scripts that asks the network for nothing, and in which every text stands as it is."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

from lsats_dagster.settings import ConfigurationError

STYLE = """
body {
    font: 15px/1.45 system-ui, sans-serif; color: #1c2733; background: #fff; max-width: 1240px; margin: 0 auto;
    padding: 24px 16px;
}
h1 { font-size: 24px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 32px 0 8px; break-after: avoid-page; }
p { margin: 4px 0; max-width: 95ch; }
table { border-collapse: collapse; width: 100%; margin: 8px 0; font-size: 13.5px; }
th, td { text-align: left; padding: 4px 12px 4px 0; vertical-align: top; }
th { font-weight: 600; color: #51606f; border-bottom: 2px solid #c6d0da; vertical-align: bottom; }
td { border-bottom: 1px solid #e4e9ee; white-space: pre-wrap; unicode-bidi: plaintext; }
.short { white-space: pre; }
.long { overflow-wrap: anywhere; }
td:first-child { font-weight: 500; }
tr { break-inside: avoid; }
.number { text-align: right; font-variant-numeric: tabular-nums; padding-right: 28px; }
.alarm { color: #a3160a; font-weight: 600; }
code { font: 12.5px ui-monospace, monospace; background: #f0f3f6; padding: 1px 5px; border-radius: 3px; }
@page { size: landscape; margin: 12mm; }
@media print { body { max-width: none; padding: 0; font-size: 11px; } table { font-size: 10px; } }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


class Alarm(str):
    """A cell that is to be seen."""


class Command(str):
    """A cell with something to type."""


Cell = str | int | None
# Characters of a cell that stays on one line, and of a word that is not broken: names are not, texts of any length are.
SHORT, WHOLE_WORD = 28, 40


def page(title: str, *parts: str) -> str:
    """A whole page; parts: what the functions below make."""
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(parts))


def section(heading: str, *parts: str) -> str:
    """A part with a heading of its own."""
    return "\n".join([f"<h2>{escape(heading)}</h2>", *parts])


def sentence(words: str) -> str:
    """A line of text."""
    return f"<p>{escape(words)}</p>"


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], empty: str) -> str:
    """A table; where it has no row, the sentence `empty`. Numbers are set to the right."""
    told = list(rows)
    if not told:
        return sentence(empty)
    numbers = [all(isinstance(row[place], int | None) for row in told) for place in range(len(headings))]
    head = "".join(
        f"<th{' class=number' if number else ''}>{escape(heading)}</th>"
        for heading, number in zip(headings, numbers, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in told)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell(content: Cell) -> str:
    if not isinstance(content, str):
        return f"<td class=number>{'' if content is None else f'{content:,}'}</td>"
    shown = escape(content)
    fits = len(content) <= SHORT or (isinstance(content, Command) and len(content) <= 2 * SHORT)
    kind = "short" if fits else "long" if max(map(len, content.split()), default=0) > WHOLE_WORD else ""
    if isinstance(content, Command):
        shown = f"<code>{shown}</code>"
    return f'<td class="{kind}{" alarm" if isinstance(content, Alarm) else ""}">{shown}</td>'


def write(path: Path, text: str) -> None:
    """Put a page into a file that its owner alone may read: the whole of it, or what was there before.

    ConfigurationError when it cannot be written.
    """
    written = None
    try:
        if path.exists() and not path.is_file():
            raise FileExistsError(None, "something else than a file is there")
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            written = file.name
            file.write(text)
        os.replace(written, path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if written:
            with suppress(FileNotFoundError):
                os.unlink(written)
