"""What the step `linked_groups` must give, by brute force over sets of nodes; and the table of the suite that it makes."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

from lsats_dagster_tests.contracts.histories import World

Node = tuple[str, int, str | None, list[str], list[int]]


def expected(nodes: Iterable[Node]) -> dict[str, tuple[str, list[str]]]:
    """node -> (first node of its group, what was refused).

    One text of evidence after the other, the heaviest first: whoever has it, in order of rank, meets the groups of those
    before who have it, in order of their first; they become one group, or it is refused, because there would be two
    identities.
    """
    nodes = sorted(nodes, key=lambda node: node[1])
    groups = [{place} for place, _ in enumerate(nodes)]
    refused: dict[str, set[str]] = {node[0]: set() for node in nodes}

    def group_of(place: int) -> set[int]:
        return next(group for group in groups if place in group)

    def identities(group: set[int]) -> set[str]:
        return {identity for place in group if (identity := nodes[place][2]) is not None}

    weighed = {(weight, value) for node in nodes for value, weight in zip(node[3], node[4], strict=True)}
    for weight, value in sorted(weighed, key=lambda found: (-found[0], found[1])):
        having = [place for place, node in enumerate(nodes) if (value, weight) in zip(node[3], node[4], strict=True)]
        for position, place in enumerate(having):
            met: list[set[int]] = []
            for other in having[:position]:
                if (group := group_of(other)) not in met:
                    met.append(group)
            for group in met:
                own = group_of(place)
                if group is own:
                    continue
                if len(identities(group | own)) > 1:
                    refused[nodes[place][0]].add(value)
                else:
                    groups.remove(group)
                    own |= group
    return {
        nodes[place][0]: (nodes[min(group)][0], sorted(refused[nodes[place][0]])) for group in groups for place in group
    }


def check_rules(nodes: Iterable[Node], given: dict[str, tuple[str, list[str]]]) -> None:
    """What must hold of groups whatever the order in which they are made."""
    by_name = {node[0]: node for node in nodes}
    assert given.keys() == by_name.keys()
    members: dict[str, list[Node]] = {}
    for name, (group, _) in given.items():
        members.setdefault(group, []).append(by_name[name])
    identities = {group: {node[2] for node in found} - {None} for group, found in members.items()}
    for group, found in members.items():
        assert group == min(found, key=lambda node: node[1])[0], "a group is named by its first node"
        assert len(identities[group]) <= 1, f"two identities in group {group}"
    for one, other in combinations(by_name.values(), 2):
        shared = set(zip(one[3], one[4], strict=True)) & set(zip(other[3], other[4], strict=True))
        first, second = given[one[0]][0], given[other[0]][0]
        if shared and first != second:
            assert len(identities[first] | identities[second]) > 1, f"{one[0]} and {other[0]} contradict nothing"


def check(world: World) -> None:
    """silver.linked_logins: logins that share an alias or else a name, never of two employee IDs."""
    logins: list[Any] = world.rows("select * from silver.linked_logins l join silver.logins using (login_id)")
    there = sorted((row for row in logins if row.is_present), key=lambda row: row.login_id.encode())
    nodes: list[Node] = []
    for rank, row in enumerate(there):
        evidence = [("alias " + row.alias, 3)] if row.alias is not None else []
        evidence += [("name " + row.login_name, 1)] if row.login_name is not None else []
        nodes.append((row.login_id, rank, row.empl_id, [text for text, _ in evidence], [w for _, w in evidence]))
    given = {row.login_id: (row.person_id, row.refused) for row in there}
    check_rules(nodes, given)
    assert given == expected(nodes)
