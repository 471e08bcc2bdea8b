"""Steps of silver tables that would read badly as SQL: pure functions, rows in, rows out.

A definition names its steps in `[[steps]]`; the engine runs the query `nodes`, calls the function with its rows, and puts what it
gives into a temporary table that the SELECT reads.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Iterable[Sequence[Any]]


def linked_groups(nodes: Rows) -> Rows:
    """Nodes that share evidence, the strongest first, as groups that contradict themselves nowhere.

    nodes: (node, rank, identity, evidence, weights). rank orders nodes, and is unique. identity: nodes of two identities are
    never in one group, not even by way of a third; None is compatible with all. evidence: list of texts; weights: the weight
    of each. Gives (node, group, refused) for every node: the node of lowest rank in its group, and the evidence that would
    have led to a group of another identity. The order of `nodes` does not matter.
    """
    ordered = sorted(nodes, key=lambda node: node[1])
    names = [node[0] for node in ordered]
    identities = [node[2] for node in ordered]
    parents = list(range(len(ordered)))
    refused: list[list[str]] = [[] for _ in ordered]
    shared: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, (_, _, _, evidence, weights) in enumerate(ordered):
        for value, weight in zip(evidence, weights, strict=True):
            shared[-weight, value].append(place)

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    for (_, value), places in sorted(shared.items()):
        # Of each identity at most one group, and one without identity only as long as there is no other.
        groups: dict[Any, int] = {}
        for place in places:
            own = root(place)
            identity = identities[own]
            met = identity
            if met not in groups and groups and (identity is None or None in groups):
                met = next(iter(groups))
            first, second = sorted((own, root(groups.get(met, own))))
            kept = identities[first] if identities[first] is not None else identities[second]
            parents[second], identities[first] = first, kept
            if met != kept:
                groups.pop(met, None)
            groups[kept] = first
            if len(groups) > 1:
                refused[place].append(value)
    return [(names[place], names[root(place)], sorted(set(refused[place]))) for place in range(len(ordered))]


# What `run` of a step may name.
STEPS: dict[str, Callable[[Rows], Rows]] = {"linked_groups": linked_groups}


@dataclass(frozen=True)
class Step:
    """One step. name: the temporary table that it fills. nodes: the query for its rows. run: name in STEPS.

    columns: name -> type of what the function gives, in order.
    """

    name: str
    nodes: str
    run: str
    columns: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.run not in STEPS:
            raise ValueError(f"steps: {self.run} is none of {', '.join(STEPS)}")

    @property
    def source(self) -> str:
        """What the result depends on beside the rows: the module that the function stands in."""
        return inspect.getsource(inspect.getmodule(STEPS[self.run]) or STEPS[self.run])
