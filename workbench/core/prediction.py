"""What equations predict, found from how they use their targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from workbench.calculus.algebra import add, scaled, split_coefficient
from workbench.calculus.expressions import Expression, Kind, symbol, symbols_of, walk
from workbench.calculus.rewriting import substitute
from workbench.derivation.system import Equation, System


def prediction_of(system: System) -> Expression | None:
    """The symbol that a target is subtracted from, else the last one that no target goes into.

    It depends on an input, and None is the answer if nothing is left but the loss.

    >>> from workbench.api import equations
    >>> prediction_of(equations("parameter w : 2; target y : 1; p = w' x; L = (p - y)^2"))
    symbol(p)
    """
    predicted = _predicted(system)
    named = (r.prediction for r in _residuals(system) if r.prediction in predicted)
    return next(named, predicted[-1] if predicted else None)


def with_prediction(system: System) -> System:
    """The system with a name for what a target is subtracted from, if that has none.

    >>> from workbench.api import equations
    >>> system = equations("parameter w : 2; target y : 1; L = (w' x - y)^2")
    >>> [equation.left for equation in with_prediction(system).equations]
    [symbol(p), symbol(L)]
    """
    predicted, residuals = _predicted(system), list(_residuals(system))
    unnamed = [r for r in residuals if r.prediction.arguments]
    if not unnamed or any(r.prediction in predicted for r in residuals):
        return system
    first, taken = unnamed[0], {s.symbol.name for s in system.symbols}
    name = next(name for name in ("p", "prediction", "predicted_") if name not in taken)
    prediction = symbol(name, Kind.INTERMEDIATE, first.prediction.shape)
    target = first.target
    difference = add(scaled(-first.coefficient, prediction), scaled(first.coefficient, target))
    equations = [
        Equation(e.left, substitute(e.right, {first.node: difference})) for e in system.equations
    ]
    place = next(p for p, e in enumerate(system.equations) if first.node in walk(e.right))
    equations.insert(place, Equation(prediction, first.prediction))
    return replace(system, equations=tuple(equations))


@dataclass(frozen=True)
class _Residual:
    """A sum of a multiple of a target and of what is predicted for it: c (y − prediction)."""

    node: Expression
    target: Expression
    coefficient: Fraction
    prediction: Expression


def _residuals(system: System) -> Iterator[_Residual]:
    """The sums in which a target is subtracted from what depends on inputs and on no target."""
    targets = system.of_kind(Kind.TARGET)
    after_input, after_target = (_reached(system, kind) for kind in (Kind.INPUT, Kind.TARGET))
    for equation in system.equations:
        for node in walk(equation.right):
            terms = node.arguments if node.operation == "add" else ()
            split = {term: split_coefficient(term) for term in terms}
            known = [term for term in terms if split[term][1] in targets]
            rest = [term for term in terms if term not in known]
            used = set(symbols_of(*rest))
            if len(known) == 1 and used & after_input and not used & after_target:
                coefficient, target = split[known[0]]
                prediction = add(*(scaled(-1 / coefficient, term) for term in rest))
                yield _Residual(node, target, coefficient, prediction)


def _predicted(system: System) -> list[Expression]:
    """The symbols before the loss that depend on an input and on no target, in order."""
    after_input, after_target = (_reached(system, kind) for kind in (Kind.INPUT, Kind.TARGET))
    found = (equation.left for equation in system.equations[:-1])
    return [left for left in found if left in after_input and left not in after_target]


def _reached(system: System, kind: Kind) -> set[Expression]:
    """The symbols of a kind, and all that depend on one."""
    reached = set(system.of_kind(kind))
    for equation in system.equations:
        if not reached.isdisjoint(symbols_of(equation.right)):
            reached.add(equation.left)
    return reached
