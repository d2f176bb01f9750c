"""The functions that a text may use by name: its own, those of plugins, and the primitives."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.calculus.algebra import divide
from workbench.calculus.functions import COLUMN_VARIABLE, EXP, PRIMITIVES, Function
from workbench.calculus.matrices import total
from workbench.errors import close_matches
from workbench.notation.greek import GREEK
from workbench.notation.reading.formulas import Lookup
from workbench.notation.reading.vocabulary import ALIASES, BUILTINS, KNOWN


def softmax() -> Function:
    """The softmax of each column, where no plugin gives one.

    >>> softmax().columnwise
    True
    """
    exponential = EXP(COLUMN_VARIABLE)
    formula = divide(exponential, total(exponential))
    return Function("softmax", formula, symbol="softmax", latex=r"\operatorname{softmax}")


@dataclass
class Functions:
    """Every elementwise and columnwise function that a text may use.

    Attributes
    ----------
    lookup : finds the functions that plugins give.
    undetermined : the names that the text declares as `elementwise`.
    """

    lookup: Lookup
    undetermined: set[str] = field(default_factory=set)
    _found: dict[str, Function | None] = field(default_factory=dict)

    def find(self, name: str) -> Function | None:
        """The function of this name, or whose symbol has this name.

        >>> Functions(lambda name: None).find("tanh").name
        'tanh'
        """
        if name not in self._found:
            self._found[name] = self._look_up(name)
        return self._found[name]

    def _look_up(self, name: str) -> Function | None:
        if name in self.undetermined:
            return Function(name, symbol=name, latex=_latex(name))
        letters = [GREEK[name]] if name in GREEK else []
        given = (self.lookup(candidate) for candidate in (name, *letters))
        found = next((function for function in given if function is not None), None)
        if found is None and name == "softmax":
            return softmax()
        return found or PRIMITIVES.get(name)

    def is_function(self, name: str) -> bool:
        """Whether a name is that of a function."""
        return name in BUILTINS or name in ALIASES or self.find(name) is not None

    def unknown(self, name: str) -> str:
        """What to say of a call of an unknown function."""
        known = {*KNOWN, *self.undetermined, *getattr(self.lookup, "names", ())}
        hint = close_matches(name, known)
        return (
            f"unknown function {name!r}; {hint}. Declare `elementwise {name}` for any function, or "
            f"write {name} * (…) for a product"
        )


def _latex(name: str) -> str:
    return name if len(name) == 1 else rf"\operatorname{{{name}}}"
