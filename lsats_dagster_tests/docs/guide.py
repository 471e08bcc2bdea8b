"""Follows a guide of docs/ word for word, in a copy of the checkout.

A fenced block with `title="file"` goes into that file: before or in place of a text that stands there once, at its end, or as
the whole of a new file. A block `sh` is run, line by line. A block with `excerpt="file"` must stand in that file.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"^```(?P<language>\w+)(?P<about>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, what its first line says besides, its text."""

    language: str
    text: str
    about: dict[str, str]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for match in BLOCK.finditer(text):
        words = (word.partition("=") for word in shlex.split(match["about"]))
        found.append(Block(match["language"], match["text"], {name: value for name, _, value in words}))
    return found


@dataclass
class Checkout:
    """A copy of the checkout in which a guide is followed, with the environment of its commands."""

    folder: Path
    environment: dict[str, str]
    written: list[str] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)

    def follow(self, page: str) -> None:
        """Do everything that the page says; an AssertionError where that does not work."""
        for block in blocks((self.folder / "docs" / page).read_text(encoding="utf-8")):
            if title := block.about.get("title"):
                write(self.folder / title, block)
                self.written.append(title)
            elif excerpt := block.about.get("excerpt"):
                assert block.text in (self.folder / excerpt).read_text(encoding="utf-8"), excerpt
            else:
                # Whatever else stands in a block is for the reader to do, so it must be here to be done.
                assert block.language == "sh", block
                for line in block.text.splitlines():
                    self.said[line] = self.run(*shlex.split(line))

    def run(self, *command: str) -> str:
        """Run one command in the copy; what it printed."""
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def write(path: Path, block: Block) -> None:
    """Put a block where it says."""
    before, instead = block.about.get("before"), block.about.get("in-place-of")
    if anchor := before or instead:
        text = path.read_text(encoding="utf-8")
        assert text.count(anchor) == 1, f"{anchor!r} stands {text.count(anchor)} times in {path.name}"
        path.write_text(text.replace(anchor, block.text + (anchor if before else "")), encoding="utf-8")
    elif "append" in block.about:
        with path.open("a", encoding="utf-8") as file:
            file.write(block.text)
    else:
        assert not path.exists(), f"{path} exists"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text, encoding="utf-8")


def copy_of(repository: Path, folder: Path, environment: dict[str, str]) -> Checkout:
    """A copy of everything that is, or may be, under version control; its package comes before the installed one."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=repository, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (repository / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, folder / name)
    usual = {"PATH": f"{BIN}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(folder), "PYTHONPATH": str(folder)}
    return Checkout(folder, {**usual, "LSATS_HOME": str(folder / ".lsats"), **environment})
