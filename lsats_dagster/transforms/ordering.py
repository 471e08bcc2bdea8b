"""What needs one another, in an order in which each finds what it needs."""

from collections.abc import Collection, Mapping


class CircleError(Exception):
    """Some need one another in a circle, or need one that does. names: all that could not be put in order, as given."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(", ".join(names))
        self.names = list(names)


def needed_first(needs: Mapping[str, Collection[str]]) -> list[str]:
    """The names, each after those that it needs; what is not among the names is there already. Else they stay as given."""
    waiting = dict(needs)
    ordered: list[str] = []
    while waiting:
        ready = [name for name in waiting if not any(needed in waiting for needed in waiting[name])]
        if not ready:
            raise CircleError(waiting)
        for name in ready:
            del waiting[name]
        ordered += ready
    return ordered
