"""Names for the parts of one long formula: z for what a function is applied to, a for its value."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.calculus.expressions import Expression, Kind, symbol, symbols_of, walk
from workbench.calculus.functions import Function
from workbench.calculus.rewriting import substitute
from workbench.calculus.system import Equation, System


def with_named_parts(system: System, *, residuals: bool = False) -> System:
    """A system of one equation split where a function meets a longer argument.

    What is differentiated step by step on paper gets a name: `½‖σ(W x + b) − y‖²` becomes
    `z = W x + b`, `a = σ(z)`, `L = ½‖a − y‖²`. Other systems are left as they are.

    Parameters
    ----------
    residuals : whether a sum that is squared gets a name as well, `r = W x − y`.

    >>> from workbench.calculus.functions import TANH
    >>> from workbench.calculus.dimensions import ONE, Dimension
    >>> from workbench.calculus.matrices import matmul, total
    >>> n = Dimension.named("n")
    >>> W, x = symbol("W", Kind.PARAMETER, (n, n)), symbol("x", Kind.INPUT, (n, ONE))
    >>> whole = Equation(symbol("L", Kind.LOSS), total(TANH(matmul(W, x))))
    >>> [equation.left.symbol.name for equation in with_named_parts(System((whole,))).equations]
    ['z', 'a', 'L']
    """
    if len(system.equations) != 1:
        return system
    (whole,) = system.equations
    return _Naming(system, whole).split(residuals)


class _Naming:
    """The equations that one long equation becomes."""

    def __init__(self, system: System, whole: Equation) -> None:
        self.system = system
        self.whole = whole
        self.taken = {s.symbol.name for s in system.symbols}
        self.equations: list[Equation] = []
        self.known: dict[Expression, Expression] = {}

    def split(self, residuals: bool) -> System:
        """Name the parts from the innermost outwards."""
        nodes = list(walk(self.whole.right))
        layers = [node for node in nodes if _is_layer(node)]
        squared = [node for node in nodes if residuals and _is_residual(node, nodes)]
        places = iter(self._suffixes("za", len(layers)))
        others = iter(self._suffixes("r", len(squared)))
        for node in nodes:
            if node in layers:
                suffix = next(places)
                argument = self._named(f"z{suffix}", node.arguments[0])
                function = node.data
                assert isinstance(function, Function)
                self.known[node] = self._define(f"a{suffix}", function(argument))
            elif node in squared:
                self._named(f"r{next(others)}", node)
        last = Equation(self.whole.left, substitute(self.whole.right, self.known))
        return System((*self.equations, last), self.system.assumptions, self.system.sizes)

    def _named(self, name: str, node: Expression) -> Expression:
        """The symbol of a part; a symbol is its own."""
        part = substitute(node, self.known)
        if not part.arguments:
            return part
        self.known[node] = self._define(name, part)
        return self.known[node]

    def _define(self, name: str, right: Expression) -> Expression:
        left = symbol(name, Kind.INTERMEDIATE, right.shape)
        self.equations.append(Equation(left, right))
        return left

    def _suffixes(self, letters: str, how_many: int) -> list[str]:
        """Nothing for a single part, else numbers; never those of names in use."""
        free = ("", *map(str, range(1, len(self.taken) + how_many + 1)))
        usable = [s for s in free if not {f"{letter}{s}" for letter in letters} & self.taken]
        return usable[:1] if how_many == 1 else [s for s in usable if s][:how_many]


def _moves(node: Expression) -> bool:
    return any(s.symbol.kind is Kind.PARAMETER for s in symbols_of(node))


def _is_layer(node: Expression) -> bool:
    """Whether a node applies a function, entry by entry or by columns, to more than a symbol."""
    is_application = node.operation == "apply" and not node.is_scalar
    return is_application and bool(node.arguments[0].arguments) and _moves(node)


def _is_residual(node: Expression, nodes: Sequence[Expression]) -> bool:
    """Whether a node is a sum that is squared: in ‖r‖², rᵀ r or rᵀ A r."""
    if node.operation != "add" or node.is_scalar or not _moves(node):
        return False
    uses = [other for other in nodes if node in other.arguments]
    return any(other.operation in ("transpose", "power") for other in uses)
