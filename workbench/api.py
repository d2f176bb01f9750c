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

from workbench.calculus import derivation as calculus
from workbench.calculus.derivation import Detail
from workbench.calculus.differentiate import derive as differentiate
from workbench.calculus.layout import Layout, in_layout
from workbench.calculus.network import Network
from workbench.core.program import Program, compile_network
from workbench.core.verify import verify
from workbench.errors import InputError, close_matches
from workbench.notation.document import Document, document
from workbench.notation.formats import as_json, as_latex, as_markdown, as_text
from workbench.notation.text import text
from workbench.plugins.build import build_network, build_strategy
from workbench.plugins.registry import load_registry

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
        return as_json(self, title=self.title, layout=self.layout.value, strategy=self.strategy.name)

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
    title = f"Gradients of {network} with {network.loss.name}, {form} form, {samples}"
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
