"""A derivation as code: plain Python, NumPy, a PyTorch function, a JAX function."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from workbench.calculus.expressions import describe
from workbench.derivation.steps import Derivation
from workbench.errors import InputError, close_matches

TARGETS = ("python", "numpy", "torch", "jax")
"""The kinds of code. Each is written by a function of a module here, `python_code`."""


def emit(
    derivation: Derivation, target: str, *, name: str = "loss_and_gradients", what: str = ""
) -> str:
    """The source of a module that computes a loss and its derived gradients.

    The code follows the paper: matrices have two axes, a column is (n, 1), numbers have none. Every
    size is read off the shapes of the arguments, which are held against each other. Beside each
    group of lines stands the formula that it computes.

    Parameters
    ----------
    target : "python" (floats alone, for systems of scalars) and "numpy" give a function that
        returns the loss and its gradients; "torch" (a `torch.autograd.Function`) and "jax" (a
        `jax.custom_vjp`) one that returns the loss and is differentiated by the derivation.
    name : of that function.
    what : the first line of its docstring; "The loss L and its gradients." if not given.

    Raises
    ------
    InputError
        If the target is unknown, the name is no identifier, the last equation is no scalar, a
        system with matrices is to become plain Python, or there is an operation or a size that
        the target cannot compute.

    >>> from workbench.calculus.algebra import power
    >>> from workbench.derivation.differentiate import derive
    >>> from workbench.calculus.expressions import Kind, symbol
    >>> from workbench.derivation.system import Equation, System
    >>> square = Equation(symbol("L", Kind.LOSS), power(symbol("w", Kind.PARAMETER), 2))
    >>> source = emit(derive(System((square,))), "python")
    >>> print(*[line for line in source.splitlines() if line.startswith("    dL")])
        dL_dw = 2 * w
    """
    if target not in TARGETS:
        raise InputError(f"unknown target {target!r}; {close_matches(target, TARGETS)}")
    loss = derivation.system.loss
    if not loss.is_scalar:
        raise InputError(
            f"--emit needs a scalar at the end, such as sum({loss.symbol.name}); "
            f"{loss.symbol.name} is {describe(loss.shape)}"
        )
    summary = what or f"The loss {loss.symbol.name} and its gradients."
    writer = f"{target}_code"
    write: Callable[[Derivation, str, str], str]
    write = getattr(import_module(f"{__name__}.{writer}"), writer)
    return write(derivation, name, summary)
