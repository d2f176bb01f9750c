"""Which names of a formula are names of sizes: those that stand where only a size can stand."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.notation.reading.syntax import Node
from workbench.notation.reading.vocabulary import BUILTINS


def names_of_sizes(*nodes: Node) -> frozenset[str]:
    """The names in eye(n), 𝟏(n), K(m, n), x[1:n] and the like.

    >>> n = Node("name", (), "n", 4, 5)
    >>> sorted(names_of_sizes(Node("call", (n,), ("eye", 0), 0, 6)))
    ['n']
    """
    return frozenset(
        str(part.data)
        for whole in map(_parts, nodes)
        for node in whole
        for size in _sizes(node)
        for part in _parts(size)
        if part.kind == "name"
    )


def _parts(node: Node) -> Iterator[Node]:
    pending = [node]
    while pending:
        found = pending.pop()
        yield found
        pending.extend(found.parts)


def _sizes(node: Node) -> tuple[Node, ...]:
    """The parts of a node that are sizes."""
    if node.kind == "ones":
        return node.parts
    if node.kind == "index":
        return node.parts[1:]
    if node.kind == "call":
        assert isinstance(node.data, tuple)
        builtin = BUILTINS.get(node.data[0])
        if builtin is not None and builtin.sizes is not None:
            return node.parts[builtin.sizes :]
    return ()
