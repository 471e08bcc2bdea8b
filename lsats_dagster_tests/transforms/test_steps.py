"""The steps in Python, each against an independent computation of the same."""

from itertools import permutations
from random import Random

import pytest

from lsats_dagster.transforms.steps import linked_groups
from lsats_dagster_tests import depth
from lsats_dagster_tests.contracts import linked_oracle
from lsats_dagster_tests.contracts.linked_oracle import Node

CASES = 400


def given(nodes: list[Node]) -> dict[str, tuple[str, list[str]]]:
    return {node: (group, refused) for node, group, refused in linked_groups(nodes)}


def some_nodes(chance: Random) -> list[Node]:
    """Up to eight nodes that share four texts of three weights, some with one of three identities."""
    weights = {text: chance.randint(1, 3) for text in "abcd"}
    nodes: list[Node] = []
    for rank in range(chance.randint(1, 8)):
        evidence = chance.sample("abcd", chance.randint(0, 3))
        identity = chance.choice([None, None, "x", "y", "z"])
        nodes.append((f"n{chance.random()}", rank, identity, evidence, [weights[text] for text in evidence]))
    return nodes


@pytest.mark.deep
def test_linked_groups_are_those_of_brute_force() -> None:
    """In whatever order the nodes come."""
    for number in range(CASES * depth.FACTOR):
        chance = Random(number)
        nodes = some_nodes(chance)
        found = given(nodes)
        linked_oracle.check_rules(nodes, found)
        assert found == linked_oracle.expected(nodes), f"case {number}"
        assert given(chance.sample(nodes, len(nodes))) == found, f"case {number}"


A: Node = ("a", 1, "x", ["s"], [9])
B: Node = ("b", 2, None, ["s", "m"], [9, 5])
C: Node = ("c", 3, "y", ["m"], [5])
HEAVIER: Node = ("b", 2, None, ["s", "m"], [9, 10])
C_HEAVIER: Node = ("c", 3, "y", ["m"], [10])


@pytest.mark.parametrize("order", list(permutations([A, B, C])), ids=lambda order: "".join(node[0] for node in order))
def test_two_identities_do_not_meet_by_way_of_a_third(order: tuple[Node, ...]) -> None:
    """What is stronger wins; the refused evidence stands with the later of the two."""
    assert given(list(order)) == {"a": ("a", []), "b": ("a", []), "c": ("c", ["m"])}


def test_the_strongest_evidence_comes_first() -> None:
    assert given([A, HEAVIER, C_HEAVIER]) == {"a": ("a", []), "b": ("b", ["s"]), "c": ("b", [])}


def test_equal_texts_of_nobody_else_link_nobody() -> None:
    assert given([("a", 1, None, ["s", "s"], [2, 2]), ("b", 2, None, [], [])]) == {"a": ("a", []), "b": ("b", [])}
