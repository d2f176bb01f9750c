"""From names and records to the mathematics: functions, losses, strategies and networks."""

from __future__ import annotations

import re
from functools import cache

from workbench.calculus.columns import column_jacobian_stages, column_slope
from workbench.calculus.expressions import Expression, number, walk
from workbench.calculus.functions import (
    COLUMN_VARIABLE,
    PRIMITIVES,
    VARIABLE,
    Function,
    Implementation,
)
from workbench.calculus.pullbacks import gradients
from workbench.calculus.rewriting import depends_on
from workbench.calculus.simplify import common_factors, merge_branches
from workbench.calculus.slopes import slope
from workbench.derivation.network import PREDICTION, TARGET, LossFunction, Network
from workbench.derivation.steps import Strategy
from workbench.errors import InputError, WorkbenchError
from workbench.notation.reading.formulas import parse_formula
from workbench.notation.text import text
from workbench.plugins.records import Activation, JacobianStrategy, Loss
from workbench.plugins.registry import Registry

MOST_LAYERS = 1_000
WIDEST_LAYER = 10_000_000

_GREEK_NAMES = (
    "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
_GREEK = {
    letter: "\\" + name
    for letter, name in zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", _GREEK_NAMES.split(), strict=True)
}


def build_function(name: str, registry: Registry) -> Function:
    """The function of an activation, its formula read.

    Raises
    ------
    InputError
        If no activation has this name, its formula cannot be read, or it is defined by itself.

    >>> from workbench.plugins.registry import load_registry
    >>> build_function("sigmoid", load_registry()).symbol
    'σ'
    """
    return _function(registry.activation(name), registry, ())


@cache
def _function(record: Activation, registry: Registry, path: tuple[str, ...]) -> Function:
    if record.name in path:
        raise InputError("activations defined by each other: " + " → ".join((*path, record.name)))
    below = (*path, record.name)

    def lookup(other: str) -> Function | None:
        known = {n: a for a in registry.activations.values() for n in (a.name, *a.aliases)}
        return _function(known[other], registry, below) if other in known else None

    what = f"formula of activation {record.name!r}"
    formula = parse_formula(record.formula, {"z": COLUMN_VARIABLE}, lookup, what)
    variable = COLUMN_VARIABLE
    if not _couples_entries(formula):
        variable = VARIABLE
        formula = parse_formula(record.formula, {"z": variable}, lookup, what)
    elif record.slope is not None:
        raise InputError(
            f"activation {record.name!r} couples the entries of a sample, so it has no slope"
        )
    if formula.shape != variable.shape:
        raise InputError(f"{what} {record.formula!r} gives one number a sample, not one an entry")
    primitive = PRIMITIVES.get(record.name)
    if primitive is not None and formula is not primitive(VARIABLE):
        raise InputError(
            f"{what}: the name {record.name!r} belongs to {record.name}(z); choose another"
        )
    symbol = record.symbol or record.name
    plain = (symbol if symbol.isascii() else record.name).replace("_", r"\_")
    return Function(
        record.name,
        formula,
        symbol=symbol,
        latex=_GREEK.get(symbol) or _known_operator(record) or rf"\operatorname{{{plain}}}",
        kinks=tuple(float(kink) for kink in record.kinks),
        implementation=Implementation(record.value, record.slope) if record.value else None,
    )


def _couples_entries(formula: Expression) -> bool:
    """Whether a formula sums over a sample, itself or through another activation."""
    return any(
        node.operation in ("sum", "size")
        or (isinstance(node.data, Function) and node.data.columnwise)
        for node in walk(formula)
    )


def _known_operator(record: Activation) -> str | None:
    primitive = PRIMITIVES.get(record.symbol or record.name)
    return primitive.latex if primitive is not None else None


def build_loss(name: str, registry: Registry) -> LossFunction:
    """The loss of this name, its formula read.

    Raises
    ------
    InputError
        If no loss has this name, its formula cannot be read or is not one number a sample.

    >>> from workbench.plugins.registry import load_registry
    >>> build_loss("half_squared_error", load_registry()).reduction
    'mean'
    """
    record = registry.loss(name)
    what = f"formula of loss {record.name!r}"
    formula = _read(record, record.formula, what, registry)
    if not depends_on(formula, PREDICTION):
        raise InputError(f"{what} {record.formula!r} does not depend on the output a")
    if not formula.is_scalar:
        raise InputError(
            f"{what} {record.formula!r} gives one number an entry; put sum(…) or mean(…) around it"
        )
    assumptions = []
    for assumption in record.assumes:
        left, right = (
            _read(record, side, f"assumption of loss {record.name!r}", registry)
            for side in assumption.split("=")
        )
        if depends_on(left, PREDICTION) or depends_on(right, PREDICTION):
            raise InputError(
                f"assumption {assumption!r} of loss {record.name!r} is about the output a; "
                "it must be about the target y alone"
            )
        assumptions.append(_oriented(record, assumption, left, right))
    if len({left.form for left, _ in assumptions}) < len(assumptions):
        raise InputError(f"loss {record.name!r}: two assumptions have the same left side")
    return LossFunction(record.name, formula, record.reduction, tuple(assumptions))


def _oriented(
    record: Loss, assumption: str, left: Expression, right: Expression
) -> tuple[Expression, Expression]:
    """An assumption with the target on its left."""
    if not depends_on(left, TARGET):
        left, right = right, left
    if not depends_on(left, TARGET) or (left.is_scalar and not right.is_scalar):
        raise InputError(
            f"assumption {assumption!r} of loss {record.name!r} must say of the target y what some "
            "number or column of y is, as in 'sum(y) = 1'"
        )
    return left, right


def _read(record: Loss, text: str, what: str, registry: Registry) -> Expression:
    def lookup(other: str) -> Function | None:
        known = {n for a in registry.activations.values() for n in (a.name, *a.aliases)}
        return build_function(other, registry) if other in known else None

    return parse_formula(text, {"a": PREDICTION, "y": TARGET}, lookup, what)


def build_strategy(name: str, registry: Registry) -> Strategy:
    """The strategy of this name.

    Raises
    ------
    InputError
        If no strategy has this name.

    >>> from workbench.plugins.registry import load_registry
    >>> build_strategy("kronecker", load_registry()).name
    'kronecker'
    """
    return _strategy(registry.strategy(name))


def _strategy(record: JacobianStrategy) -> Strategy:
    def jacobian(node: Expression, index: int) -> Expression | None:
        rule = record.rules.get(node.operation)
        return rule(node, index) if rule is not None else None

    return Strategy(record.name, jacobian)


def derivative_text(record: Activation | Loss, registry: Registry) -> str:
    """The derivative of an activation, or of a loss by its output, in Unicode.

    A formula that cannot be read gives the reason instead.

    >>> from workbench.plugins.registry import load_registry
    >>> registry = load_registry()
    >>> derivative_text(registry.activation("sigmoid"), registry)
    'σ(z) (1 − σ(z))'
    """
    try:
        if isinstance(record, Loss):
            loss = build_loss(record.name, registry)
            (gradient,) = gradients(loss.formula, [PREDICTION], number(1))
            return text(merge_branches(common_factors(gradient)))
        function = build_function(record.name, registry)
        if function.columnwise:
            stages = column_jacobian_stages(function)[1]
            return text(stages[-1].expression if stages else column_slope(function).form)
        return text(slope(function).stages[-1].expression)
    except WorkbenchError as error:
        return f"({error})"


DEFAULT_ACTIVATION = "sigmoid"


def build_network(
    text: str, *, activation: str | None = None, loss: str | None = None, registry: Registry
) -> Network:
    """Read a network such as `2-2-1` or `64-32:tanh-10:softmax`.

    Parameters
    ----------
    activation : of the layers that name none; sigmoid if not given.
    loss : its name. If not given, cross-entropy after softmax and else half the squared error.

    Raises
    ------
    InputError
        If a width is no whole number, or a name is unknown.

    >>> from workbench.plugins.registry import load_registry
    >>> str(build_network("4-3:tanh-2", registry=load_registry()))
    '4-3:tanh-2:sigmoid'
    """
    if not isinstance(text, str):
        raise InputError(f"a network is a text such as '2-2-1', not {text!r}")
    if activation is not None:
        build_function(activation, registry)
    first, *layers = text.strip().split("-")
    widths = [_width(text, first, 1)]
    functions = []
    for place, layer in enumerate(layers, start=2):
        width, _, name = layer.partition(":")
        widths.append(_width(text, width, place))
        if ":" in layer and not name:
            raise InputError(f"network {text!r}, width {place}: no activation stands after ':'")
        functions.append(build_function(name or activation or DEFAULT_ACTIVATION, registry))
    if len(widths) > MOST_LAYERS + 1:
        raise InputError(f"a network of {len(layers):,} layers; at most {MOST_LAYERS:,} are read")
    chosen = loss or _usual_loss(functions)
    return Network(tuple(widths), tuple(functions), build_loss(chosen, registry))


def _usual_loss(functions: list[Function]) -> str:
    last = functions[-1].name if functions else ""
    return "cross_entropy" if last == "softmax" else "half_squared_error"


def _width(text: str, width: str, place: int) -> int:
    if re.fullmatch(r"[0-9]{1,9}", width) is None or not 1 <= int(width) <= WIDEST_LAYER:
        hint = " (the input has no activation)" if place == 1 and ":" in width else ""
        raise InputError(
            f"network {text!r}, width {place}: {width!r} is not a whole number from 1 to "
            f"{WIDEST_LAYER:,}{hint}; write widths with - between them, as in 2-2-1 or "
            "64-32:tanh-10:softmax"
        )
    return int(width)
