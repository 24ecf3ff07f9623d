"""Draw attack-defence trees: seven that come with ADTool, and two that adtrees tests itself by.

The seven are drawn anew from the published structure, with labels of our own where nothing hangs on
the words.  Labels that the published answers name are kept, with their spelling, and so is whatever repeats: two
nodes with one label are one action, done once and paid once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Actor(StrEnum):
    """Name who wants a node to hold."""

    ATTACKER = "attacker"
    DEFENDER = "defender"

    @property
    def other(self) -> "Actor":
        """Return the opponent."""
        return Actor.DEFENDER if self is Actor.ATTACKER else Actor.ATTACKER


class Gate(StrEnum):
    """Say how many of a node's children make it hold."""

    ONE = "one"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Node:
    """Hold a goal or, without children, an action, and the opponent's answer to it.

    :param children: of the same actor.
    :param answer: the opponent's node; where that holds, this one doesn't.
    """

    label: str
    children: tuple["Node", ...] = ()
    gate: Gate = Gate.ONE
    answer: "Node | None" = None


@dataclass(frozen=True, slots=True)
class Tree:
    """Hold a tree and whose goal its root is."""

    root: Node
    owner: Actor = Actor.ATTACKER

    def actions(self, actor: Actor) -> frozenset[str]:
        """Return the labels of what an actor can do."""
        return frozenset(
            node.label
            for whose, node in walk(self.root, self.owner)
            if whose is actor and not node.children
        )

    def counted(self, actor: Actor) -> int:
        """Return how many actions the published tables count.

        They take a node with one child and no answer for an action too, although it only renames its child.
        """
        return len(
            {
                node.label
                for whose, node in walk(self.root, self.owner)
                if whose is actor
                and (not node.children or (len(node.children) == 1 and node.answer is None))
            }
        )


def walk(node: Node, owner: Actor) -> Iterator[tuple[Actor, Node]]:
    """Yield each node below and with one, and whose it is."""
    yield owner, node
    for child in node.children:
        yield from walk(child, owner)
    if node.answer is not None:
        yield from walk(node.answer, owner.other)


def do(label: str, *, but: Node | None = None) -> Node:
    """Return an action."""
    return Node(label, answer=but)


def one(label: str, *children: Node, but: Node | None = None) -> Node:
    """Return a goal that any of its children reaches."""
    return Node(label, children, Gate.ONE, but)


def every(label: str, *children: Node, but: Node | None = None) -> Node:
    """Return a goal that its children reach only together."""
    return Node(label, children, Gate.ALL, but)


# The parts that two trees share: one of them is put together from the other ones.
_BREAKING_IN: Final = every(
    "breaking in",
    one(
        "grounds",
        do(
            "fence",
            but=do("barbs", but=one("past barbs", do("carpet"), do("thick clothes"))),
        ),
        do("gate"),
    ),
    one(
        "hall",
        do("door", but=do("Monitor with Biometric Sensors")),
        do("dock"),
    ),
    but=do(
        "Monitor with Security Cameras",
        but=one("blind cameras", do("laser"), do("loop", but=do("Employ Guards"))),
    ),
)
_BLOCKING: Final = one(
    "blocking",
    one(
        "air",
        every(
            "shielding",
            do("near tag", but=do("Secure Warehouse")),
            one("cage", do("cage at reader"), do("cage at tag")),
        ),
        do("block reader"),
        do("block tag"),
        do("jam", but=one("isolation", do("Secure Warehouse"), do("cage over both"))),
    ),
    one("wire", do("flood network")),
)

BANK_ACCOUNT: Final = Tree(
    one(
        "account",
        every(
            "machine",
            one("number", do("listen"), do("note", but=do("Memorize")), do("force")),
            do("card"),
        ),
        every(
            "online",
            one("secret", do("phish"), do("log keys")),
            do("name"),
            but=one(
                "second factor",
                do("Key Fobs"),
                do("PIN Pad"),
                but=one("implant", do("in browser"), do("in system")),
            ),
        ),
    )
)

RFID_BLOCK: Final = Tree(_BLOCKING)

RFID_DOS: Final = Tree(
    one(
        "outage",
        do("take tag"),
        do("kill tag"),
        do("drown tag"),
        do("kill reader"),
        do("kill backend"),
        do("block"),
    )
)

BREAKING_WAREHOUSE: Final = Tree(_BREAKING_IN)

_GETTING_INSIDE: Final = one(
    "inside",
    _BREAKING_IN,
    do("play driver"),
    every(
        "parcel",
        do("hide in box"),
        do("be posted", but=do("dog", but=one("lose dog", do("rats"), do("pepper")))),
    ),
    every(
        "visit",
        do("be visitor"),
        do(
            "hide in room",
            but=one(
                "watching visitors",
                do("escort"),
                do("log of visits", but=do("forge log", but=do("log with clerk"))),
                do("clerk at log"),
                do("presence sensors"),
            ),
        ),
    ),
)
_BY_SOMEBODY_ELSE: Final = one(
    "somebody else",
    every(
        "bribery",
        do("find the corruptible"),
        do("bribe"),
        but=every("deterring", do("awareness"), do("threat of dismissal")),
    ),
    do("threaten"),
    do("blackmail"),
    one(
        "trickery",
        do("send false tag", but=do("tag check", but=do("break tag check"))),
        every("false order", do("join managers"), do("order swap")),
        but=do("awareness"),
    ),
)
RFID_WAREHOUSE: Final = Tree(
    one(
        "outage",
        one(
            "taking tag",
            one(
                "oneself",
                _GETTING_INSIDE,
                one(
                    "joining",
                    do("be hired"),
                    do("play employee"),
                    do("buy it all"),
                    but=do("background check"),
                ),
            ),
            _BY_SOMEBODY_ELSE,
            # The published spelling, as the published answers have it.
            but=do("Attach with Strenger Adhesive"),
        ),
        do("kill tag"),
        do("drown tag"),
        do("kill reader"),
        do("kill backend"),
        _BLOCKING,
    )
)

_LOCK: Final = do("lock", but=one("past lock", do("force lock"), do("get keys")))
_WINDOW: Final = do("window", but=do("reinforce"))
DATA_CONFIDENTIALITY: Final = Tree(
    every(
        "confidentiality",
        every(
            "network",
            one(
                "access",
                do(
                    "passwords",
                    but=do(
                        "guess",
                        but=do(
                            "long passwords",
                            but=one("past long ones", do("note"), do("reuse")),
                        ),
                    ),
                ),
            ),
            do("firewall"),
            do("intrusion detection"),
        ),
        do(
            "walls",
            but=one(
                "break-in",
                do("back door", but=_LOCK),
                one("fire escape", do("escape door", but=_LOCK), _WINDOW),
                _WINDOW,
                but=do(
                    "guard",
                    but=one(
                        "past guard",
                        do("bribe"),
                        every("fight", do("outnumber"), do("weapons")),
                        do("steal keys"),
                        but=do("cameras"),
                    ),
                ),
            ),
        ),
        but=one(
            "insider",
            do("corrupt", but=do("screening")),
            do("talk round", but=do("training")),
        ),
    ),
    Actor.DEFENDER,
)

AUCTION_FRAUD: Final = Tree(
    every(
        "fraud",
        every(
            "preparing",
            do("vet seller", but=do("Subvert Verify")),
            every(
                "shopping",
                do("buy malware"),
                do("buy addresses"),
                do("buy card"),
                but=do("police net"),
            ),
            every(
                "mailing",
                every(
                    "hiring",
                    do("mule takes job", but=do("train mule")),
                    do("send job"),
                ),
                every(
                    "infecting",
                    do("victim opens", but=do("train victim")),
                    do("send malware"),
                ),
            ),
        ),
        every(
            "buying",
            do("use login", but=do("profile logins")),
            do("order"),
            do("pay by card", but=do("check cards")),
        ),
        every(
            "shipping",
            do("to mule", but=do("mark goods")),
            do("to drop", but=one("stopping", do("mark goods"), do("check drops"))),
            do("from drop", but=do("check drops")),
        ),
        do("sell on", but=one("no sale", do("police pawnshops"), do("audit"))),
    )
)

OPTIMIZATION: Final = Tree(
    one(
        "root",
        one("many", *(do(label) for label in "abcd"), but=do("x")),
        do("e", but=do("z")),
    )
)
"""adtrees' example for its optimiser: one defence against four ways, one against the fifth."""


def row_of_answers(count: int) -> Tree:
    """Return the tree that adtrees tests its optimiser by, of a given width.

    Any of `count` actions reaches the goal, and each has a defence of its own.  Against all of them
    there are two defences that the attacker breaks by two further actions, done both.
    """
    return Tree(
        one(
            "root",
            *(do(f"act {number}", but=do(f"own {number}")) for number in range(1, count + 1)),
            but=one(
                "common",
                do("common 1"),
                do("common 2"),
                but=every("breaking", do("break 1"), do("break 2")),
            ),
        )
    )
