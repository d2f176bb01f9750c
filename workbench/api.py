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

from numpy.typing import NDArray

from workbench.calculus import derivation as calculus
from workbench.calculus.derivation import Detail
from workbench.calculus.differentiate import derive as differentiate
from workbench.calculus.layout import Layout, in_layout
from workbench.calculus.network import Network
from workbench.core.data import Dataset, Preparation
from workbench.core.data import load as load_data
from workbench.core.gradcheck import Verdict
from workbench.core.gradcheck import gradcheck as check_gradients
from workbench.core.inference import ForwardPass
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
from workbench.plugins.registry import load_registry

Array = NDArray[Any]

FORMS = ("scalar", "matrix")


@dataclass(frozen=True)
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
        """The gradient of a parameter in Unicode.

        Raises
        ------
        InputError
            If no such parameter was derived.
        """
        found = {parameter.symbol.name: result for parameter, result in self.gradients.items()}
        if name not in found:
            raise InputError(f"no gradient of {name!r}; {close_matches(name, found)}")
        return text(found[name])

    def _repr_markdown_(self) -> str:
        return self.markdown()


def network(
    architecture: str,
    *,
    activation: str | None = None,
    loss: str | None = None,
    plugins: Sequence[str | Path] = (),
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
    registry = load_registry([Path(file) for file in plugins])
    return build_network(architecture, activation=activation, loss=loss, registry=registry)


def derive(
    network: Network,
    *,
    form: str = "matrix",
    batch: bool = False,
    strategy: str = "elementwise",
    wrt: Sequence[str] = (),
    detail: Detail = Detail.PAPER,
    layout: Layout = Layout.DENOMINATOR,
    plugins: Sequence[str | Path] = (),
) -> Derivation:
    """Derive a network's gradients and check every step by numbers.

    Parameters
    ----------
    form : "matrix", or "scalar" for networks of a few dozen parameters.
    batch : a whole batch as a matrix, a sample a column.
    strategy : the name of the way Jacobians are written.
    wrt : the parameters asked for; all if empty.

    Raises
    ------
    InputError
        If a name is unknown or the network is too large for the scalar form.

    >>> derive(network("2-1"), form="scalar").gradient_text("w0")
    'δ₀ x₀'
    """
    if form not in FORMS:
        raise InputError(f"unknown form {form!r}; {close_matches(form, FORMS)}")
    if form == "scalar" and batch:
        raise InputError("the scalar form is for one sample; a batch needs the matrix form")
    system = network.scalar_system() if form == "scalar" else network.system(batch=batch)
    registry = load_registry([Path(file) for file in plugins])
    chosen = build_strategy(strategy, registry)
    plain = differentiate(system, strategy=chosen, wrt=wrt, detail=detail)
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


def program(network: Network, *, batch_size: int, **settings: Any) -> Program:
    """Compile a network's forward and backward pass; see `workbench.core.program`.

    >>> program(network("2-2-1"), batch_size=4).batch_size
    4
    """
    return compile_network(network, batch_size=batch_size, **settings)


def gradcheck(
    network: Network,
    *,
    strategies: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    **settings: Any,
) -> list[Verdict]:
    """Hold the gradients of a network's program against numbers; see `workbench.core.gradcheck`.

    Parameters
    ----------
    strategies : their names; all if empty.

    >>> {verdict.verdict for verdict in gradcheck(network("2-2-1"))}
    {'pass'}
    """
    registry = load_registry([Path(file) for file in plugins])
    names = strategies or tuple(registry.strategies)
    chosen = [build_strategy(name, registry) for name in names]
    return list(check_gradients(network, chosen, **settings))


def train(
    network: Network,
    data: str | Path | Dataset,
    *,
    target: str | Sequence[str] = (),
    strategy: str = "elementwise",
    plugins: Sequence[str | Path] = (),
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
    targets = (target,) if isinstance(target, str) else tuple(target)
    dataset = data if isinstance(data, Dataset) else load_data(data, targets=targets)
    registry = load_registry([Path(file) for file in plugins])
    chosen = build_strategy(strategy, registry)
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


def load(run: str | Path, *, plugins: Sequence[str | Path] = ()) -> Model:
    """Load the model of a run directory.

    Plugin files are programs: those that the run was trained with run only if they are named.

    Raises
    ------
    InputError
        If the run cannot be read, or was trained with a plugin file that is not named.
    """
    found = load_run(run)
    given = {Path(file).name for file in plugins}
    for file in found.plugin_files:
        if file.name not in given:
            raise InputError(
                f"the run {found.path} was trained with the plugin file {file}; a plugin file is a "
                f"program, so name it to have it run: --plugin {file}"
            )
    registry = load_registry([Path(file) for file in plugins])
    built = build_network(found.network, loss=found.loss, registry=registry)
    return Model(built, found.preparation, ForwardPass(built, found.parameters(built)))
