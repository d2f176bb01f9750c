"""Equations lowered into a language, and the lines of code that come of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap

from workbench.calculus.dimensions import Dimension
from workbench.calculus.expressions import Expression, walk
from workbench.core.emit.code import WIDTH, assignment, names_in
from workbench.core.emit.graph import Task
from workbench.core.emit.languages import Arrays, Language
from workbench.core.emit.lines import Line, Lowering
from workbench.core.emit.names import Names
from workbench.core.emit.sizes import SizeNames
from workbench.notation.text import text


class Lowered:
    """Equations lowered one after another.

    Attributes
    ----------
    arguments : for each symbol that is given, its name in the code.
    sizes : the dimensions as variables.
    """

    def __init__(
        self,
        arguments: Mapping[Expression, str],
        tasks: Sequence[Task],
        known: Mapping[str, int],
        language: Language,
        names: Names,
        indent: int,
    ) -> None:
        self.arguments = arguments
        self.tasks = tasks
        self.language = language
        self.sizes = SizeNames(arguments, self._dimensions(), known, names)
        if isinstance(language, Arrays):
            language.like = next(iter(arguments.values()))
        self._lowering = Lowering(language, names, self.sizes, tasks, indent)
        for symbol, variable in arguments.items():
            self._lowering.give(symbol, variable)
        for task in tasks:
            self._lowering.compute(task)

    def _dimensions(self) -> list[Dimension]:
        found = [d for symbol in self.arguments for d in symbol.shape if not symbol.is_scalar]
        for node in walk(*(task.computed for task in self.tasks)):
            found.extend(node.shape)
            parts = node.data if isinstance(node.data, tuple) else (node.data,)
            found.extend(part for part in parts if isinstance(part, Dimension))
        return list(dict.fromkeys(found))

    @property
    def lines(self) -> list[Line]:
        """All lines, in order."""
        return self._lowering.lines

    def name_of(self, left: Expression) -> str:
        """The variable that holds the left side of an equation."""
        return self._lowering.name_of[left]

    def read_by(self, lines: Sequence[Line]) -> set[str]:
        """The variables that lines read, and those that their sizes are read from."""
        return self.with_sizes(set().union(*(line.reads for line in lines)))

    def with_sizes(self, read: set[str]) -> set[str]:
        """Variables, and those that their sizes are read from."""
        for variable, reading in reversed(self.sizes.reading.items()):
            if variable in read:
                read = read | names_in(reading)
        return read

    def size_lines(self, lines: Sequence[Line], indent: int) -> list[str]:
        """The sizes that lines need, read off the shapes."""
        return self.reading(self.read_by(lines), indent)

    def reading(self, read: set[str], indent: int) -> list[str]:
        """The sizes among some variables, read off the shapes."""
        return [
            f"{' ' * indent}{variable} = {reading}"
            for variable, reading in self.sizes.reading.items()
            if variable in read
        ]

    def body(self, lines: Sequence[Line], indent: int) -> list[str]:
        """Lines of code, each group below the formula that it computes."""
        found: list[str] = []
        task = None
        for line in lines:
            if line.task is not task:
                task = line.task
                found += comment(_formula(task), indent)
            found += assignment(line.name, line.code, indent)
        return found

    def helpers(self, sources: Mapping[str, str]) -> list[str]:
        """The helper functions that the code calls, out of these."""
        return "".join(sources[name] for name in sorted(self.language.helpers)).splitlines()


def calls(lines: Iterable[Line], prefix: str) -> bool:
    """Whether lines call something of a module, `special.`."""
    return any(re.search(rf"(?<![\w.]){prefix}", line.code.text) for line in lines)


def _formula(task: Task) -> Iterator[str]:
    equation = task.equation
    yield f"{text(equation.left)} = {text(equation.right)}"
    if task.line.is_rewritten:
        how = "computed without overflow as" if task.line.is_safe else "computed as"
        yield f"{how} {text(task.line.computed)}"


def comment(sentences: Iterable[str], indent: int) -> list[str]:
    """Comment lines of at most 100 columns.

    >>> comment(["δ₁ = W₂ᵀ δ₂"], 4)
    ['    # δ₁ = W₂ᵀ δ₂']
    """
    margin = " " * indent + "# "
    return [
        margin + line
        for sentence in sentences
        for line in wrap(printable(sentence), WIDTH - len(margin), break_long_words=False)
    ]


def printable(sentence: str) -> str:
    """A sentence in one line, without what cannot be printed.

    >>> printable("two\\nlines")
    'two lines'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in sentence).split())


def docstring(summary: str, paragraphs: Iterable[Sequence[str]], indent: int) -> list[str]:
    """A docstring: the summary, then paragraphs, each of lines that are kept.

    >>> docstring("The loss.", [], 4)
    ['    \"\"\"The loss.\"\"\"']
    """
    margin = " " * indent
    rest = [paragraph for paragraph in paragraphs if paragraph]
    if not rest:
        return [f'{margin}"""{summary}"""']
    lines = [f'{margin}"""{summary}']
    for paragraph in rest:
        lines += ["", *(margin + printable(line).replace("\\", "/") for line in paragraph)]
    return [*lines, f'{margin}"""']
