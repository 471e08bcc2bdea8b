"""What `shapes` says of one stream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# In place of a value: the record does not have the field at all.
ABSENT = object()

# Of signs that do not repeat, so that nothing makes it shorter: no index takes it.
LONG = "".join(chr(0x4E00 + i * 7919 % 20_000) for i in range(2_000))


@dataclass(frozen=True)
class Shape:
    """Records of one stream. `ordinary` makes a whole record of a key, every field filled.

    key_fields: what the key is made of. keys: the few entities of random histories. number: the key of the n-th of many.
    links: fields that join rows with others, and the colliding values that histories put there. others: further fields with
    telling values.
    """

    key_fields: tuple[str, ...]
    keys: tuple[str, ...]
    number: Callable[[int], str]
    ordinary: Callable[[str], dict[str, Any]]
    links: Mapping[str, tuple[Any, ...]]
    others: Mapping[str, tuple[Any, ...]]

    @property
    def fields(self) -> list[str]:
        """The fields of an ordinary record without those of the key."""
        return [name for name in self.ordinary(self.keys[0]) if name not in self.key_fields]
