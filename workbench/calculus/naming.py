"""Names for the parts of one long formula: z for what a function is applied to, a for its value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from workbench.calculus.expressions import Expression, Kind, symbol, symbols_of, walk
from workbench.calculus.functions import Function
from workbench.calculus.rewriting import substitute
from workbench.calculus.system import Equation, System


def with_named_parts(system: System) -> System:
    """A system of one equation split where a function meets a longer argument.

    What is differentiated step by step on paper gets a name: `½‖σ(W x + b) − y‖²` becomes
    `z = W x + b`, `a = σ(z)`, `L = ½‖a − y‖²`. Other systems are left as they are.

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
    applications = [node for node in walk(whole.right) if _is_layer(node)]
    names = _names(len(applications), {s.symbol.name for s in system.symbols})
    equations: list[Equation] = []
    known: dict[Expression, Expression] = {}
    for node, (inner, outer) in zip(applications, names, strict=True):
        argument = substitute(node.arguments[0], known)
        if argument.arguments:
            named = symbol(inner, Kind.INTERMEDIATE, argument.shape)
            equations.append(Equation(named, argument))
            known[node.arguments[0]] = argument = named
        function = node.data
        assert isinstance(function, Function)
        value = symbol(outer, Kind.INTERMEDIATE, node.shape)
        equations.append(Equation(value, function(argument)))
        known[node] = value
    equations.append(Equation(whole.left, substitute(whole.right, known)))
    return System(tuple(equations), system.assumptions, system.sizes)


def _is_layer(node: Expression) -> bool:
    """Whether a node applies a function, entry by entry or by columns, to more than a symbol."""
    return (
        node.operation == "apply"
        and not node.is_scalar
        and bool(node.arguments[0].arguments)
        and any(s.symbol.kind is Kind.PARAMETER for s in symbols_of(node))
    )


def _names(how_many: int, taken: set[str]) -> Iterator[tuple[str, str]]:
    """z and a, numbered if there are several, and never a name that is in use."""
    suffixes = iter(count(1))
    found = 0
    if how_many == 1 and not taken & {"z", "a"}:
        yield "z", "a"
        return
    while found < how_many:
        suffix = next(suffixes)
        if not taken & {f"z{suffix}", f"a{suffix}"}:
            found += 1
            yield f"z{suffix}", f"a{suffix}"
