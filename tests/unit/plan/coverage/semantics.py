"""Say what an attack-defence tree means: which sets of actions attack, and which sets of defences prevent them.

The attacker wins or loses by what both do; more actions never hurt him, more defences never help him.  So
the ways to win are least pairs of actions done and defences absent.  An *attack strategy* is a
least set of actions that wins against some set of defences.  It is *preventable* where some
defences make it lose; the least such sets are its *defence strategies*.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import product
from typing import NamedTuple

from tests.unit.plan.coverage.trees import Actor, Gate, Node, Tree


class Way(NamedTuple):
    """Hold a way to win: what the attacker does, and what the defender must not have."""

    done: frozenset[str]
    absent: frozenset[str]


class Attack(NamedTuple):
    """Hold an attack strategy.

    :param ways: for each way that its actions open, the defences of which one bars it.
    """

    actions: frozenset[str]
    ways: tuple[frozenset[str], ...]

    @property
    def preventable(self) -> bool:
        """Say whether each way can be barred."""
        return all(self.ways)


def attacks(tree: Tree) -> list[Attack]:
    """Return the attack strategies of a tree, in an order of their own."""
    ways = _wins(tree.root, tree.owner)
    return [
        Attack(actions, _least({way.absent for way in ways if way.done <= actions}))
        for actions in sorted({way.done for way in ways}, key=sorted)
    ]


def published(tree: Tree) -> list[Attack]:
    """Return the attack strategies that the published table counts, those that can be prevented.

    adtrees asks for the least sets of the attacker's actions with which the *root* holds, whoever owns it.
    Where that's the defender, only the empty set is least: the table counts it, and no attack beside it.
    """
    return [
        attack
        for attack in attacks(tree)
        if attack.preventable and (tree.owner is Actor.ATTACKER or not attack.actions)
    ]


def defences(attack: Attack) -> list[frozenset[str]]:
    """Return the least sets of defences that prevent an attack."""
    found: tuple[frozenset[str], ...] = (frozenset(),)
    for way in attack.ways:
        found = _least({each if each & way else each | {one} for each in found for one in way})
    return list(found)


def attacker_wins(tree: Tree, done: AbstractSet[str], have: AbstractSet[str]) -> bool:
    """Say who wins, straight from the drawing: it shares nothing with the strategies."""
    holds = _holds(tree.root, tree.owner, done, have)
    return holds is (tree.owner is Actor.ATTACKER)


def _holds(node: Node, owner: Actor, done: AbstractSet[str], have: AbstractSet[str]) -> bool:
    if node.answer is not None and _holds(node.answer, owner.other, done, have):
        return False
    if not node.children:
        return node.label in (done if owner is Actor.ATTACKER else have)
    gate = any if node.gate is Gate.ONE else all
    return gate(_holds(child, owner, done, have) for child in node.children)


def _wins(node: Node, owner: Actor) -> set[Way]:
    """Return the least ways in which the attacker gets his will: his node holds, the defender's doesn't."""
    mine = owner is Actor.ATTACKER
    if not node.children:
        label = frozenset({node.label})
        own = {Way(label, frozenset()) if mine else Way(frozenset(), label)}
    else:
        parts = [_wins(child, owner) for child in node.children]
        own = _any(parts) if mine is (node.gate is Gate.ONE) else _all(parts)
    if node.answer is None:
        return own
    answer = _wins(node.answer, owner.other)
    return _all([own, answer]) if mine else _any([own, answer])


def _any(parts: Iterable[set[Way]]) -> set[Way]:
    return _fewest(set().union(*parts))


def _all(parts: Iterable[set[Way]]) -> set[Way]:
    found = {Way(frozenset(), frozenset())}
    for part in parts:
        found = _fewest(
            {
                Way(one.done | other.done, one.absent | other.absent)
                for one, other in product(found, part)
            }
        )
    return found


def _fewest(ways: set[Way]) -> set[Way]:
    """Return the ways that ask for no more than another one."""
    return {
        way
        for way in ways
        if not any(
            other != way and other.done <= way.done and other.absent <= way.absent for other in ways
        )
    }


def _least(sets: AbstractSet[frozenset[str]]) -> tuple[frozenset[str], ...]:
    """Return the sets that hold no other one, in an order of their own."""
    least = (each for each in sets if not any(other < each for other in sets))
    return tuple(sorted(least, key=sorted))
