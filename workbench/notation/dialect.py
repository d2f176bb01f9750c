"""How each part of a formula looks: what a dialect such as text or LaTeX decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from re import fullmatch
from typing import NamedTuple

from workbench.calculus.expressions import Expression
from workbench.calculus.functions import Function

SUM, PRODUCT, PREFIX, POWER, ATOM = range(5)
"""How tightly a piece of mathematics holds together, loosest first."""


class Piece(NamedTuple):
    """Rendered mathematics with how tightly it holds together."""

    text: str
    level: int


class Name(NamedTuple):
    """A symbol's name in parts: `W12` is W with subscript 12."""

    letter: str
    subscript: str


def split_name(name: str) -> Name:
    """Split a name into its letters and its subscript, what follows an underscore or a number.

    >>> split_name("W12")
    Name(letter='W', subscript='12')
    >>> split_name("net_o1")
    Name(letter='net', subscript='o1')
    >>> split_name("B")
    Name(letter='B', subscript='')
    """
    match = fullmatch(r"([^\W\d_]+)_?(\d+[a-z]?)|([^\W_]+)_(.+)", name)
    if match is None:
        return Name(name, "")
    return Name(match[1], match[2]) if match[1] else Name(match[3], match[4])


class Dialect(ABC):
    """Walks an expression; subclasses give the look of each part."""

    minus = "−"
    product_sign = " "
    chain_sign = " · "
    hadamard_sign = " ⊙ "
    kron_sign = " ⊗ "
    slash_fractions = True

    # what a dialect decides

    @abstractmethod
    def parenthesise(self, text: str) -> str:
        """The text in parentheses."""

    @abstractmethod
    def name(self, name: str) -> str:
        """A symbol's name."""

    @abstractmethod
    def fraction_number(self, value: Fraction) -> Piece:
        """A positive exact number."""

    @abstractmethod
    def quotient(self, above: Piece, below: Piece, elementwise: bool) -> Piece:
        """One thing divided by another."""

    @abstractmethod
    def superscript(self, base: str, exponent: Fraction) -> Piece:
        """A power."""

    @abstractmethod
    def root(self, radicand: str) -> Piece:
        """A square root."""

    @abstractmethod
    def transposed(self, base: str) -> str:
        """A transpose."""

    @abstractmethod
    def inverted(self, base: str, transposed: bool) -> str:
        """An inverse, or its transpose."""

    @abstractmethod
    def inner_product(self, left: str, right: str) -> str:
        """⟨A, B⟩."""

    @abstractmethod
    def norm(self, inner: str) -> str:
        """The square root of the sum of squares."""

    @abstractmethod
    def hadamard_power(self, base: str, exponent: Fraction) -> Piece:
        """An elementwise power of a matrix, which is not the matrix's own power."""

    @abstractmethod
    def stack(self, parts: Sequence[str], vertical: bool) -> str:
        """Matrices above or beside each other."""

    @abstractmethod
    def part(self, base: str, ranges: Sequence[str]) -> str:
        """A block: the rows and columns of a matrix in these ranges, counted from 1."""

    @abstractmethod
    def commutation_matrix(self, rows: str, columns: str) -> str:
        """The matrix K that takes vec(A) to vec(Aᵀ)."""

    @abstractmethod
    def exponential(self, exponent: Expression) -> Piece:
        """A power of e."""

    @abstractmethod
    def call(self, function: str, inner: str) -> str:
        """A function of something."""

    @abstractmethod
    def function(self, function: Function) -> str:
        """A function's symbol, with its primes."""

    @abstractmethod
    def partial(self, of: str, by: str, *, total: bool = False) -> Piece:
        """A partial derivative, or a total one; d/dz itself where `of` is empty."""

    @abstractmethod
    def second_partial(self, of: str, by: str, scalar: bool) -> Piece:
        """A second derivative, ∂²L/∂x∂xᵀ, or ∂²L/∂x² by a scalar."""

    @abstractmethod
    def indexed(self, base: str, indices: Sequence[str]) -> str:
        """An entry."""

    @abstractmethod
    def summation(self, index: str, body: str) -> str:
        """A sum over an index."""

    @abstractmethod
    def product_over(self, index: str, first: str, last: str, body: str) -> str:
        """A product over a subscript, its factors from left to right."""

    @abstractmethod
    def kronecker_delta(self, indices: Sequence[str]) -> str:
        """A Kronecker delta."""

    @abstractmethod
    def cases(self, condition: str, yes: str, no: str) -> Piece:
        """A choice between two branches."""

    @abstractmethod
    def special(self, what: str, detail: str = "") -> str:
        """A sign with a look of its own: ones, identity, absolute, max, min, sum, vec, at_least,
        trace, det, dots."""
