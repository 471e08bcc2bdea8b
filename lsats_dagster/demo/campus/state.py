"""The file that keeps a campus between two starts: a line that says what it is, and the pickled world."""

import functools
import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

from lsats_dagster.demo.campus.world import World


class StateError(Exception):
    """The state file cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Kept:
    """What a file keeps. world: None where another version of this package wrote it."""

    day: int
    world: World | None


def read_state(file: Path, seed: int, size: str) -> Kept | None:
    """The campus of this seed and size that a file keeps; None without one. StateError for any other file."""
    if not file.exists():
        return None
    try:
        about, _, pickled = file.read_bytes().partition(b"\n")
        kept = json.loads(about)
        belongs = (kept["seed"], kept["size"]) == (seed, size)
        day = int(kept["day"])
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{file} is no state of a campus: remove it to begin anew") from None
    if not belongs:
        raise StateError(f"{file} belongs to a campus of another seed or size: remove it to begin anew")
    return Kept(day, pickle.loads(pickled) if kept.get("version") == _version() else None)


def write_state(file: Path, seed: int, size: str, world: World) -> None:
    """Keep a campus, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.new")
    about = {"seed": seed, "size": size, "day": world.time.day, "version": _version()}
    draft.write_bytes(json.dumps(about).encode() + b"\n" + pickle.dumps(world))
    draft.replace(file)


@functools.cache
def _version() -> str:
    """What tells whether a kept campus was made by the same code: a text that changes with any file of it."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
