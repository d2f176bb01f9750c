"""From a derivation to lines of code: each equation in order, shared parts named once.

A node is given a name of its own if it is read more than once or its text grows long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.calculus.expressions import Expression, walk
from workbench.calculus.functions import Function
from workbench.core.emit.code import Code, fits, names_in
from workbench.core.emit.graph import Task, is_constant, uses
from workbench.core.emit.languages import Arrays, Language
from workbench.core.emit.names import Names
from workbench.core.emit.operations import Operations
from workbench.core.emit.sizes import SizeNames
from workbench.derivation.steps import DERIVATIVES

LONGEST_PART = 40
"""A part of an expression with a longer text gets a name of its own."""

_WORDS = {
    "matmul": "product",
    "multiply": "product",
    "add": "sum",
    "sum": "total",
    "greater": "mask",
    "greater_equal": "mask",
    "where": "branch",
    "det": "determinant",
    "vstack": "stack",
    "hstack": "stack",
    "column_max": "largest",
}


@dataclass(frozen=True, slots=True)
class Line:
    """`name = code`.

    Attributes
    ----------
    task : the equation that it belongs to.
    """

    name: str
    code: Code
    task: Task

    @property
    def reads(self) -> set[str]:
        """The variables that it reads."""
        return names_in(self.code.text)


class Lowering(Operations):
    """Words equations one after another in a language.

    Attributes
    ----------
    lines : the lines so far.
    name_of : for each left side, the variable that holds it.
    """

    def __init__(
        self, language: Language, names: Names, sizes: SizeNames, tasks: Sequence[Task], indent: int
    ) -> None:
        super().__init__(language, names, sizes)
        self.indent = indent
        self.lines: list[Line] = []
        self.name_of: dict[Expression, str] = {}
        self._uses = uses([task.computed for task in tasks])

    def give(self, symbol: Expression, name: str) -> None:
        """Say by which name a symbol is known."""
        self.code[symbol] = Code(name)

    def compute(self, task: Task) -> None:
        """Lower one equation; from now on its left side is known by name."""
        left, root = task.equation.left, task.computed
        name = self.name_of[left] = self._variable(left)
        for node in walk(root):
            if node is not root and node not in self.code:
                self.code[node] = self.lower(node)
                if self._deserves_name(node):
                    self._give_name(node, task)
        self.lines.append(Line(name, self._fitted(name, root, task, self._root), task))
        self.code[left] = Code(name)
        if root.arguments and not is_constant(root):
            self.code[root] = Code(name)
            self.named.add(root)
            self.narrow.discard(root)
            self.truths.discard(root)

    def _fitted(
        self, name: str, node: Expression, task: Task, source: Callable[[Expression], Code]
    ) -> Code:
        """The source of a node, its longest arguments named until it fits into a line."""
        code = source(node)
        for part in sorted(node.arguments, key=self._length, reverse=True):
            if fits(name, code, self.indent):
                break
            if not is_constant(part):
                self._give_name(part, task)
                code = source(node)
        return code

    def _variable(self, left: Expression) -> str:
        if left.operation in DERIVATIVES:
            assert isinstance(left.data, tuple)
            of, by = (side.symbol.name for side in left.data)
            return self.names.new(f"d{of}_d{by}")
        return self.names.new(left.symbol.name)

    def _root(self, root: Expression) -> Code:
        if root in self.named or not root.arguments:
            code = self.value(root) if root in self.code else self.lower(root)
        else:
            self.code[root] = self.lower(root)
            code = self.value(root)
        if is_constant(root) and isinstance(self.language, Arrays):
            return self.language.lifted(code)
        return code

    def _length(self, node: Expression) -> int:
        return len(self.code[node].text)

    def _deserves_name(self, node: Expression) -> bool:
        if node.operation == "transpose" or is_constant(node):
            return False
        is_shared = bool(node.arguments) and self._uses[node] > 1
        return is_shared or self._length(node) > LONGEST_PART

    def _give_name(self, node: Expression, task: Task) -> None:
        if self.code[node].text.isidentifier():
            return
        function = node.data
        word = _WORDS.get(node.operation, node.operation)
        if isinstance(function, Function):
            word = function.name
        name = self.names.numbered(word)
        self.lines.append(Line(name, self._fitted(name, node, task, self.lower), task))
        self.code[node] = Code(name)
        self.named.add(node)
