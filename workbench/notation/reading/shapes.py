"""Sizes that are still unknown, and what the operations of a formula say of them.

A size is a variable of a union-find structure: two sizes that must be equal become one, and a size
may come to be known. What depends on a decision (is `a b` a product of matrices, or a multiple by a
scalar?) is a rule; it is looked at again whenever one of its sizes becomes known. When nothing
follows any more, the rules are asked for what people usually mean, the surest ones first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.calculus.dimensions import ONE, Dimension
from workbench.notation.reading.syntax import Node

STAGES = 4
"""How many rounds of presumptions there are, the surest first."""


class Size:
    """Rows or columns of something, perhaps not yet known."""

    __slots__ = ("is_large", "known", "parent", "reason", "rules")

    def __init__(self, known: Dimension | None = None) -> None:
        self.parent: Size | None = None
        self.known = known
        self.is_large = known is not None and known is not ONE
        self.reason: Node | None = None
        self.rules: list[Rule] = []

    def root(self) -> Size:
        """The size that stands for all that are equal to this one."""
        size = self
        while size.parent is not None:
            if size.parent.parent is not None:
                size.parent = size.parent.parent
            size = size.parent
        return size

    @property
    def dimension(self) -> Dimension | None:
        """What the size is, if that is known."""
        return self.root().known

    @property
    def is_one(self) -> bool:
        """Whether the size is known to be 1."""
        return self.root().known is ONE

    @property
    def is_more(self) -> bool:
        """Whether the size is something else than 1, as far as can be told."""
        root = self.root()
        return root.known is not ONE and root.is_large

    @property
    def is_open(self) -> bool:
        """Whether it may turn out to be 1 or more."""
        root = self.root()
        return root.known is None and not root.is_large


Form = tuple[Size, Size]
"""Rows and columns."""

UNIT = Size(ONE)
NUMBER: Form = (UNIT, UNIT)
"""The form of a scalar."""


def is_scalar(form: Form) -> bool:
    """Whether a form is known to be 1×1."""
    return form[0].is_one and form[1].is_one


def is_matrix(form: Form) -> bool:
    """Whether a form is known to be something else than 1×1."""
    return form[0].is_more or form[1].is_more


class ConflictError(Exception):
    """Two sizes that must be equal differ."""

    def __init__(self, left: Dimension, right: Dimension) -> None:
        super().__init__(f"{left!r} and {right!r} differ")


class Rule(ABC):
    """What an operation says of its sizes once enough of them is known.

    Attributes
    ----------
    node : where the operation stands.
    """

    node: Node
    is_done = False

    @abstractmethod
    def sizes(self) -> Sequence[Size]:
        """The sizes whose becoming known may settle it."""

    @abstractmethod
    def settle(self, shapes: Shapes) -> bool:
        """Draw what follows; whether nothing is left to be drawn."""

    def presume(self, shapes: Shapes, stage: int) -> None:  # noqa: B027
        """Take what people usually mean at this stage, if the rule has something to presume."""


class MisfitError(Exception):
    """A rule cannot hold."""

    def __init__(self, rule: Rule, conflict: ConflictError) -> None:
        super().__init__(str(conflict))
        self.rule = rule


@dataclass
class Shapes:
    """All sizes and rules of one text."""

    rules: list[Rule] = field(default_factory=list)
    waiting: deque[Rule] = field(default_factory=deque)
    node: Node | None = None

    def equate(self, left: Size, right: Size) -> None:
        """Make two sizes one.

        Raises
        ------
        ConflictError
            If they are known and differ.
        """
        left, right = left.root(), right.root()
        if left is right:
            return
        if left.known is ONE:
            return self.know(right, ONE)
        if right.known is ONE:
            return self.know(left, ONE)
        if left.known is not None and right.known is not None and left.known is not right.known:
            raise ConflictError(left.known, right.known)
        if len(left.rules) < len(right.rules):
            left, right = right, left
        states = (left.known, left.is_large), (right.known, right.is_large)
        right.parent = left
        left.known = left.known or right.known
        left.is_large = left.is_large or right.is_large
        left.reason = left.reason or right.reason or self.node
        for rules, state in zip((left.rules, right.rules), states, strict=True):
            if state != (left.known, left.is_large):
                self.waiting.extend(rules)
        left.rules.extend(right.rules)

    def fit(self, left: Form, right: Form) -> None:
        """Make two forms one."""
        self.equate(left[0], right[0])
        self.equate(left[1], right[1])

    def know(self, size: Size, dimension: Dimension) -> None:
        """Say what a size is.

        Raises
        ------
        ConflictError
            If it is something else.
        """
        root = size.root()
        if root.known is dimension:
            return
        if root.known is not None:
            raise ConflictError(root.known, dimension)
        root.known, root.is_large = dimension, dimension is not ONE
        root.reason = root.reason or self.node
        self.waiting.extend(root.rules)

    def enlarge(self, size: Size) -> None:
        """Presume that a size is more than 1."""
        root = size.root()
        if root.known is None and not root.is_large:
            root.is_large = True
            self.waiting.extend(root.rules)

    def add(self, rule: Rule) -> None:
        """Take a rule into account."""
        self.rules.append(rule)
        self.waiting.append(rule)
        for size in rule.sizes():
            if size is not UNIT:
                size.root().rules.append(rule)

    def settle(self) -> None:
        """Draw everything that follows without presumptions.

        Raises
        ------
        MisfitError
            If a rule cannot hold.
        """
        while self.waiting:
            rule = self.waiting.popleft()
            if rule.is_done:
                continue
            self.node = rule.node
            try:
                rule.is_done = rule.settle(self)
            except ConflictError as conflict:
                raise MisfitError(rule, conflict) from conflict

    def presume(self) -> None:
        """Draw everything, with what people usually mean where nothing else decides."""
        self.settle()
        for stage in range(1, STAGES + 1):
            self.rules = [rule for rule in self.rules if not rule.is_done]
            for rule in self.rules:
                if not rule.is_done:
                    self.node = rule.node
                    try:
                        rule.presume(self, stage)
                    except ConflictError as conflict:
                        raise MisfitError(rule, conflict) from conflict
                    self.settle()
