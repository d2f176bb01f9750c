"""Names of symbols as Python identifiers: each its own, none that Python or a linter objects to."""

from __future__ import annotations

import builtins
import re
import unicodedata
from keyword import iskeyword, issoftkeyword

RESERVED = frozenset(
    {
        *dir(builtins),
        *("np", "jax", "jnp", "torch", "math", "special", "partial"),
        *("Any", "Callable", "NDArray", "NamedTuple", "Gradients", "once_differentiable"),
        *("ctx", "cotangent", "saved", "gradients", "name", "array", "shape"),
        *("count", "index"),  # methods of a NamedTuple
        *("l", "O", "I"),  # easily taken for digits
    }
)


class Names:
    """Gives out identifiers, each once.

    >>> names = Names()
    >>> names.new("W1"), names.new("lambda"), names.new("net_{o1}"), names.new("W1")
    ('W1', 'lambda_', 'net_o1', 'W1_2')
    """

    def __init__(self, *taken: str) -> None:
        self._taken = {*taken}

    def new(self, wanted: str) -> str:
        """An identifier like the wanted name that nothing else has."""
        found = base = identifier(wanted)
        again = 1
        while found in self._taken:
            again += 1
            found = f"{base}_{again}"
        self._taken.add(found)
        return found

    def numbered(self, wanted: str) -> str:
        """An identifier that ends in a number, counting from 1."""
        base = identifier(wanted).rstrip("_")
        place = 1
        while f"{base}{place}" in self._taken:
            place += 1
        return self.new(f"{base}{place}")


def identifier(name: str) -> str:
    """A name with what Python does not allow in it replaced.

    >>> identifier("x̂′"), identifier("2a"), identifier("theta")
    ('x_hat_prime', 'v2a', 'theta')
    """
    plain = unicodedata.normalize("NFKD", name)
    for sign, word in _SPOKEN.items():
        plain = plain.replace(sign, word)
    found = unicodedata.normalize("NFKC", re.sub(r"[\W_]+", "_", plain)).strip("_") or "value"
    if found[0].isdigit():
        found = f"v{found}"
    if not found.isidentifier():
        found = re.sub(r"[^A-Za-z0-9_]", "_", f"v{found}")
    reserved = found in RESERVED or iskeyword(found) or issoftkeyword(found)
    return f"{found}_" if reserved else found


_SPOKEN = {"\u0302": "_hat", "\u0303": "_tilde", "\u0304": "_bar", "′": "_prime", "'": "_prime"}
