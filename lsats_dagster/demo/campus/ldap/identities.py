"""Who may log in, what they see, and what they get of one search."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from lsats_dagster.demo.campus.ldap.entries import Entry
from lsats_dagster.demo.campus.ldap.filters import Attributes
from lsats_dagster.demo.campus.ldap.syntaxes import comparable_dn


@dataclass(frozen=True)
class Limits:
    """What one search brings at most; None means everything.

    entries: over all of its pages (sources.md 23.2, L6). page: at once, in a page or without pages (L5). values: of an
    attribute, of which a longer one comes in ranges (L7).
    """

    entries: int | None = None
    page: int | None = None
    values: int | None = None


def nothing(_entry: Entry) -> bool:
    """Hides no entry."""
    return False


@dataclass(frozen=True, eq=False)
class Identity:
    """Someone who logs in by any of `names` (DN, UPN or `DOMAIN\\name`), or the one who does not.

    hidden: attributes that look absent. hides: which entries look absent. limits: None means those of the server.
    """

    names: tuple[str, ...] = ()
    password: str = ""
    hidden: frozenset[str] = frozenset()
    hides: Callable[[Entry], bool] = nothing
    limits: Limits | None = None

    def seen(self, entry: Entry) -> Attributes:
        """The attributes of an entry that do not look absent."""
        if not self.hidden:
            return entry.attributes
        return {name: attribute for name, attribute in entry.attributes.items() if name not in self._hidden}

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.hidden)


def comparable_name(name: str) -> str:
    """The name of a login as equal names share it: case does not count, nor do blanks in a DN."""
    try:
        return comparable_dn(name)
    except ValueError:
        return name.casefold()


def by_name(identities: Iterable[Identity]) -> dict[str, Identity]:
    """Identities by each of their comparable names; ValueError for a name that two have, or for an empty password."""
    known: dict[str, Identity] = {}
    for identity in identities:
        for name in identity.names:
            if known.setdefault(comparable_name(name), identity) is not identity:
                raise ValueError("two identities have one name")
        if not identity.password:
            raise ValueError("an identity has a password")
    return known
