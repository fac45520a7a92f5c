"""Every check of the workspace: bare `nox` runs all that need no GPU, `nox -t cuda` those that do.

Sessions install packages as a user would, as wheels beside nothing but what they declare, and share uv's cache.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv"
nox.options.tags = ["cpu"]

ROOT = Path(__file__).parent
# What each package's tests are installed with. A package is tested with nothing of this workspace it does not need.
PACKAGES = {
    "core": ["./packages/kernels-core"],
    "film": ["./packages/kernels-film"],
    "jax": ["./packages/kernels-jax[arviz]"],
    "bench": [
        "./packages/kernels-bench[all]",
        "./packages/kernels-core",
        "./packages/kernels-film",
        "./packages/kernels-jax",
    ],
}
BACKENDS = [nox.param("cpu", id="cpu", tags=["cpu"]), nox.param("cuda", id="cuda", tags=["cuda"])]


def run_tests(session: nox.Session, package: str, *options: str) -> None:
    """The package's unit tests, the examples in its docstrings and in its README."""
    tree = f"packages/kernels-{package}"
    # The installed package is the one under test; its copy in the tree is only read for the README.
    session.run("python", "-m", "pytest", f"{tree}/tests", f"{tree}/README.md", *options, *session.posargs)
    if not options and package != "bench":  # a command has no examples in docstrings
        session.run("python", "-m", "pytest", "--doctest-modules", "--pyargs", f"kernels_{package}")


def tests(package: str) -> None:
    """Declare the test session of one package, per backend."""

    @nox.session(name=f"tests-{package}")
    @nox.parametrize("backend", BACKENDS)
    def session(session: nox.Session, backend: str) -> None:
        if backend == "cuda" and shutil.which("nvidia-smi") is None:
            session.skip("no CUDA device on this machine")
        session.install("--group", "test", *PACKAGES[package])
        run_tests(session, package, *(["-m", "cuda"] if backend == "cuda" else []))

    session.__doc__ = f"Tests of kernels-{package} alone."


for name in PACKAGES:
    tests(name)


@nox.session(tags=["cpu"])
def integration(session: nox.Session) -> None:
    """What crosses packages, and the commands of the README."""
    session.install("--group", "test", *PACKAGES["bench"], *PACKAGES["jax"], "omegaconf", "hydra-core")
    session.run("python", "-m", "pytest", "tests", "README.md", "docs", *session.posargs)


@nox.session(tags=["cpu"])
@nox.parametrize("package", ["core", "film", "jax"])
def minimum(session: nox.Session, package: str) -> None:
    """Tests of a package on the oldest dependencies it declares."""
    # Older releases of torch compile with setuptools but do not declare it.
    session.install("--group", "test", "setuptools")
    session.install("--resolution", "lowest-direct", *PACKAGES[package])
    run_tests(session, package)


@nox.session(tags=["cpu"])
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install("--group", "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(tags=["cpu"])
def types(session: nox.Session) -> None:
    """Static types of every package."""
    session.install("--group", "types", *PACKAGES["bench"], *PACKAGES["jax"])
    session.run("mypy", *(f"packages/kernels-{package}/src" for package in PACKAGES))


@nox.session(tags=["cpu"])
def docs(session: nox.Session) -> None:
    """The documentation site, in docs/_build."""
    session.install("--group", "docs", *PACKAGES["bench"], *PACKAGES["jax"])
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build")


@nox.session(tags=["cpu"])
def build(session: nox.Session) -> None:
    """Each package's sdist and wheel built alone, checked, and installed alone in an empty environment elsewhere."""
    session.install("--group", "build")
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for package in PACKAGES:
        # The wheel is built from the sdist, so a file missing there is missed here.
        session.run("uv", "build", "-q", f"packages/kernels-{package}", "--out-dir", f"{dist}", external=True)
    session.run("twine", "check", "--strict", *map(str, sorted(dist.glob("*-*"))))
    for package in PACKAGES:
        wheel = next(dist.glob(f"kernels_{package}-*.whl"))
        with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
            python = f"{elsewhere}/bin/python" if os.name == "posix" else f"{elsewhere}/Scripts/python.exe"
            session.run("uv", "venv", "-q", "--clear", "--python", session.python or sys.executable, ".", external=True)
            install = ["uv", "pip", "install", "-q", "--python", python, "--exclude-newer", exclude_newer()]
            session.run(*install, "--find-links", f"{dist}", f"{wheel}", external=True)
            session.run(python, "-I", "-c", f"import kernels_{package}", external=True)
            session.run("uv", "pip", "check", "--python", python, external=True)


def exclude_newer() -> str:
    """The date that pins the resolution, for commands that run outside the workspace."""
    return str(nox.project.load_toml(ROOT / "pyproject.toml")["tool"]["uv"]["exclude-newer"])
