"""`workbench derive` for equations: where they come from, how they are told, what is refused."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pytest

import workbench as wb
from workbench.__main__ import main
from workbench.core.evaluate import evaluate

ROOT = Path(__file__).parents[1]
MODEL = "input x : n\ntarget y : m\nparameter W : m×n, b : m\na = sigmoid(W x + b)\n"
MODEL += "L = 1/2 ‖a − y‖²\n"
LAYER = "1/2 * norm(sigmoid(W x + b) - y)^2"


class Finished(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command, run in this process with a text on standard input."""

    def running(*arguments: str | Path, given: str | bytes = "") -> Finished:
        data = given.encode() if isinstance(given, str) else given
        monkeypatch.setattr(sys, "argv", ["workbench", "derive", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Finished(code if isinstance(code, int) else 0, *capsys.readouterr())

    return running


# where equations come from


def test_a_file_standard_input_and_a_formula_give_the_same(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.eq"
    path.write_text(MODEL, encoding="utf-8")
    by_file, by_input = run(path), run("-", given=MODEL)
    assert by_file.code == by_input.code == 0
    assert by_file.out == by_input.out
    assert "∂L/∂W = δ xᵀ" in by_file.out.replace("δ_z", "δ").replace("δₐ", "δ")
    formula = run("--expression", LAYER, "--wrt", "W", "--wrt", "b", "--detail", "brief")
    assert formula.code == 0
    assert "∂L/∂W = δ xᵀ" in formula.out
    assert "∂L/∂b = δ" in formula.out


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{1}{2} \left\| A x - b \right\|^2",
        "½ ‖A x − b‖²",
        "1/2 * (A x - b)' (A x - b)",
        r"\frac12 (A x - b)^\top (A x - b)",
    ],
)
def test_ascii_unicode_and_latex_are_read_alike(run: Any, formula: str) -> None:
    assert "Aᵀ (A x − b)" in run("-e", formula, "--wrt", "x").out


@pytest.mark.parametrize("voice", ["chain", "differentials", "entries", "kronecker"])
@pytest.mark.parametrize("output_format", ["text", "latex", "markdown", "html", "json"])
def test_every_voice_goes_with_every_format(run: Any, voice: str, output_format: str) -> None:
    found = run("-", "--voice", voice, "--format", output_format, given=MODEL)
    assert (found.code, found.err) == (0, "")
    if output_format == "json":
        assert json.loads(found.out)["gradients"]
    if output_format == "text":
        telling = {
            "differentials": "⟨",
            "entries": "[i,j]",
            "kronecker": "⊗",
            "chain": "chain rule",
        }
        assert telling[voice] in found.out


def test_order_two_expand_and_numbers(run: Any) -> None:
    second = run("-e", LAYER, "--wrt", "W", "--order", "2")
    assert "(x xᵀ) ⊗ diag((a − y) ⊙ σ″(z) + σ′(z)²)" in second.out
    kept, put_in = (run("-e", LAYER, "--wrt", "b", flag) for flag in ("--no-expand", "--expand"))
    assert "σ′(z)" in kept.out
    assert "a ⊙ (1 − a)" in put_in.out
    assert len(run("-", "--numbers", given=MODEL).out) > len(run("-", given=MODEL).out)


@pytest.mark.parametrize("source", ["layer", "N-layer"])
def test_the_generic_layer_and_the_deep_network(run: Any, source: str) -> None:
    found = run(source)
    assert found.code == 0
    assert "all passed" in found.out


# what is refused, and where


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("input W : m×n, x : k\nz = W x", "model.eq:2:5:", "n and k differ"),
        ("parameter W : m×n\nL = sum(W", "model.eq:2:10:", "expected"),
        ("L = sum(nothere(x))", "model.eq:1:9:", "unknown function 'nothere'"),
        ("parameter x : n\nx = 2 x", "model.eq:2:1:", "x is declared in line 1"),
        ("z = 2 w\nz = w", "model.eq:2:1:", "z is defined in line 1"),
        ("parmeter w : n\nL = w' w", "model.eq:1:1:", "parameter"),
        ("L = a + + ", "model.eq:1:", "expected"),
        ("# nothing", "model.eq:1:1:", "no equation"),
    ],
)
def test_errors_point_at_the_character(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, place: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.eq").write_text(text, encoding="utf-8")
    found = run("model.eq", "--wrt", "x")
    assert (found.code, found.out) == (2, "")
    (line,) = found.err.splitlines()
    assert line.startswith(f"workbench: error: {place}")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-e", "Wx' A Wx", "--wrt", "W"], ["W does not occur", "did you mean Wx?"]),
        (["-e", "x' A x"], ["nothing to differentiate by", "A, x"]),
        (["-e", "x' A x", "--wrt", "x", "--voice", "spoken"], ["--voice", "spoken"]),
        (
            ["2-2-1", "--voice", "kronecker", "--strategy", "diagonal"],
            ["voice kronecker", "not diagonal"],
        ),
        (["-e", "x' A x", "2-2-1"], ["SOURCE"]),
        (["absent.eq"], ["absent.eq", "No such file"]),
        (["-e", "x' A x", "--wrt", "x", "--emit", "program"], ["--wrt", "--emit"]),
        (["-e", "x' A x", "--wrt", "x", "--emit", "numpy", "--format", "json"], ["--format"]),
        (["-e", "x' A x", "--wrt", "x", "--order", "3"], ["--order"]),
        (["-e", "x' A x", "--wrt", "x", "--numbers", "--format", "json"], ["--numbers"]),
    ],
)
def test_what_cannot_be_asked_for_ends_with_2(
    run: Any, arguments: list[str], words: list[str]
) -> None:
    found = run(*arguments)
    assert (found.code, found.out) == (2, "")
    assert all(word in found.err for word in words), found.err
    assert len(found.err.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "x" + ")" * 10_000,
        "-" * 100_000 + "x",
        "9^9^9^9^9",
        "x^(9^99)",
        "__import__('os').system('true')",
        "x" * 900_000,
        "\n".join(f"z{i} = z{i} + x" for i in range(20_000)),
        "{" * 5_000,
        "\x00\x01",
    ],
    ids=["brackets", "minuses", "tower", "power", "import", "long", "lines", "braces",
         "nul"],
)  # fmt: skip
def test_hostile_text_is_refused_within_a_second(run: Any, text: str) -> None:
    begin = perf_counter()
    found = run("-", "--wrt", "x", given=text)
    assert perf_counter() - begin < 1
    assert found.code == 2
    assert found.err.startswith("workbench: error: <stdin>")
    assert len(found.err) < 2_000


def test_what_is_no_text_and_what_is_too_long_is_refused(run: Any) -> None:
    assert "byte 2" in run("-", given=b"x \xff").err
    assert "1,000,000" in run("-", given="x + " * 300_000).err


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "model.eq").write_text(MODEL, encoding="utf-8")
    script = f"{sys.executable} -m workbench derive model.eq --detail full | head -1"
    done = subprocess.run(
        ["bash", "-c", script + '; echo "${PIPESTATUS[0]}"'],
        cwd=tmp_path, capture_output=True, encoding="utf-8", env=os.environ, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")


# code


SCALARS = "1/2 * (sigmoid(w x + b) - y)^2"


def derived_numbers(formula: str, wrt: list[str]) -> tuple[dict[str, Any], dict[str, Any], float]:
    """Values of the symbols, the gradients there as they were derived, and the loss."""
    derivation = wb.derive(wb.equations(formula, wrt=wrt))
    sizes, random = {"m": 3, "n": 2}, np.random.default_rng(0)
    values: dict[Any, Any] = {}
    for symbol in derivation.system.symbols:
        if symbol not in derivation.system.definitions:
            values[symbol] = random.normal(size=[d.size(sizes) for d in symbol.shape])
    given = {s.symbol.name: value for s, value in values.items()}
    for equation in (*derivation.system.equations, *derivation.backward):
        values[equation.left] = evaluate(equation.right, values, sizes)
    found = {p.symbol.name: evaluate(g, values, sizes) for p, g in derivation.gradients.items()}
    return given, found, values[derivation.system.loss].item()


@pytest.mark.parametrize("target", ["python", "numpy", "torch", "jax"])
def test_emitted_code_has_the_numbers_of_the_derivation(run: Any, target: str) -> None:
    if target in ("torch", "jax") and importlib.util.find_spec(target) is None:
        pytest.skip(f"{target} is not installed")
    formula, wrt = (SCALARS, ["w", "b"]) if target == "python" else (LAYER, ["W", "b"])
    options = [word for name in wrt for word in ("--wrt", name)]
    found = run("-e", formula, *options, "--emit", target)
    assert (found.code, found.err) == (0, "")
    namespace: dict[str, Any] = {"__name__": "emitted"}
    exec(found.out, namespace)
    given, gradients, loss = derived_numbers(formula, wrt)
    values = BY_TARGET[target](namespace["loss_and_gradients"], given, wrt)
    assert values[0] == pytest.approx(loss, rel=1e-12)
    for name, value in zip(wrt, values[1:], strict=True):
        np.testing.assert_allclose(value, gradients[name], rtol=1e-10)


def _numpy(function: Any, given: dict[str, Any], wrt: list[str]) -> list[Any]:
    loss, gradients = function(**given)
    return [loss, *(getattr(gradients, name) for name in wrt)]


def _python(function: Any, given: dict[str, Any], wrt: list[str]) -> list[Any]:
    return _numpy(function, {name: value.item() for name, value in given.items()}, wrt)


def _torch(function: Any, given: dict[str, Any], wrt: list[str]) -> list[Any]:
    import torch

    moved = {n: torch.tensor(v, requires_grad=n in wrt) for n, v in given.items()}
    loss = function(**moved)
    loss.backward()
    return [loss.item(), *(moved[name].grad.numpy() for name in wrt)]


def _jax(function: Any, given: dict[str, Any], wrt: list[str]) -> list[Any]:
    import jax

    with jax.enable_x64(True):
        names = list(signature(function).parameters)
        places = tuple(names.index(name) for name in wrt)
        loss, found = jax.value_and_grad(function, places)(*(given[name] for name in names))
        return [loss.item(), *(np.asarray(value) for value in found)]


BY_TARGET = {"python": _python, "numpy": _numpy, "torch": _torch, "jax": _jax}


def test_the_program_of_a_network_is_python(run: Any) -> None:
    found = run("2-2-1", "--emit", "program")
    assert found.code == 0
    compile(found.out, "program", "exec")
