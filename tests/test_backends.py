"""Backends: the same training by each of them, also where numbers overflow; and which is chosen."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import util
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workbench import Activation
from workbench.core.backends import choose_backend, make_stepper
from workbench.core.data import Dataset
from workbench.core.initialisers import initialise
from workbench.core.optimizers import OPTIMIZERS, make_optimizer
from workbench.core.program.program import derived
from workbench.core.program.source import turned_parameters
from workbench.core.settings import Settings
from workbench.core.steppers import Batches, Learner, NotFinite, Steps, StepScalars
from workbench.core.steppers.numba_stepper import FEW_NUMBERS, size_in_numbers
from workbench.core.trainable import trainable_network
from workbench.core.training import Training
from workbench.errors import InputError, NotFiniteError
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import Entry, Registry, load_registry

Array = NDArray[Any]

SAMPLES, BATCH, EPOCHS = 8, 3, 10
"""Two full batches and a partial one, ten times: thirty steps."""

LOSSES = ("half_squared_error", "mean_squared_error", "huber", "absolute_error")
"""Those that any output will do for."""

OPTIONS: tuple[Mapping[str, float], ...] = (
    {"clip_norm": 0.05},
    {},
    {"clip_value": 0.02, "weight_decay": 0.1},
    {"weight_decay": 0.1},
)

needs_numba = pytest.mark.skipif(util.find_spec("numba") is None, reason="numba is not installed")


@cache
def built_in() -> Registry:
    return load_registry()


@dataclass(frozen=True)
class Case:
    """A training in a few words.

    Attributes
    ----------
    scale : by which the starting weights are multiplied.
    """

    text: str
    loss: str
    optimizer: str
    options: Mapping[str, float] = field(default_factory=dict)
    dtype: str = "float64"
    scale: float = 1.0
    samples: int = SAMPLES

    def __str__(self) -> str:
        return " ".join([self.text, self.loss, self.optimizer, *self.options])

    def learner(self, strategy: str = "elementwise", known: Registry | None = None) -> Learner:
        """Parameters and states before the first step."""
        registry = known or built_in()
        network = build_network(self.text, loss=self.loss, registry=registry)
        model = trainable_network(network)
        turned = turned_parameters(model.system)
        parameters = initialise(network, 0, self.dtype, turned=turned)
        parameters.vector *= self.scale
        derivation = derived(model, build_strategy(strategy, registry))
        optimizer = make_optimizer(self.optimizer, learning_rate=0.03, **self.options)
        return Learner.begin(derivation, parameters, optimizer, model.output)

    def batches(self) -> list[Batches]:
        """All full batches, then the partial one if there is one."""
        generator = np.random.default_rng(1)
        features, outputs = (int(width.split(":")[0]) for width in self.text.split("-")[::2])
        inputs = generator.normal(size=(self.samples, features)).astype(self.dtype)
        targets = np.eye(outputs, dtype=self.dtype)[generator.integers(0, outputs, self.samples)]
        full = self.samples - self.samples % BATCH
        spans = [(0, full, BATCH), (full, self.samples, self.samples - full)]
        return [
            Batches(
                (inputs[first:last], targets[first:last]),
                np.arange(0, last - first, size),
                size,
                np.full((last - first, outputs), np.nan, self.dtype),
            )
            for first, last, size in spans
            if size
        ]


@dataclass(frozen=True)
class Trained:
    """What a training came to, and whether a step was not finite."""

    losses: list[float]
    norms: list[float]
    outputs: list[Array]
    vectors: list[Array]
    is_stopped: bool = False

    def require_like(self, other: Trained, tolerance: float) -> None:
        """Fail where the two differ."""
        assert (self.is_stopped, len(self.losses)) == (other.is_stopped, len(other.losses))
        for mine, theirs in zip(self._arrays, other._arrays, strict=True):
            scale = np.abs(theirs).max(initial=1e-30)
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance * scale)

    @property
    def _arrays(self) -> list[Array]:
        return [np.array(self.losses), np.array(self.norms), *self.outputs, *self.vectors]


def trained(case: Case, backend: str, epochs: int = EPOCHS) -> Trained:
    learner, batches = case.learner(), case.batches()
    steppers = [make_stepper(backend, learner, some.size, keeps_outputs=True) for some in batches]
    steps, outputs = Steps(), []
    vectors = [store.vector for store in (learner.parameters, *learner.states.values())]
    try:
        for _ in range(epochs):
            for stepper, some in zip(steppers, batches, strict=True):
                stepper.run(some, scalars(learner, len(steps) + 1, len(some)), steps)
                assert some.outputs is not None
                outputs.append(some.outputs.copy())
    except NotFinite:
        return Trained(steps.losses, steps.squares, outputs, vectors, is_stopped=True)
    return Trained(steps.losses, steps.squares, outputs, vectors)


def scalars(learner: Learner, first: int, count: int) -> StepScalars:
    """The optimizer's scalars, with a rate that falls."""
    rates = learner.optimizer.learning_rate / np.arange(first, first + count)
    return learner.optimizer.scalars(rates, first)


def cases() -> list[Case]:
    """Every activation in a hidden and in the last layer, with every loss that fits it."""
    optimizers, options = cycle(OPTIMIZERS), cycle(OPTIONS)
    own = {"sigmoid": ["binary_cross_entropy"], "softmax": ["cross_entropy"]}
    return [
        Case(f"3-4:{name}-2:{name}", loss, next(optimizers), next(options))
        for name in built_in().activations
        for loss in (*LOSSES, *own.get(name, []))
    ]


# --- the same training by each


@pytest.mark.parametrize("case", cases(), ids=str)
def test_backends_agree(case: Case, request: pytest.FixtureRequest) -> None:
    by_numpy = trained(case, "numpy")
    assert len(by_numpy.losses) == EPOCHS * -(-SAMPLES // BATCH)
    trained(case, "python").require_like(by_numpy, 1e-10)
    if request.config.getoption("--full") and util.find_spec("numba"):
        trained(case, "numba").require_like(by_numpy, 1e-10)


@needs_numba
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [
        (Case("3-4:swish-2:softmax", "cross_entropy", "adam", OPTIONS[0], samples=6), 1e-10),
        (Case("5-16:elu-9", "huber", "adamw", OPTIONS[0], "float32", samples=6), 1e-4),
    ],
    ids=["numbers", "loops"],
)
def test_numba_agrees(case: Case, tolerance: float) -> None:
    size = size_in_numbers(case.learner().lowered(BATCH))
    assert (size > FEW_NUMBERS) == (case.dtype == "float32"), "one of each kind"
    trained(case, "numba").require_like(trained(case, "numpy"), tolerance)


@needs_numba
def test_it_does_not_matter_which_steps_numba_makes_by_one_call() -> None:
    case = Case("1-1:tanh-1:tanh", "huber", "momentum", {"clip_norm": 1}, "float32")
    learner, (some, _) = case.learner(), case.batches()
    stepper, numbers = (
        make_stepper("numba", learner, BATCH, keeps_outputs=True),
        scalars(learner, 1, 2),
    )
    start, found = learner.parameters.vector.copy(), []
    for spans in ([slice(0, 2)], [slice(0, 1), slice(1, 2)]):
        learner.parameters.vector[:], learner.states["v"].vector[:] = start, 0
        for span in spans:
            part = {name: np.asarray(values)[span] for name, values in numbers.items()}
            stepper.run(some[span], part, Steps())
        found.append(learner.parameters.vector.tobytes())
    assert found[0] == found[1] != start.tobytes()


# --- numbers that overflow


@pytest.mark.parametrize("scale", [1e3, 1e200])
@pytest.mark.parametrize("name", built_in().activations)
def test_overflow_is_alike(name: str, scale: float) -> None:
    loss = "half_squared_error" if scale == 1e3 else "huber"
    case = Case(f"3-4:{name}-2:{name}", loss, "momentum", OPTIONS[0], scale=scale)
    by_numpy = trained(case, "numpy", 1)
    trained(case, "python", 1).require_like(by_numpy, 1e-10)
    assert all(np.isfinite(vector).all() for vector in by_numpy.vectors)


def test_squares_that_overflow_stop_nothing() -> None:
    case = Case(
        "3-4:identity-2:identity", "half_squared_error", "sgd", OPTIONS[0], "float32", 1e8, 6
    )
    by_numpy = trained(case, "numpy", 1)
    assert not by_numpy.is_stopped
    assert max(map(float, by_numpy.norms)) > 1e39, "no number of float32"
    if util.find_spec("numba"):
        trained(case, "numba", 1).require_like(by_numpy, 1e-4)


@pytest.mark.parametrize("backend", ["python", "numpy", pytest.param("numba", marks=needs_numba)])
def test_what_is_not_finite_stops_before_the_update(backend: str) -> None:
    rows = np.array([[1.0], [2.0], [3.0]])
    data = Dataset(rows, rows**2, ("x",), ("y",), None, "data.csv", True)
    settings = Settings(
        batch_size=1, optimizer="sgd", learning_rate=1e80, standardise=False, backend=backend
    )
    network = build_network("1-1:identity", registry=built_in())
    training = Training(network, data, None, settings)
    message = (
        r"epoch 1, step 3 \(batch 3 of 3\): not finite from L = .* on; expected finite numbers; "
        r"use a learning rate below 1e\+80, or standardise the inputs"
    )
    with pytest.raises(NotFiniteError, match=message):
        list(training)
    before = training.parameters.vector.copy()
    assert np.isfinite(before).all() and np.abs(before).max() > 1e80
    with pytest.raises(NotFiniteError, match="step 3"):
        list(training)
    assert np.array_equal(training.parameters.vector, before)


# --- what is refused


def test_python_is_refused_for_float32() -> None:
    learner = Case("2-2:tanh-1:tanh", "huber", "sgd", dtype="float32").learner()
    with pytest.raises(InputError, match="use --dtype float64, or another backend"):
        choose_backend("python", learner, 4, 100)


def by_hand() -> Registry:
    """The built-in plugins and an activation whose value is a function of arrays."""
    cube = Activation(name="cube", formula="z**3", value=lambda z: z * z * z)
    return Registry([*built_in().entries, Entry(cube, "cube.py")])


@pytest.mark.parametrize("backend", ["python", pytest.param("numba", marks=needs_numba)])
def test_functions_of_arrays_are_refused(backend: str) -> None:
    case = Case("2-2:cube-1:cube", "huber", "sgd")
    learner = case.learner(known=by_hand())
    assert choose_backend("auto", learner, 1, 10**12) == "numpy"
    with pytest.raises(InputError, match=r"cube.*use .*numpy"):
        make_stepper(backend, learner, 1, keeps_outputs=False)


@needs_numba
def test_numba_is_refused_for_jacobians_that_are_written_out() -> None:
    learner = Case("5-20:tanh-9:tanh", "huber", "sgd").learner("kronecker")
    assert choose_backend("auto", learner, 8, 10**12) == "numpy"
    with pytest.raises(InputError, match=r"numba does not compute with .*; use the backend numpy"):
        make_stepper("numba", learner, 8, keeps_outputs=False)


def test_numba_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    learner = Case("2-2:tanh-1:tanh", "huber", "sgd").learner()
    with pytest.raises(
        InputError, match=r"pip install 'backprop-workbench\[fast\]'; or use another"
    ):
        make_stepper("numba", learner, 1, keeps_outputs=False)


# --- which is chosen


@pytest.mark.parametrize(
    ("case", "batch", "without_numba"),
    [
        (Case("2-2:sigmoid-1:sigmoid", "half_squared_error", "sgd"), 4, "python"),
        (Case("2-2:sigmoid-1:sigmoid", "huber", "sgd", dtype="float32"), 4, "numpy"),
        (Case("64-128:relu-10:softmax", "cross_entropy", "adam", dtype="float32"), 32, "numpy"),
        (Case("64-128:relu-10:softmax", "cross_entropy", "adam"), 32, "numpy"),
    ],
    ids=str,
)
def test_the_backend_that_is_chosen(
    case: Case, batch: int, without_numba: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = case.learner()
    for installed, steps, expected in (
        (False, 10**9, without_numba),
        (True, 1000, without_numba),
        (True, 10**9, "numba"),
    ):
        monkeypatch.setattr("workbench.core.backends.find_spec", lambda _, i=installed: i or None)
        assert choose_backend("auto", learner, batch, steps) == expected
    assert choose_backend("numpy", learner, batch, 10**9) == "numpy"


# --- memory


@pytest.mark.parametrize(
    ("name", "loss"), [*zip(built_in().activations, cycle(LOSSES), strict=False)]
)
def test_a_step_makes_no_array(name: str, loss: str) -> None:
    steps = 50
    case = Case(f"16-128:{name}-10:{name}", loss, "adam", OPTIONS[2], "float32", samples=255)
    learner, (some,) = case.learner(), case.batches()
    again = Batches(some.samples, np.zeros(steps, np.int64), case.samples)
    stepper = make_stepper("numpy", learner, case.samples, keeps_outputs=False)
    made, numbers = Steps([], []), scalars(learner, 1, steps)
    stepper.run(again, numbers, Steps())
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        stepper.run(again, numbers, made)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096
    assert peak - before < 2**16, "less than a layer, 128 kB: a mask is cast 8192 entries at a time"
