"""Emitted code: run, and held against the complex step and each library's own autograd."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workbench import api
from workbench.calculus.algebra import (
    add,
    divide,
    greater,
    maximum,
    minimum,
    multiply,
    power,
    subtract,
    where,
)
from workbench.calculus.blocks import ZERO, block, hstack, vstack
from workbench.calculus.dimensions import ONE, SCALAR, Dimension, Shape
from workbench.calculus.expressions import (
    Expression,
    Kind,
    identity,
    jacobian,
    number,
    ones,
    size,
    symbol,
)
from workbench.calculus.functions import (
    ABS,
    EXP,
    LOG,
    NORMAL_CDF,
    TANH,
    VARIABLE,
    Function,
    Implementation,
    undetermined,
)
from workbench.calculus.matrices import (
    commutation,
    diag,
    inverse,
    kron,
    matmul,
    total,
    transpose,
    vec,
)
from workbench.calculus.pullbacks import gradients
from workbench.calculus.square import det, diagonal, trace
from workbench.core.checks.draws import distinct_sizes, draw_point
from workbench.core.emit import TARGETS, emit
from workbench.core.evaluate import evaluate
from workbench.derivation.differentiate import derive
from workbench.derivation.steps import ELEMENTWISE, Derivation
from workbench.derivation.system import Equation, System
from workbench.errors import InputError
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import load_registry

Array = NDArray[Any]
Values = dict[Expression, Array]

CACHE = Path(__file__).parent.parent / ".mypy_cache"
M, N, K = (Dimension.named(name) for name in ("m", "n", "k"))
F = undetermined("f")


def _parameter(name: str, shape: Shape = SCALAR) -> Expression:
    return symbol(name, Kind.PARAMETER, shape)


def _system(**rights: Expression) -> System:
    """Equations in order; the last is the loss."""
    *inner, last = rights
    lefts = [symbol(name, Kind.INTERMEDIATE, rights[name].shape) for name in inner]
    lefts.append(symbol(last, Kind.LOSS))
    return System(tuple(Equation(x, rights[x.symbol.name]) for x in lefts))


def _inner(name: str, of: Expression) -> Expression:
    return symbol(name, Kind.INTERMEDIATE, of.shape)


A, S = _parameter("A", (M, N)), _parameter("S", (N, N))
B, U = _parameter("B", (K, N)), _parameter("u", (M, ONE))
X, Y = symbol("x", Kind.INPUT, (N, ONE)), symbol("y", Kind.TARGET, (M, ONE))
C, T = _parameter("c"), symbol("t", Kind.INPUT)


def _determinants() -> System:
    positive = add(matmul(transpose(S), S), identity(N))
    p = _inner("P", positive)
    loss = add(
        LOG(det(p)),
        matmul(transpose(X), inverse(p), X),
        trace(matmul(inverse(p), transpose(A), A)),
        multiply(number(2), trace(S)),
    )
    return _system(P=positive, L=loss)


def _blocks() -> System:
    v = vstack(A, B)
    stacked = matmul(v, X)
    wide = hstack(matmul(transpose(v), v), S)
    part = block(wide, ZERO, N, N, N)
    return _system(L=add(total(power(stacked, 2)), total(EXP(part)), total(TANH(wide))))


def _kroneckers() -> System:
    turned = matmul(commutation(M, N), vec(multiply(A, A)))
    loss = add(
        total(matmul(kron(A, S), vec(S))),
        total(power(turned, 3)),
        total(power(diagonal(matmul(S, diag(matmul(S, X)))), 2)),
    )
    return _system(L=loss)


def _layer() -> System:
    z = add(matmul(A, X), U)
    e = subtract(_inner("a", z), Y)
    return _system(z=z, a=F(_inner("z", z)), L=total(power(e, 2)))


def _normalised() -> System:
    """Layer normalisation of columns, with a mean and a deviation that are rows."""
    z = matmul(A, symbol("X", Kind.INPUT, (N, K)))
    mean = multiply(power(size(M), -1), matmul(ones((ONE, M)), _inner("Z", z)))
    centred = subtract(_inner("Z", z), matmul(ones((M, ONE)), _inner("mu", mean)))
    square = matmul(ones((ONE, M)), power(_inner("D", centred), 2))
    spread_ = power(add(multiply(power(size(M), -1), square), number(1)), Fraction(1, 2))
    scaled = multiply(
        matmul(U, ones((ONE, K))),
        divide(_inner("D", centred), matmul(ones((M, ONE)), _inner("s", spread_))),
    )
    target = symbol("Y", Kind.TARGET, (M, K))
    loss = total(power(subtract(_inner("N", scaled), target), 2))
    return _system(Z=z, mu=mean, D=centred, s=spread_, N=scaled, L=loss)


def _scalars() -> System:
    w = _parameter("lambda")
    a = add(multiply(w, T), C)
    inner = _inner("a", a)
    loss = add(
        maximum(inner, number(0)),
        minimum(multiply(inner, T), number(3)),
        NORMAL_CDF(inner),
        ABS(inner),
        divide(power(inner, 2), add(number(3), EXP(w))),
        power(add(number(2), power(C, 2)), Fraction(3, 7)),
    )
    return _system(a=a, L=loss)


def _polynomial() -> System:
    """Nothing here needs a function of any library."""
    return _system(L=power(subtract(multiply(C, T), number(Fraction(1, 3))), 2))


def _masks() -> System:
    """Comparisons as numbers, an inverse that only the backward pass has, entries past a kink."""
    mask = greater(S, number(Fraction(1, 10)))
    turned = matmul(S, symbol("G", Kind.INPUT, (N, N)))
    loss = add(
        total(multiply(number(Fraction(1, 10)), mask, power(S, 2))),
        total(multiply(subtract(number(1), mask), S, power(size(N), -1))),
        total(where(mask, number(Fraction(1, 7)), multiply(number(Fraction(-1, 3)), S))),
        total(multiply(where(mask, number(1), number(Fraction(1, 10))), TANH(S))),
        total(matmul(mask, S)),
        total(maximum(S, multiply(number(2), transpose(S)))),
        TANH(det(turned)),
    )
    return _system(L=loss)


def _by_hand() -> System:
    """A function with code of its own, for which its formula stands in, and its derivatives."""
    formula = multiply(VARIABLE, TANH(VARIABLE))
    function = Function("mine", formula, implementation=Implementation(lambda z: 0 * z))
    z = matmul(S, X)
    return _system(L=add(total(function(z)), total(function.prime(multiply(number(2), z)))))


def _wide() -> System:
    """Lines that must be broken: a long sum, a long product, a long stack, long names."""
    columns = [_parameter(f"column_{place}_of_many", (N, ONE)) for place in range(30)]
    scalars = [_parameter(f"factor_{place}") for place in range(30)]
    stack = matmul(transpose(vstack(*columns)), vstack(*map(EXP, columns)))
    combined = add(*(multiply(a, c, c) for a, c in zip(scalars, columns, strict=True)))
    chain = multiply(*(add(scalar, number(2)) for scalar in scalars))
    return _system(L=add(stack, total(combined), chain))


HAND_BUILT = {
    "polynomial, of scalars": _polynomial,
    "determinants": _determinants,
    "undetermined": _layer,
    "normalised": _normalised,
    "scalars": _scalars,
}
BY_TABLE = {
    "wide": _wide,
    "masks": _masks,
    "by hand": _by_hand,
    "blocks": _blocks,
    "kroneckers": _kroneckers,
}
JAX_NETWORKS = ["classifier, diagonal", "classifier, kronecker, batch", "batch"]
NETWORKS: dict[str, tuple[str, str, str]] = {
    "2-2-1 neuron by neuron": ("2-2-1", "scalar", "elementwise"),
    "gelu neuron by neuron": ("2-2:gelu-1:softplus", "scalar", "elementwise"),
    "2-2-1": ("2-2-1", "matrix", "elementwise"),
    "classifier": ("3-4:relu-2:softmax", "matrix", "elementwise"),
    "classifier, diagonal": ("3-4:elu-2:softmax", "matrix", "diagonal"),
    "classifier, kronecker, batch": ("3-4:relu-2:softmax", "batch", "kronecker"),
    "batch": ("3-4:leaky_relu-3:gelu-2:softplus", "batch", "elementwise"),
}
"""Architecture, form and strategy."""

SYSTEMS = [name for name in (*BY_TABLE, *HAND_BUILT, *NETWORKS) if name != "wide"]
JAX_SYSTEMS = [*(name for name in SYSTEMS if name not in NETWORKS), *JAX_NETWORKS]
"""Fewer, since each is compiled."""
SCALAR_SYSTEMS = [name for name in SYSTEMS if "neuron" in name or name.endswith("scalars")]


def _by_table(system: System) -> Derivation:
    """One equation, differentiated by the rule table and by nothing else."""
    (equation,) = system.equations
    found = gradients(equation.right, system.parameters, number(1))
    backward = tuple(
        Equation(jacobian(system.loss, parameter), gradient)
        for parameter, gradient in zip(system.parameters, found, strict=True)
    )
    by_parameter = {e.left.data[1]: e.right for e in backward}  # type: ignore[index]
    return Derivation(system, ELEMENTWISE, (), backward, by_parameter)


@cache
def _derivation(name: str) -> Derivation:
    if name in BY_TABLE:
        return _by_table(BY_TABLE[name]())
    if name in HAND_BUILT:
        return derive(HAND_BUILT[name]())
    architecture, form, strategy = NETWORKS[name]
    network = build_network(architecture, registry=load_registry())
    is_scalar = form == "scalar"
    system = network.scalar_system() if is_scalar else network.system(batch=form == "batch")
    return derive(system, strategy=build_strategy(strategy, load_registry()))


@cache
def _point(name: str) -> tuple[dict[str, int], Values]:
    system = _derivation(name).system
    random = np.random.default_rng(5)
    sizes = distinct_sizes(system, random)
    values = dict(draw_point(system, sizes, random).values)
    for target in system.of_kind(Kind.TARGET):
        if system.assumptions:
            values[target] = np.abs(values[target]) / np.abs(values[target]).sum(0)
    return sizes, values


def _loss(system: System, values: Mapping[Expression, Array], sizes: Mapping[str, int]) -> complex:
    found = dict(values)
    for equation in system.equations:
        found[equation.left] = evaluate(equation.right, found, sizes)
    return complex(found[system.loss].item())


@cache
def _oracle(name: str) -> tuple[float, dict[str, Array]]:
    """The loss, and its gradients by the complex step through the equations."""
    derivation = _derivation(name)
    sizes, values = _point(name)
    found = {}
    for parameter in derivation.gradients:
        gradient = np.zeros(values[parameter].shape)
        for place in np.ndindex(gradient.shape):
            moved = values[parameter].astype(complex)
            moved[place] += 1e-30j
            changed = _loss(derivation.system, {**values, parameter: moved}, sizes)
            gradient[place] = changed.imag / 1e-30
        found[parameter.symbol.name] = gradient
    return _loss(derivation.system, values, sizes).real, found


def _run(name: str, target: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(emit(_derivation(name), target), f"<{target}>", "exec"), namespace)
    return namespace


def _given(name: str) -> list[Expression]:
    """The arguments of an emitted function in order: parameters first."""
    system = _derivation(name).system
    found = [s for s in system.symbols if s not in system.definitions]
    return sorted(found, key=lambda s: s.symbol.kind is not Kind.PARAMETER)


def _arguments(name: str) -> list[Array]:
    """Their values; scalars have no axes."""
    _, values = _point(name)
    return [values[s].reshape(() if s.is_scalar else values[s].shape) for s in _given(name)]


def _stand_ins(name: str) -> list[Callable[[Array], Array]]:
    """The functions that `evaluate` takes for f and f′."""
    if name != "undetermined":
        return []
    return [partial(_applied, F), partial(_applied, F.prime)]


def _applied(function: Function, argument: Array) -> Array:
    return evaluate(function(VARIABLE), {VARIABLE: argument})


def _agree(found: Any, expected: Array) -> None:
    found = np.asarray(found, dtype=float).reshape(expected.shape)
    distance = np.linalg.norm(found - expected) / max(float(np.linalg.norm(expected)), 1e-30)
    assert distance < 1e-10, f"{found}\nexpected\n{expected}"


@pytest.mark.parametrize("name", SYSTEMS)
def test_numpy_agrees_with_the_complex_step(name: str) -> None:
    function = _run(name, "numpy")["loss_and_gradients"]
    loss, found = function(*_stand_ins(name), *_arguments(name))
    expected, by_step = _oracle(name)
    assert type(loss) is float and loss == pytest.approx(expected, rel=1e-12)
    for gradient, by_hand in zip(found, by_step.values(), strict=True):
        _agree(gradient, by_hand)


@pytest.mark.parametrize("name", SCALAR_SYSTEMS)
def test_python_agrees_with_the_complex_step(name: str) -> None:
    numbers = [float(value) for value in _arguments(name)]
    loss, found = _run(name, "python")["loss_and_gradients"](*numbers)
    expected, by_step = _oracle(name)
    assert type(loss) is float and loss == pytest.approx(expected, rel=1e-12)
    for gradient, by_hand in zip(found, by_step.values(), strict=True):
        assert isinstance(gradient, float | int)
        _agree(gradient, by_hand)


def _torch() -> Any:
    """PyTorch on one thread: more would wait for each other on matrices as small as these."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch


class _Context:
    """Takes what a torch function saves, so that autograd can go through its forward pass."""

    def save_for_backward(self, *saved: Any) -> None:
        pass


@pytest.mark.parametrize("name", SYSTEMS)
def test_torch_agrees_with_its_own_autograd(name: str) -> None:
    torch = _torch()
    namespace = _run(name, "torch")
    functions = [torch.sin, torch.cos] if name == "undetermined" else []
    wanted = set(_derivation(name).gradients)
    arguments = [
        torch.tensor(value, requires_grad=symbol in wanted)
        for symbol, value in zip(_given(name), _arguments(name), strict=True)
    ]
    leaves = [argument for argument in arguments if argument.requires_grad]
    loss = namespace["loss_and_gradients"](*functions, *arguments)
    derived = torch.autograd.grad(loss, leaves)
    plain = namespace["LossAndGradients"].forward(_Context(), *functions, *arguments)
    assert plain.item() == loss.item()
    for found, own in zip(derived, torch.autograd.grad(plain, leaves), strict=True):
        assert found.dtype == torch.float64
        _agree(found.numpy(), own.numpy())
    if not functions:
        assert loss.item() == pytest.approx(_oracle(name)[0], rel=1e-12)

    def of_leaves(*moved: Any) -> Any:
        place = iter(moved)
        given = [next(place) if a.requires_grad else a for a in arguments]
        return 3 * namespace["loss_and_gradients"](*functions, *given)

    assert torch.autograd.gradcheck(of_leaves, leaves, fast_mode=True)


def test_torch_keeps_single_precision_and_leaves_the_rest_without_gradient() -> None:
    torch = _torch()
    for name in ("classifier, kronecker, batch", "batch", "scalars", "determinants", "blocks"):
        arguments = [torch.tensor(v, dtype=torch.float32) for v in _arguments(name)]
        for argument in arguments:
            argument.requires_grad_()
        loss = _run(name, "torch")["loss_and_gradients"](*arguments)
        loss.backward()
        assert loss.dtype == torch.float32
        wanted = set(_derivation(name).gradients)
        for symbol_, argument in zip(_given(name), arguments, strict=True):
            assert (argument.grad is not None) == (symbol_ in wanted)
            assert argument.grad is None or argument.grad.dtype == torch.float32


@pytest.mark.parametrize("name", JAX_SYSTEMS)
def test_jax_agrees_with_its_own_autograd(name: str) -> None:
    jax = pytest.importorskip("jax")
    functions = [jax.numpy.sin, jax.numpy.cos] if name == "undetermined" else []
    with jax.enable_x64(True):
        namespace = _run(name, "jax")
        wanted = set(_derivation(name).gradients)
        places = tuple(place for place, s in enumerate(_given(name)) if s in wanted)

        def loss(*arguments: Any) -> Any:
            return 3 * namespace["loss_and_gradients"](*functions, *arguments)

        def plain(*arguments: Any) -> Any:
            return 3 * namespace["_forward"](*functions, *arguments)[0]

        arguments = [jax.numpy.asarray(value) for value in _arguments(name)]
        both = [jax.value_and_grad(function, argnums=places) for function in (loss, plain)]
        (value, derived), (_, own) = jax.jit(lambda *a: [f(*a) for f in both])(*arguments)
        for found, expected in zip(derived, own, strict=True):
            _agree(found, np.asarray(expected))
        if not functions:
            assert float(value) == pytest.approx(3 * _oracle(name)[0], rel=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_the_source_is_formatted_free_of_lint_and_typed(target: str, tmp_path: Path) -> None:
    for place, name in enumerate(SCALAR_SYSTEMS if target == "python" else [*SYSTEMS, "wide"]):
        source = emit(_derivation(name), target)
        assert source == emit(_derivation(name), target)
        (tmp_path / f"{target}_{place}.py").write_text(source, encoding="utf-8")
    (tmp_path / "ruff.toml").write_text("line-length = 100\n")
    checks = [["ruff", "format", "--check", "--diff"], ["ruff", "check"]]
    if target in ("python", "numpy"):
        cache = ["--cache-dir", str(CACHE)]
        checks.append(["mypy", "--strict", "--ignore-missing-imports", *cache])
    for check in checks:
        command = [sys.executable, "-m", *check, "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_shapes_that_do_not_fit_are_refused_by_name() -> None:
    for target in ("numpy", "torch", "jax"):
        make: Callable[[Any], Any] = np.asarray
        if target != "numpy":
            library = pytest.importorskip("torch" if target == "torch" else "jax.numpy")
            make = library.asarray
        function = _run("2-2-1", target)["loss_and_gradients"]
        arguments = [make(value) for value in _arguments("2-2-1")]
        with pytest.raises(ValueError, match=r"b1 needs two axes"):
            function(arguments[0], arguments[1][:, 0], *arguments[2:])
        with pytest.raises(ValueError, match=r"b1 has shape .*, expected \("):
            function(arguments[0], arguments[1][1:], *arguments[2:])


def test_a_size_is_read_off_a_sum_or_a_product_of_sizes() -> None:
    tall = _parameter("T", (add_sizes := M + Dimension.number(2) * N, ONE))
    wide = _parameter("V", (M, ONE))
    loss = add(total(power(tall, 2)), multiply(size(N), total(wide)), size(add_sizes))
    namespace: dict[str, Any] = {}
    exec(emit(_by_table(_system(L=loss)), "numpy"), namespace)
    function = namespace["loss_and_gradients"]
    value, (_, by_wide) = function(np.ones((7, 1)), np.ones((3, 1)))
    assert value == 7 + 2 * 3 + 7 and by_wide.tolist() == [[2.0]] * 3


@pytest.mark.parametrize(
    ("name", "target", "function", "message"),
    [
        ("2-2-1", "python", "f", "W1 is m_1×m_0; derive with --form scalar, or emit numpy"),
        ("2-2-1", "pytorch", "f", "unknown target 'pytorch'; did you mean torch"),
        ("2-2-1", "numpy", "f(): import os #", "cannot be called"),
        ("2-2-1", "numpy", "lambda", "cannot be called 'lambda'"),
    ],
)
def test_what_cannot_be_emitted_is_refused(
    name: str, target: str, function: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        emit(_derivation(name), target, name=function)


def test_a_size_that_no_argument_has_is_refused() -> None:
    loss = multiply(size(K), power(C, 2))
    with pytest.raises(InputError, match="the size k cannot be read off"):
        emit(_by_table(_system(L=loss)), "numpy")


def test_names_are_made_safe() -> None:
    names = ["lambda", "x; import os", "np", "l", "θ̂", "a b", "a_b", "W1'", "float", "class\n"]
    parameters = [_parameter(name) for name in names]
    loss = add(*(power(parameter, place) for place, parameter in enumerate(parameters, start=2)))
    for target in ("python", "numpy"):
        namespace: dict[str, Any] = {}
        exec(emit(_by_table(_system(L=loss)), target), namespace)
        value, found = namespace["loss_and_gradients"](*[2.0] * len(names))
        assert value == sum(2.0**place for place in range(2, 12))
        assert list(found) == [place * 2.0 ** (place - 1) for place in range(2, 12)]


def test_large_logits_and_determinants_do_not_overflow() -> None:
    numpy_code = _run("classifier, kronecker, batch", "numpy")["loss_and_gradients"]
    W1, b1, W2, b2, X0, Y = _arguments("classifier, kronecker, batch")
    loss, found = numpy_code(W1, b1, W2, b2 + 1e4 * np.arange(len(b2))[:, None], X0, Y)
    assert np.isfinite(loss) and all(np.isfinite(gradient).all() for gradient in found)
    S = symbol("S", Kind.PARAMETER, (N, N))
    namespace: dict[str, Any] = {}
    exec(emit(_by_table(_system(L=LOG(det(S)))), "numpy"), namespace)
    loss, (gradient,) = namespace["loss_and_gradients"](1e9 * np.eye(100))
    assert loss == pytest.approx(900 * np.log(10)) and np.allclose(gradient, 1e-9 * np.eye(100))


def test_a_network_of_scalars_with_large_weights() -> None:
    namespace = _run("2-2-1 neuron by neuron", "python")
    count = len(_arguments("2-2-1 neuron by neuron"))
    for weight in (-50.0, 50.0, 1000.0, -1000.0):
        loss, found = namespace["loss_and_gradients"](*[weight] * count)
        assert np.isfinite(loss) and np.isfinite(found).all()


def test_a_matrix_at_the_end_is_refused() -> None:
    system = api.equations("input x : n\nparameter W : m×n\nL = W x")
    for target in TARGETS:
        with pytest.raises(InputError, match=r"needs a scalar at the end, such as sum\(L\)"):
            emit(derive(system), target)


def test_the_summary_can_be_given() -> None:
    for target in TARGETS:
        source = emit(derive(_polynomial()), target, what="The derivative s along V.")
        assert source.count('"""The derivative s along V.') == 2 and "The loss L" not in source


@pytest.mark.parametrize("source", ["tau sum(W .* W)", "tau^2 / 3"])
def test_a_number_may_stand_for_a_scalar_tensor(source: str) -> None:
    torch, jax = _torch(), pytest.importorskip("jax")
    given = "parameter tau\nparameter W : m×n\n" if "W" in source else "parameter tau\n"
    derived = api.derive(api.equations(f"{given}L = {source}"))
    functions = {}
    for target in ("torch", "jax"):
        namespace: dict[str, Any] = {}
        exec(derived.code(target), namespace)
        functions[target] = namespace["loss_and_gradients"]
    matrix = torch.ones((2, 3), dtype=torch.float64, requires_grad=True)
    others = [matrix] if "W" in source else []
    loss = functions["torch"](0.1, *others)
    exact = 0.6 if others else 0.1**2 / 3
    assert loss.dtype == torch.float64 and loss.item() == pytest.approx(exact, rel=1e-15)
    with jax.enable_x64(True):
        plain = [jax.numpy.ones((2, 3))] if others else []
        value, slope = jax.value_and_grad(functions["jax"])(0.1, *plain)
        assert float(value) == pytest.approx(exact, rel=1e-15)
        assert float(slope) == pytest.approx(6 if others else 0.2 / 3, rel=1e-15)
        assert float(functions["jax"](3, *plain)) == pytest.approx(18 if others else 3)
