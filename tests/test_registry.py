"""The registry: installed plugins and plugin files, good, broken and clashing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.plugins import registry as registry_module
from workbench.plugins.records import Activation
from workbench.plugins.registry import Entry, Registry, load_registry

HEADER = """\
from workbench.plugins import hookimpl
from workbench.plugins.records import Activation, JacobianStrategy, Loss

"""
GIVES = """\
@hookimpl
def workbench_activations():
    yield Activation(name="{name}", formula="z * sigmoid(z)")
"""
ALSO_GIVES = GIVES.splitlines()[-1]

Install = Callable[[str, str, str], None]


@pytest.fixture(autouse=True)
def fresh_registry() -> Iterator[None]:
    registry_module._load_installed.cache_clear()
    yield
    registry_module._load_installed.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with one module and one entry point on the path."""

    def install_distribution(distribution: str, entry_point: str, source: str) -> None:
        site = tmp_path / distribution
        module = distribution.replace("-", "_")
        metadata = site / f"{module}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{module}.py").write_text(HEADER + source)
        (metadata / "METADATA").write_text(f"Name: {distribution}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[workbench]\n{entry_point} = {module}\n")
        monkeypatch.syspath_prepend(site)

    return install_distribution


@pytest.fixture
def plugin_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a plugin file that starts with the imports."""

    def write(source: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(HEADER + source)
        return path

    return write


def about(registry: Registry, word: str) -> list[str]:
    return [problem for problem in registry.problems if word in problem]


def test_an_installed_plugin_is_found_with_its_origin(install: Install) -> None:
    install("wb-one", "one", GIVES.format(name="one_swish"))
    registry = load_registry()
    assert registry.activation("one_swish").formula == "z * sigmoid(z)"
    assert registry.origins["activation", "one_swish"] == "wb-one: wb_one"
    assert list(registry.activations) == sorted(registry.activations)
    assert load_registry() is registry


def test_two_distributions_may_use_one_entry_point_name(install: Install) -> None:
    install("wb-two", "same", GIVES.format(name="two_swish"))
    install("wb-three", "same", GIVES.format(name="three_swish"))
    assert {"two_swish", "three_swish"} <= set(load_registry().activations)


@pytest.mark.parametrize(
    ("distribution", "source", "reason"),
    [
        ("wb-raises", "1 / 0", "ZeroDivisionError: division by zero"),
        ("wb-exits", "raise SystemExit(3)", "SystemExit: 3"),
        ("wb-syntax", "def", "SyntaxError: invalid syntax"),
        ("wb-empty", "", "gives no records; expected an @hookimpl function"),
        (
            "wb-misspelt",
            "@hookimpl\ndef workbench_activation(): yield",
            "unknown hook 'workbench_activation': did you mean workbench_activations",
        ),
        (
            "wb-returns",
            "@hookimpl\ndef workbench_losses(): return 7",
            "workbench_losses returned 7; expected it to yield records",
        ),
        (
            "wb-mixes",
            "@hookimpl\ndef workbench_losses(): yield 'relu'",
            "workbench_losses yields 'relu'; expected Loss records",
        ),
        (
            "wb-arguments",
            "@hookimpl\ndef workbench_losses(config): yield",
            "PluginValidationError: Plugin",
        ),
    ],
)
def test_a_broken_installed_plugin_is_named_and_the_rest_goes_on(
    install: Install, distribution: str, source: str, reason: str
) -> None:
    install(distribution, "broken", source)
    install("wb-sound", "sound", GIVES.format(name="sound_swish"))
    registry = load_registry()
    (problem,) = about(registry, distribution)
    module = distribution.replace("-", "_")
    assert problem.startswith(f"plugin broken ({distribution}: {module}) left out: {reason}")
    assert "\n" not in problem
    assert "sound_swish" in registry.activations
    with pytest.raises(InputError, match=f"did you mean sound_swish.*{distribution}"):
        registry.activation("sound_swich")


def test_a_clash_of_installed_plugins_names_both_and_keeps_the_first(install: Install) -> None:
    install("wb-first", "a", GIVES.format(name="shared"))
    install("wb-second", "b", GIVES.format(name="shared") + ALSO_GIVES.format(name="extra"))
    registry = load_registry()
    (problem,) = about(registry, "'shared'")
    assert "wb-first: wb_first and by wb-second: wb_second" in problem
    assert registry.origins["activation", "shared"] == "wb-first: wb_first"
    assert "extra" in registry.activations


def test_a_plugin_file_adds_to_the_registry_without_changing_it(
    plugin_file: Callable[[str], Path],
) -> None:
    path = plugin_file(GIVES.format(name="file_swish"))
    registry = load_registry([path, path])
    assert registry.origins["activation", "file_swish"] == str(path)
    assert "file_swish" not in load_registry().activations
    assert sorted(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0", "line 5: ZeroDivisionError: division by zero"),
        ("def broken(", "line 4: SyntaxError: '\\(' was never closed"),
        ("exit()", "line 4: SystemExit: None"),
        ("open('/no/such/file')", "line 4: FileNotFoundError: .*/no/such/file"),
        ("Activation(name='bad', formula='')", "line 4: .*bad"),
        ("def workbench_activations(): yield", "gives no records"),
        ("@hookimpl\ndef workbench_activations(): yield from ()", "gives no records"),
    ],
)
def test_a_plugin_file_that_cannot_be_used_is_an_error_with_its_line(
    plugin_file: Callable[[str], Path], source: str, message: str
) -> None:
    with pytest.raises(InputError, match=f"^plugin file .*mine.py(, |: ){message}"):
        load_registry([plugin_file(source)])


def test_a_plugin_file_that_takes_a_given_name_is_an_error_naming_both(
    install: Install, plugin_file: Callable[[str], Path]
) -> None:
    install("wb-holder", "holder", GIVES.format(name="held"))
    path = plugin_file(GIVES.format(name="held"))
    with pytest.raises(InputError, match=r"activation 'held' .* wb-holder: wb_holder .*mine\.py"):
        load_registry([path])


def test_an_alias_finds_its_record_and_counts_as_a_name(install: Install) -> None:
    swish = Activation(name="swish", formula="z * sigmoid(z)", aliases=("silu",))
    assert Registry([Entry(swish, "here")]).activation("silu") is swish
    install(
        "wb-alias",
        "a",
        GIVES.format(name="alpha").replace(", formula", ", aliases=('beta',), formula"),
    )
    install("wb-taker", "b", GIVES.format(name="beta"))
    assert len(about(load_registry(), "'beta'")) == 1
