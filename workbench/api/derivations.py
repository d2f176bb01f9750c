"""Derivations from Python: of networks, of equations as people write them, of one expression.

>>> import workbench as wb
>>> print(wb.derive("tr(A X B)", wrt="X").gradient_text("X"))
Aᵀ Bᵀ
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from workbench.api.arguments import Files, Names, files_of, known, names_of
from workbench.calculus.algebra import is_exponential
from workbench.calculus.expressions import walk
from workbench.calculus.functions import Function
from workbench.core.checks.induction import verify_depth
from workbench.core.checks.verify import verify
from workbench.core.emit import emit
from workbench.core.worked_example import worked_example
from workbench.derivation import steps as calculus
from workbench.derivation.differentiate import derive as differentiate
from workbench.derivation.induction import derive_depth as depth
from workbench.derivation.layer import derive_layer as layer
from workbench.derivation.layout import Layout, in_layout
from workbench.derivation.naming import with_named_parts
from workbench.derivation.network import WRITTEN, Network
from workbench.derivation.second_order import along_a_direction, second_order
from workbench.derivation.steps import ELEMENTWISE, Detail, variable_of
from workbench.derivation.system import System
from workbench.derivation.voice import VoiceName
from workbench.errors import InputError, close_matches
from workbench.notation.document import Document, document
from workbench.notation.formats import as_json, as_latex, as_markdown, as_text
from workbench.notation.text import text
from workbench.plugins.build import build_function, build_network, build_strategy
from workbench.plugins.registry import Registry, load_registry

FORMS = ("scalar", "matrix")
KRONECKER = "kronecker"
"""A voice for those who read, a strategy by which Jacobians are written."""

PRODUCT = "The derivative s of the loss along V, and its gradients: the Hessian times V."


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
        return self.arranged()

    def arranged(self, *, numbers: bool = False, seed: int = 0) -> Document:
        """The derivation arranged for reading, with `numbers` a worked example in every line."""
        example = worked_example(self, seed) if numbers else None
        return document(self, self.title, self.layout, self.detail, example)

    def text(self, *, numbers: bool = False) -> str:
        """The derivation in Unicode, as `workbench derive` prints it."""
        return as_text(self.arranged(numbers=numbers), reasons=self.detail is Detail.FULL)

    def latex(self, *, fragment: bool = False, numbers: bool = False) -> str:
        """A LaTeX document, or the `align*` environments alone."""
        return as_latex([self.arranged(numbers=numbers)], fragment=fragment)

    def markdown(self, *, numbers: bool = False) -> str:
        """Markdown for GitHub and Jupyter."""
        return as_markdown(self.arranged(numbers=numbers))

    def html(self, *, fragment: bool = False, numbers: bool = False) -> str:
        """A self-contained page, or with `fragment` one element, as notebooks show it."""
        from workbench.notation.html import as_html

        return as_html([self.arranged(numbers=numbers)], fragment=fragment)

    def code(self, target: str, *, name: str = "") -> str:
        """The gradients as source: "python", "numpy", "torch" or "jax".

        With second derivatives, the Hessian-vector product: the function gives the derivative s of
        the loss along a direction V, and the gradients of s, which are the Hessian times V.
        """
        if not self.hessians:
            return emit(self, target, name=name or "loss_and_gradients")
        wanted = [variable.symbol.name for variable in self.gradients]
        product = differentiate(along_a_direction(self), strategy=self.strategy, wrt=wanted)
        return emit(product, target, name=name or "hessian_vector_product", what=PRODUCT)

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

    def _repr_html_(self) -> str:
        return self.html(fragment=True)

    def _repr_markdown_(self) -> str:
        return self.markdown()


def voice_and_strategy(voice: VoiceName | str, strategy: str) -> tuple[VoiceName, str]:
    """The voice and the strategy, where "kronecker" is the chain rule in the strategy of that name.

    Raises
    ------
    InputError
        If there is no such voice, or it does not go with the strategy.

    >>> voice_and_strategy("kronecker", "elementwise")
    (<VoiceName.CHAIN: 'chain'>, 'kronecker')
    """
    if known("voice", voice, [*VoiceName, KRONECKER]) != KRONECKER:
        return VoiceName(voice), strategy
    if strategy not in (ELEMENTWISE.name, KRONECKER):
        raise InputError(
            f"the voice kronecker tells the strategy of that name, not {strategy}; leave one out"
        )
    return VoiceName.CHAIN, KRONECKER


def derive(
    source: Network | System | str,
    *,
    form: str = "matrix",
    batch: bool = False,
    voice: VoiceName | str = VoiceName.CHAIN,
    strategy: str = "elementwise",
    wrt: Names = (),
    order: int = 1,
    expand: bool | None = None,
    detail: Detail | str = Detail.PAPER,
    layout: Layout | str = Layout.DENOMINATOR,
    plugins: Files = (),
    title: str = "",
) -> Derivation:
    """Derive gradients, Jacobians and Hessians, and check every step.

    Parameters
    ----------
    source : a network or its text, a system, or equations as text.
    form, batch : of a network: "matrix" or "scalar"; a whole batch, a sample a column.
    voice : how the steps are told, "chain", "differentials", "entries" or "kronecker", which is the
        chain rule in the strategy of that name.
    strategy : the name of the way Jacobians are written.
    wrt : the name or names of the symbols asked for; all parameters if empty.
    order : 2 for Hessians as well.
    expand : whether σ′ is replaced by what it was worked out to be; if not given, in networks.
    detail, layout : themselves or their names, "full", "numerator".
    title : what the derivation is called.

    Raises
    ------
    InputError
        If a name is unknown, the text cannot be read, or the network is too large for the scalar
        form.

    >>> derive("x' A x", wrt="x").gradient_text("x")
    '(A + Aᵀ) x'
    """
    detail, layout = detail_of(detail), Layout(known("layout", layout, list(Layout)))
    voice, strategy = voice_and_strategy(voice, strategy)
    chosen = build_strategy(strategy, load_registry(files_of(plugins)))
    wrt = _spelt(names_of(wrt))
    if isinstance(source, str) and WRITTEN.fullmatch(source):
        source = build_network(source, registry=load_registry(files_of(plugins)))
    if isinstance(source, Network):
        system, called = _of_network(source, form, batch)
        title = title or called
    else:
        given = source
        if isinstance(given, str):
            from workbench.api.reading import equations

            given = equations(given, wrt=wrt, plugins=plugins)
        by_parts = chosen.name != ELEMENTWISE.name or voice == VoiceName.ENTRIES
        system = with_named_parts(given.with_parameters(wrt), residuals=by_parts)
        title = title or f"Derivatives of {text(system.loss)}"
    functions = _recognised(system, load_registry(files_of(plugins)))
    plain = differentiate(
        system,
        strategy=chosen,
        wrt=wrt,
        detail=detail,
        voice=voice,
        expand=isinstance(source, Network) if expand is None else expand,
        functions=functions,
    )
    if order == 2:
        plain = second_order(plain, functions)
    elif order != 1:
        raise InputError(f"derivatives of order 1 and 2 are derived, not {order}")
    return written(verify(in_layout(plain, layout)), title, layout, detail)


def _spelt(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        return ()
    from workbench.notation.reading.equations import spelt

    return tuple(map(spelt, names))


def written(
    derivation: calculus.Derivation,
    title: str,
    layout: Layout = Layout.DENOMINATOR,
    detail: Detail = Detail.PAPER,
) -> Derivation:
    """A verified derivation as one that writes itself."""
    parts = {field.name: getattr(derivation, field.name) for field in fields(calculus.Derivation)}
    return Derivation(**parts, title=title, layout=layout, detail=detail)


def derive_depth(
    *,
    activation: str | None = None,
    loss: str | None = None,
    strategy: str = "elementwise",
    detail: Detail | str = Detail.PAPER,
    layout: Layout | str = Layout.DENOMINATOR,
    plugins: Files = (),
) -> Derivation:
    """The gradients of a dense network whose depth N stays a symbol, by induction over its layers.

    Parameters
    ----------
    activation, loss : of every layer and of the network, sigmoid if not given; names of plugins.

    Raises
    ------
    InputError
        If a name is unknown.

    >>> derive_depth().steps[-1].check.passed
    True
    """
    detail, layout = detail_of(detail), Layout(known("layout", layout, list(Layout)))
    registry = load_registry(files_of(plugins))
    pattern = build_network("2-2", activation=activation, loss=loss, registry=registry)
    plain = depth(pattern.activations[-1], pattern.loss, build_strategy(strategy, registry))
    function = pattern.activations[-1]
    title = f"Gradients of a network of N layers, {function.name}, {pattern.loss.name}"
    return written(in_layout(verify_depth(plain), layout), title, layout, detail)


def derive_layer(
    *,
    activation: str | None = None,
    detail: Detail | str = Detail.PAPER,
    layout: Layout | str = Layout.DENOMINATOR,
    plugins: Files = (),
) -> list[Derivation]:
    """One layer a = f(W x + b) behind which the gradient is given; one sample, then a batch.

    Parameters
    ----------
    activation : a name; if not given, f stays undetermined.

    >>> [derivation.title for derivation in derive_layer()]
    ['One layer: one sample', 'One layer: a batch']
    """
    detail, layout = detail_of(detail), Layout(known("layout", layout, list(Layout)))
    registry = load_registry(files_of(plugins))
    function = None if activation is None else build_function(activation, registry)
    strategies = [build_strategy(name, registry) for name in registry.strategies]
    return [
        written(verify(in_layout(plain, layout)), f"One layer: {samples}", layout, detail)
        for plain, samples in zip(
            layer(function, strategies), ("one sample", "a batch"), strict=True
        )
    ]


def _of_network(network: Network, form: str, batch: bool) -> tuple[System, str]:
    if form not in FORMS:
        raise InputError(f"unknown form {form!r}; {close_matches(form, FORMS)}")
    if form == "scalar" and batch:
        raise InputError("the scalar form is for one sample; a batch needs the matrix form")
    system = network.scalar_system() if form == "scalar" else network.system(batch=batch)
    samples = "a batch" if batch else "one sample"
    title = f"Gradients of {network.label}, {network.loss.name}: {form} form, {samples}"
    return system, title


def _recognised(system: System, registry: Registry) -> list[Function]:
    """The activations that results may name: none if there is no exponential to recognise."""
    if not any(is_exponential(node) for e in system.equations for node in walk(e.right)):
        return []
    return [build_function(name, registry) for name in registry.activations]


def detail_of(given: Detail | str) -> Detail:
    """A detail by its name."""
    if isinstance(given, Detail):
        return given
    return Detail[known("detail", given, [detail.name.lower() for detail in Detail]).upper()]
