"""Numbers of a worked example, as a person follows them by hand: few digits, few entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10

from workbench.calculus.expressions import Expression

DIGITS = 3
"""Significant digits that are shown."""

MOST_SHOWN = 6
"""Rows or columns of a matrix that are shown; of a larger one the first and the last."""

ACROSS, DOWN, BOTH = "⋯", "⋮", "⋱"
"""What stands for the entries left out."""

Place = tuple[tuple[str, float | tuple[float, ...]], ...]
"""Names with where they stand: an index counted from 1, or a variable's number or column."""


@dataclass(frozen=True, slots=True)
class Value:
    """The numbers of an expression.

    Attributes
    ----------
    rows : the entries; of a formula by entries, the one entry at the place.
    place : what free indices and variables are taken to be, if there are any.
    parts : the numbers of what a scalar formula is made of, where it is made of scalars only.
    """

    rows: tuple[tuple[float, ...], ...]
    place: Place = ()
    parts: tuple[tuple[Expression, float], ...] = ()

    @property
    def is_scalar(self) -> bool:
        """Whether this is one number."""
        return len(self.rows) == 1 and len(self.rows[0]) == 1

    @property
    def is_column(self) -> bool:
        """Whether this has one column."""
        return len(self.rows[0]) == 1


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """Real numbers for every symbol of a derivation and for every line.

    Attributes
    ----------
    sizes : the size of each named dimension.
    symbols : the values of the symbols, named gradients among them.
    lines : by the step's number and the stage's, from 0; lines without a number are left out.
    """

    sizes: Mapping[str, int]
    symbols: Mapping[Expression, Value]
    lines: Mapping[tuple[int, int], Value]


def figure(number: float) -> tuple[str, int]:
    """A number to a few significant digits, as its digits and a power of ten.

    >>> figure(-0.12345), figure(2.0), figure(0.0000123), figure(1e-17)
    (('−0.123', 0), ('2', 0), ('1.23', -5), ('1', -17))
    """
    if number == 0:
        return "0", 0
    exponent = floor(log10(float(f"{abs(number):.{DIGITS - 1}e}")))
    power = 0 if -DIGITS <= exponent <= DIGITS else exponent
    places = max(DIGITS - 1 - exponent + power, 0)
    shown = f"{number / 10.0**power:.{places}f}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return shown.replace("-", "−"), power


def cells(value: Value) -> list[list[float | str]]:
    """The entries row by row, those in the middle of a large matrix left out.

    >>> cells(Value(((1.0,) * 9,)))
    [[1.0, 1.0, 1.0, 1.0, '⋯', 1.0]]
    """
    found: list[list[float | str]] = [_elided(list(row), ACROSS) for row in value.rows]
    if len(found) <= MOST_SHOWN:
        return found
    between: list[float | str] = [BOTH if cell == ACROSS else DOWN for cell in found[0]]
    return [*found[: MOST_SHOWN - 2], between, found[-1]]


def _elided(row: list[float], mark: str) -> list[float | str]:
    if len(row) <= MOST_SHOWN:
        return list(row)
    return [*row[: MOST_SHOWN - 2], mark, row[-1]]


_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def value_lines(value: Value) -> list[str]:
    r"""A value in Unicode; a matrix takes as many lines as it has rows.

    >>> value_lines(Value(((0.5,), (-0.00001,)), (("i", 1),)))
    ['(0.5, −1×10⁻⁵)ᵀ  at i=1']
    >>> print("\n".join(value_lines(Value(((1, 2), (-3, 4))))))
    ⎡  1  2 ⎤
    ⎣ −3  4 ⎦
    """
    place = "  at " + ", ".join(f"{name}={_where(at)}" for name, at in value.place)
    place = place if value.place else ""
    rows = [[cell_text(cell) for cell in row] for row in cells(value)]
    if value.is_column or len(rows) == 1:
        return [_listed([cell for row in rows for cell in row], value.is_column) + place]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    found = []
    for number, row in enumerate(rows):
        shown = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        ends = "⎡⎤" if number == 0 else "⎣⎦" if number == len(rows) - 1 else "⎢⎥"
        found.append(f"{ends[0]} {shown} {ends[1]}")
    return [found[0] + place, *found[1:]]


def _listed(entries: Sequence[str], is_column: bool) -> str:
    if len(entries) == 1:
        return entries[0]
    return f"({', '.join(entries).replace(DOWN, ACROSS)}){'ᵀ' if is_column else ''}"


def cell_text(cell: float | str) -> str:
    """An entry of `cells` in Unicode.

    >>> cell_text(-0.00001)
    '−1×10⁻⁵'
    """
    if isinstance(cell, str):
        return cell
    digits, exponent = figure(cell)
    return digits + (f"×10{str(exponent).translate(_SUPERSCRIPTS)}" if exponent else "")


def _where(at: float | tuple[float, ...]) -> str:
    return (
        _listed([cell_text(part) for part in at], True) if isinstance(at, tuple) else cell_text(at)
    )


_LATEX_DOTS = {ACROSS: r"\cdots", DOWN: r"\vdots", BOTH: r"\ddots"}


def value_latex(value: Value) -> str:
    r"""A value in LaTeX.

    >>> value_latex(Value(((0.5,), (-0.00001,)), (("i", 1),)))
    '\\begin{bmatrix} 0.5 \\\\ -1 \\times 10^{-5} \\end{bmatrix} \\quad (i = 1)'
    """
    place = "".join(rf" \quad ({name} = {_latex_where(at)})" for name, at in value.place)
    rows = [[cell_latex(cell) for cell in row] for row in cells(value)]
    if value.is_scalar:
        return rows[0][0] + place
    body = r" \\ ".join(" & ".join(row) for row in rows)
    return rf"\begin{{bmatrix}} {body} \end{{bmatrix}}{place}"


def cell_latex(cell: float | str) -> str:
    r"""An entry of `cells` in LaTeX.

    >>> cell_latex(-0.00001)
    '-1 \\times 10^{-5}'
    """
    if isinstance(cell, str):
        return _LATEX_DOTS[cell]
    digits, exponent = figure(cell)
    return digits.replace("−", "-") + (rf" \times 10^{{{exponent}}}" if exponent else "")


def _latex_where(at: float | tuple[float, ...]) -> str:
    if isinstance(at, tuple):
        return f"({', '.join(map(cell_latex, at))})^{{\\top}}"
    return cell_latex(at)


def cell_mathml(cell: float | str) -> str:
    """An entry of `cells` in MathML.

    >>> cell_mathml(-0.5)
    '<mrow><mo form="prefix">−</mo><mn>0.5</mn></mrow>'
    """
    if isinstance(cell, str):
        return f"<mo>{cell}</mo>"
    digits, exponent = figure(cell)
    shown = f"<mn>{digits.removeprefix('−')}</mn>"
    if digits.startswith("−"):
        shown = f'<mo form="prefix">−</mo>{shown}'
    if exponent:
        sign = "<mo>−</mo>" if exponent < 0 else ""
        power = f"<mrow>{sign}<mn>{abs(exponent)}</mn></mrow>"
        shown += f"<mo>×</mo><msup><mn>10</mn>{power}</msup>"
    return shown if shown.startswith("<mn>") and not exponent else f"<mrow>{shown}</mrow>"
