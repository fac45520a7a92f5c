"""Import boundaries: libraries import no other package of the workspace, and no import is heavy."""

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from kernels_bench.__main__ import app

ROOT = Path(__file__).parents[1]
PROJECTS = {
    path.parent.name.replace("-", "_"): tomllib.loads(path.read_text())["project"]
    for path in ROOT.glob("packages/*/pyproject.toml")
}
LIBRARIES = ["kernels_core", "kernels_film", "kernels_jax"]
# Packages that importing a library may load, with everything that these load in turn.
DECLARED = {
    "kernels_core": ["torch"],
    "kernels_film": ["torch"],
    "kernels_jax": ["jax", "equinox", "numpyro", "einops", "jaxtyping", "scipy"],
}
# One use of each library, and packages it must work without: those of extras, and some often installed beside it.
USE = {
    "kernels_core": "k.CKConvND(1, 2, k.LazyConfig(k.SIRENKernelND)(out_dim=2, data_dim=1, mlp_hidden_dim=4, "
    "num_layers=2, embedding_dim=4, omega_0=1.0, L_cache=4, use_bias=True))(torch.randn(1, 5, 2))",
    "kernels_film": "k.KernelFiLMGenerator(cond_dim=2, kernel_hidden_dim=3, num_film_layers=1)(torch.randn(1, 2))",
    "kernels_jax": "k.FiLM.init(2, 3, key=jax.random.key(0))(jax.numpy.ones(2), jax.numpy.ones(3))",
}
ABSENT = {
    "kernels_core": ["jax", "numpy", "scipy", "omegaconf", "hydra", "matplotlib", "sklearn", "einops"],
    "kernels_film": ["jax", "numpy", "scipy", "omegaconf", "hydra", "matplotlib", "sklearn", "einops"],
    "kernels_jax": ["torch", "arviz", "matplotlib", "sklearn", "pandas", "xarray"],
}
# The interface of kernels-bench is its command, whose dependencies come with extras.
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def run(code: str) -> str:
    """Output of `code` in a fresh interpreter."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


@functools.cache
def loaded_by(module: str, *first: str) -> set[str]:
    """Modules that importing `module` loads in a fresh interpreter that has already imported `first`."""
    code = f"""
import importlib, json, sys, time
for name in {first!r}: importlib.import_module(name)
before, start = set(sys.modules), time.perf_counter()
importlib.import_module({module!r})
print(json.dumps([time.perf_counter() - start, sorted(set(sys.modules) - before)]))
"""
    seconds, modules = json.loads(run(code))
    print(f"import {module}: {seconds:.2f} s")  # for information, shown by `pytest -rP`
    return set(modules)


def top(modules: set[str]) -> set[str]:
    """Top-level packages of `modules`, without the standard library."""
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)


def imported_names(package: str) -> set[str]:
    """Packages that the source of `package` imports anywhere, also inside functions."""
    found = set()
    for path in (ROOT / "packages" / package.replace("_", "-") / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module or "")
    return top(found) - {package}


def requirements(package: str, *, extras: bool) -> set[str]:
    """Import names of the dependencies that `package` declares, optionally with its extras."""
    table = PROJECTS[package]
    optional = [text for group in table.get("optional-dependencies", {}).values() for text in group]
    names = (re.split(r"[^\w-]", text)[0] for text in [*table["dependencies"], *(optional if extras else [])])
    return {{"scikit-learn": "sklearn"}.get(name, name).replace("-", "_") for name in names}


@pytest.mark.parametrize("package", LIBRARIES)
def test_library_source_imports_only_declared_dependencies(package: str) -> None:
    came_with = {"numpy"} if package == "kernels_jax" else set()  # required by jax itself
    assert imported_names(package) <= requirements(package, extras=True) | came_with
    assert set(DECLARED[package]) == requirements(package, extras=False)


def test_libraries_do_not_depend_on_each_other() -> None:
    for package in LIBRARIES:
        assert requirements(package, extras=True) & set(PROJECTS) == set()


@pytest.mark.parametrize("package", LIBRARIES)
def test_importing_a_library_loads_only_declared_dependencies(package: str) -> None:
    # More modules of a declared dependency may be loaded than importing it loads.
    assert top(loaded_by(package, *DECLARED[package])) - set(DECLARED[package]) == {package}


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("kernels_core", ["torch._inductor", "torch._dynamo", "scipy", "matplotlib", "sklearn", "jax", "triton"]),
        ("kernels_film", ["torch._inductor", "torch._dynamo", "scipy", "matplotlib", "sklearn", "jax", "triton"]),
        ("kernels_jax", ["torch", "matplotlib", "arviz", "pandas", "sklearn", "xarray"]),
        ("kernels_bench", ["torch", "jax", "numpy", "matplotlib", "sklearn", "jinja2"]),
        ("kernels_bench.__main__", ["torch", "jax", "scipy", "matplotlib", "sklearn", "jinja2"]),
    ],
)
def test_importing_a_package_loads_nothing_heavy(package: str, heavy: list[str]) -> None:
    # torch is imported first, because it may load heavy packages itself.
    loaded = loaded_by(package, "torch") if "torch" in DECLARED.get(package, []) else loaded_by(package)
    assert package in loaded
    assert [name for name in heavy if name in loaded] == []


@pytest.mark.parametrize("package", LIBRARIES)
def test_library_works_without_other_packages(package: str) -> None:
    absent = [*(name for name in PROJECTS if name != package), *ABSENT[package]]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({absent!r}))
import {DECLARED[package][0]}, {package} as k
{USE[package]}
assert all(hasattr(k, name) for name in k.__all__), k.__all__
print("works")
"""
    assert run(code) == "works\n"


def without_extras(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `kernels-bench` with every package of its extras made unimportable."""
    absent = requirements("kernels_bench", extras=True) - requirements("kernels_bench", extras=False)
    absent -= {"kernels_bench"}  # from an extra made of other extras
    assert {"torch", "kernels_core", "kernels_film"} <= absent
    code = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(absent)!r}))
from kernels_bench.__main__ import app
app({arguments!r})
"""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_help_works_without_extras() -> None:
    result = without_extras(["--help"])
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if not any(option.required for option in command.params)]
)
def test_command_names_the_missing_extra(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = without_extras([name])
    assert result.returncode == 2, result.stderr
    assert re.search(r"kernels-bench\[\w+\]", result.stdout + result.stderr)
