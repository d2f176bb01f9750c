"""The public Python API: networks by name, derivations that show themselves, programs.

>>> import workbench as wb
>>> derivation = wb.derive(wb.network("2-2-1"))
>>> print(derivation.gradient_text("W2"))
δ₂ x₁ᵀ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike, NDArray

from workbench.calculus import derivation as calculus
from workbench.calculus.derivation import Detail, variable_of
from workbench.calculus.differentiate import derive as differentiate
from workbench.calculus.layout import Layout, in_layout
from workbench.calculus.network import Network
from workbench.core.data import Dataset, Preparation
from workbench.core.data import load as load_data
from workbench.core.gradcheck import MOST_ENTRIES, Method, Verdict
from workbench.core.gradcheck import gradcheck as check_gradients
from workbench.core.inference import ForwardPass
from workbench.core.parameters import Parameters
from workbench.core.program import Program, compile_network
from workbench.core.runs import load_run
from workbench.core.training import Settings, Training
from workbench.core.training import train as start_training
from workbench.core.verify import verify
from workbench.errors import InputError, close_matches
from workbench.notation.document import Document, document
from workbench.notation.formats import as_json, as_latex, as_markdown, as_text
from workbench.notation.text import text
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import Registry, load_registry

Array = NDArray[Any]
Names = str | Sequence[str]
Files = str | Path | Sequence[str | Path]

FORMS = ("scalar", "matrix")


@dataclass(frozen=True, repr=False)
class Derivation(calculus.Derivation):
    """A verified derivation that writes itself; in a notebook it shows as mathematics.

    Attributes
    ----------
    title : what was derived.
    layout, detail : how it is written.
    """

    title: str = ""
    layout: Layout = Layout.DENOMINATOR
    detail: Detail = Detail.PAPER

    @property
    def document(self) -> Document:
        """The derivation arranged for reading."""
        return document(self, self.title, self.layout, self.detail)

    def text(self) -> str:
        """The derivation in Unicode, as `workbench derive` prints it."""
        return as_text(self.document, reasons=self.detail is Detail.FULL)

    def latex(self, *, fragment: bool = False) -> str:
        """A LaTeX document, or the `align*` environments alone."""
        return as_latex([self.document], fragment=fragment)

    def markdown(self) -> str:
        """Markdown for GitHub and Jupyter."""
        return as_markdown(self.document)

    def json(self) -> str:
        """The steps, their checks and the gradients as one JSON object."""
        return as_json(
            self, title=self.title, layout=self.layout.value, strategy=self.strategy.name
        )

    def gradient_text(self, name: str) -> str:
        """The gradient of a parameter in Unicode, in the derivation's layout.

        Raises
        ------
        InputError
            If no such parameter was derived.
        """
        found = {variable_of(step.goal).symbol.name: step.result for step in self.results}
        if name not in found:
            raise InputError(f"no gradient of {name!r}; {close_matches(name, found)}")
        return text(found[name])

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<{self.title}: {len(self.steps)} steps>"

    def _repr_markdown_(self) -> str:
        return self.markdown()


def network(
    architecture: str,
    *,
    activation: str | None = None,
    loss: str | None = None,
    plugins: Files = (),
) -> Network:
    """A network such as `2-2-1` or `64-32:tanh-10:softmax`.

    Parameters
    ----------
    activation : of the layers that name none, sigmoid if not given.
    loss : its name; cross-entropy after softmax, else half the squared error, if not given.
    plugins : plugin files to load besides those installed.

    Raises
    ------
    InputError
        If the text or a name in it cannot be understood.

    >>> network("2-3:relu-1").parameter_count
    13
    """
    registry = _registry(plugins)
    return build_network(architecture, activation=activation, loss=loss, registry=registry)


def derive(
    network: Network,
    *,
    form: str = "matrix",
    batch: bool = False,
    strategy: str = "elementwise",
    wrt: Names = (),
    detail: Detail | str = Detail.PAPER,
    layout: Layout | str = Layout.DENOMINATOR,
    plugins: Files = (),
) -> Derivation:
    """Derive a network's gradients and check every step by numbers.

    Parameters
    ----------
    form : "matrix", or "scalar" for networks of a few dozen parameters.
    batch : a whole batch as a matrix, a sample a column.
    strategy : the name of the way Jacobians are written.
    wrt : the name or names of the parameters asked for; all if empty.
    detail, layout : themselves or their names, "full", "numerator".

    Raises
    ------
    InputError
        If a name is unknown or the network is too large for the scalar form.

    >>> derive(network("2-1"), form="scalar").gradient_text("w0")
    'δ₀ x₀'
    """
    detail, layout = _detail(detail), _layout(layout)
    if form not in FORMS:
        raise InputError(f"unknown form {form!r}; {close_matches(form, FORMS)}")
    if form == "scalar" and batch:
        raise InputError("the scalar form is for one sample; a batch needs the matrix form")
    system = network.scalar_system() if form == "scalar" else network.system(batch=batch)
    chosen = build_strategy(strategy, _registry(plugins))
    plain = differentiate(system, strategy=chosen, wrt=_names(wrt), detail=detail)
    checked = verify(in_layout(plain, layout))
    samples = "a batch" if batch else "one sample"
    title = f"Gradients of {network.label}, {network.loss.name}: {form} form, {samples}"
    return Derivation(
        checked.system,
        checked.strategy,
        checked.steps,
        checked.backward,
        checked.gradients,
        title,
        layout,
        detail,
    )


def program(
    network: Network,
    *,
    batch_size: int,
    dtype: DTypeLike = "float64",
    strategy: str = "elementwise",
    parameters: Parameters | None = None,
    gradients: Parameters | None = None,
    plugins: Files = (),
) -> Program:
    """Compile a network's forward and backward pass; see `workbench.core.program`.

    Parameters
    ----------
    dtype : float32 or float64, of every array.
    strategy : the name of the way Jacobians are written.
    parameters, gradients : arrays to compute with; zeros if not given.

    Raises
    ------
    InputError
        If a name is unknown, the batch is empty or the program would need too much memory.

    >>> program(network("2-2-1"), batch_size=4).batch_size
    4
    """
    chosen = build_strategy(strategy, _registry(plugins))
    return compile_network(
        network,
        batch_size=batch_size,
        dtype=dtype,
        strategy=chosen,
        parameters=parameters,
        gradients=gradients,
    )


def gradcheck(
    network: Network,
    *,
    strategies: Names = (),
    batch_size: int = 4,
    seed: int = 0,
    method: Method | str = Method.AUTO,
    step: float | None = None,
    entries: int = MOST_ENTRIES,
    plugins: Files = (),
) -> list[Verdict]:
    """Hold the gradients of a network's program against numbers; see `workbench.core.gradcheck`.

    Parameters
    ----------
    strategies : the name or names of those to check; all if empty.
    method : "auto", "complex" or "central".

    >>> {verdict.verdict for verdict in gradcheck(network("2-2-1"))}
    {'pass'}
    """
    registry = _registry(plugins)
    names = _names(strategies) or tuple(registry.strategies)
    verdicts = check_gradients(
        network,
        [build_strategy(name, registry) for name in names],
        batch_size=batch_size,
        seed=seed,
        method=_method(method),
        step=step,
        entries=entries,
    )
    return list(verdicts)


def train(
    network: Network,
    data: str | Path | Dataset,
    *,
    target: Names = (),
    strategy: str = "elementwise",
    plugins: Files = (),
    **settings: Any,
) -> Training:
    """A training ready to be iterated: each epoch gives its record.

    Parameters
    ----------
    data : a data set, or a file to read one from.
    target : the column or columns to predict; the last if empty.
    settings : fields of `workbench.core.training.Settings`.

    >>> training = train(network("2-2-1"), "examples/data/xor.csv", epochs=2, batch_size=4)
    >>> [record.epoch for record in training]
    [1, 2]
    """
    dataset = data if isinstance(data, Dataset) else load_data(data, targets=_names(target))
    chosen = build_strategy(strategy, _registry(plugins))
    return start_training(network, dataset, Settings(strategy=chosen, **settings))


@dataclass(frozen=True)
class Model:
    """A trained network, with the preparation that its inputs get.

    Attributes
    ----------
    preparation : how raw inputs become the network's; the classes, if it answers with classes.
    """

    network: Network
    preparation: Preparation
    forward_pass: ForwardPass

    def predict(self, data: str | Path | Array, *, header: bool | None = None) -> Array:
        """The outputs (samples, outputs) for a file or raw inputs (samples, features)."""
        if isinstance(data, str | Path):
            return self.forward_pass.predict(self.preparation.read(data, header=header))
        return self.forward_pass.predict(self.preparation.apply(data))


def load(run: str | Path, *, plugins: Files = ()) -> Model:
    """Load the model of a run directory.

    Plugin files are programs: those that the run was trained with run only if they are named.

    Raises
    ------
    InputError
        If the run cannot be read, or was trained with a plugin file that is not named.
    """
    found = load_run(run)
    given = {file.name for file in _files(plugins)}
    for file in found.plugin_files:
        if file.name not in given:
            raise InputError(
                f"the run {found.path} was trained with the plugin file {file}; a plugin file is a "
                f"program, so name it to have it run: --plugin {file}"
            )
    built = build_network(found.network, loss=found.loss, registry=_registry(plugins))
    return Model(built, found.preparation, ForwardPass(built, found.parameters(built)))


def _names(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _files(given: Files) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(file) for file in given]


def _registry(plugins: Files) -> Registry:
    return load_registry(_files(plugins))


def _layout(given: Layout | str) -> Layout:
    return Layout(_known("layout", given, [layout.value for layout in Layout]))


def _method(given: Method | str) -> Method:
    return Method(_known("method", given, [method.value for method in Method]))


def _detail(given: Detail | str) -> Detail:
    if isinstance(given, Detail):
        return given
    return Detail[_known("detail", given, [detail.name.lower() for detail in Detail]).upper()]


def _known(what: str, given: str, names: Sequence[str]) -> str:
    """A name in lower case, if it is known."""
    name = str(given).lower()
    if name not in names:
        raise InputError(f"unknown {what} {given!r}; {close_matches(name, names)}")
    return name
