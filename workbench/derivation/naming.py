"""Names for the parts of one long formula: z for what a function is applied to, a for its value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from workbench.calculus.expressions import Expression, Kind, symbol, symbols_of, walk
from workbench.calculus.functions import EXP, LOG, Function
from workbench.calculus.rewriting import substitute
from workbench.derivation.system import Equation, System


def with_named_parts(system: System, *, residuals: bool = False) -> System:
    """A system whose equations are split where a function meets a longer argument.

    What is differentiated step by step on paper gets a name: `½‖σ(W x + b) − y‖²` becomes
    `z = W x + b`, `a = σ(z)`, `L = ½‖a − y‖²`, and `h1 = tanh(W h0)` gets `z1 = W h0` before it.

    Parameters
    ----------
    residuals : whether a sum that is squared in a single equation gets a name as well,
        `r = W x − y`.

    >>> from workbench.calculus.functions import TANH
    >>> from workbench.calculus.dimensions import ONE, Dimension
    >>> from workbench.calculus.matrices import matmul, total
    >>> n = Dimension.named("n")
    >>> W, x = symbol("W", Kind.PARAMETER, (n, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> whole = Equation(symbol("L", Kind.LOSS), total(TANH(matmul(W, x))))
    >>> [equation.left.symbol.name for equation in with_named_parts(System((whole,))).equations]
    ['z', 'a', 'L']
    """
    return _Naming(system).split(residuals and len(system.equations) == 1)


class _Naming:
    """The equations that long equations become."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.taken = {s.symbol.name for s in system.symbols}
        self.equations: list[Equation] = []

    def split(self, residuals: bool) -> System:
        """Name the parts of each equation from the innermost outwards."""
        for equation in self.system.equations:
            nodes = list(walk(equation.right))
            layers = [node for node in nodes if _is_layer(node)]
            squared = [n for n in nodes if residuals and _is_residual(n, nodes)]
            known: dict[Expression, Expression] = {}
            for node in nodes:
                if node in layers:
                    argument = self._argument(node, equation, known)
                    if node is not equation.right:
                        function = node.data
                        assert isinstance(function, Function)
                        known[node] = self._define("a", equation, function(argument))
                elif node in squared:
                    known[node] = self._define("r", equation, substitute(node, known))
            self.equations.append(Equation(equation.left, substitute(equation.right, known)))
        return replace(self.system, equations=tuple(self.equations))

    def _argument(
        self, node: Expression, equation: Equation, known: dict[Expression, Expression]
    ) -> Expression:
        """The symbol of what a function is applied to."""
        argument = substitute(node.arguments[0], known)
        if argument.arguments:
            argument = self._define("z", equation, argument)
            known[node.arguments[0]] = argument
        return argument

    def _define(self, letter: str, equation: Equation, right: Expression) -> Expression:
        left = symbol(self._free(letter, equation), Kind.INTERMEDIATE, right.shape)
        self.equations.append(Equation(left, right))
        return left

    def _free(self, letter: str, equation: Equation) -> str:
        """A name with the number or the name of the equation's left side that is not in use."""
        of = equation.left.symbol.name
        plain = letter if equation.left is self.system.loss else f"{letter}_{of}"
        numbered = re.sub(r"^\D+", "", of)
        choices = [*([f"{letter}{numbered}"] if numbered else []), plain]
        found = next((name for name in choices if name not in self.taken), None)
        again = 1
        while found is None or found in self.taken:
            again += 1
            found = f"{plain}{again}"
        self.taken.add(found)
        return found


def _moves(node: Expression) -> bool:
    moving = (Kind.PARAMETER, Kind.INTERMEDIATE)
    return any(s.symbol.kind in moving for s in symbols_of(node))


def _is_layer(node: Expression) -> bool:
    """Whether a node applies a function, entry by entry or by columns, to more than a symbol.

    Exponentials and logarithms stay where they are: other forms of a formula depend on them.
    """
    if node.operation != "apply" or node.is_scalar or node.data in (EXP, LOG):
        return False
    return bool(node.arguments[0].arguments) and _moves(node)


def _is_residual(node: Expression, nodes: Sequence[Expression]) -> bool:
    """Whether a node is a sum that is squared: in ‖r‖², rᵀ r or rᵀ A r."""
    if node.operation != "add" or node.is_scalar or not _moves(node):
        return False
    uses = [other for other in nodes if node in other.arguments]
    return any(other.operation in ("transpose", "power") for other in uses)
