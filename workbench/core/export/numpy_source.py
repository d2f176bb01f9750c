"""The format numpy-source: one Python file that predicts with NumPy alone."""

from __future__ import annotations

import numpy as np

from workbench.core.emit.code import ATOM, Code, call
from workbench.core.emit.languages import Arrays, Scalars, Sizes
from workbench.core.emit.lowered import calls
from workbench.core.export.forward import Trained
from workbench.core.export.source import (
    ForwardCode,
    module_head,
    number_lines,
    predict_docstring,
)

HELPERS = {
    "Phi": '''def Phi(z):
    """The normal distribution function, entry by entry."""
    return 0.5 * np.frompyfunc(math.erfc, 1, 1)(-z / math.sqrt(2)).astype(z.dtype)


''',
    "erf": '''def erf(z):
    """The error function, entry by entry."""
    return np.frompyfunc(math.erf, 1, 1)(z).astype(z.dtype)


''',
}
"""What only SciPy has as a function of arrays."""

QUIET = '@np.errstate(all="ignore")  # what is not finite shows in the outputs'
"""A line before the function; of a choice, what is not chosen may overflow."""

TAKEN = ("predict", "inputs", "Path", "ARRAYS", *HELPERS)


class _NumPyAlone(Arrays):
    """NumPy's words without SciPy's, in the precision of the parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.constants = Scalars()

    def function(self, name: str, argument: Code) -> Code:
        """A primitive function."""
        return self.helper(name, argument) if name in HELPERS else super().function(name, argument)

    def truth_as_number(self, truth: Code, is_scalar: bool) -> Code:
        """`astype`."""
        return Code(f"{truth.held(ATOM)}.astype({self.like}.dtype)")

    def filled(self, kind: str, sizes: Sizes) -> Code:
        """The matrix of "ones" or "zeros"."""
        return call(f"np.{kind}", f"({', '.join(sizes)})", f"{self.like}.dtype")


def numpy_source(trained: Trained, *, embedded: bool) -> str:
    """A module with a function `predict`, the parameters in it or in an .npz file beside it.

    Each line of the forward pass stands below the formula that it computes, in the run's
    precision; inputs are prepared in double precision.
    """
    code = ForwardCode(trained, _NumPyAlone(), TAKEN)
    uses_math = bool(code.language.helpers) or calls(code.lines, "math.")
    imports = ["import numpy as np"]
    lines = [
        *module_head(trained, "NumPy", imports, uses_math=uses_math, embedded=embedded),
        *code.helpers(HELPERS),
        QUIET,
        *_predict(trained, code),
        "",
        "",
        *_arrays(trained, code, embedded),
        "",
    ]
    return "\n".join(lines)


def _predict(trained: Trained, code: ForwardCode) -> list[str]:
    features = trained.model.input_width
    first = np.float64 if trained.preparing else trained.dtype
    return [
        "def predict(inputs):",
        *predict_docstring(trained, 4),
        f"    {code.given} = np.asarray(inputs, dtype=np.{np.dtype(first)}).T",
        f"    if {code.given}.ndim != 2 or len({code.given}) != {features}:",
        f'        raise ValueError(f"inputs of shape {{{code.given}.T.shape}}; '
        f'expected (samples, {features})")',
        *code.body_lines(4, f".astype(np.{trained.dtype})"),
        f"    return {code.output}.T",
    ]


def _arrays(trained: Trained, code: ForwardCode, embedded: bool) -> list[str]:
    """Every array as a global variable, a column with two axes."""
    lines = [] if embedded else ['ARRAYS = np.load(Path(__file__).with_suffix(".npz"))']
    for name, variable in code.arrays.items():
        array = trained.arrays[name]
        column = "[:, np.newaxis]" if array.ndim == 1 else ""
        if embedded:
            lines += [
                f"{variable} = np.array(",
                *number_lines(array, 4),
                f"    dtype=np.{array.dtype},",
                f"){column}",
            ]
        else:
            lines.append(f'{variable} = ARRAYS["{name}"]{column}')
    return lines
