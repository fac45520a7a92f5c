"""Every check of the workspace: bare `nox` runs all that need no GPU, `nox -t cuda` those that do.

Sessions install packages as a user would, as wheels beside nothing but what they declare, and share uv's cache.
"""

import os
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv"
nox.options.tags = ["cpu"]
# A session for a Python that this machine lacks is skipped, and says so; nothing is downloaded in its place.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
# Every session runs on the Python of nox, or with `nox --force-python 3.12` on another; packages are installed on all.
PYTHONS = ["3.11", "3.12", "3.13"]
# What each package's tests are installed with. A package is tested with nothing of this workspace it does not need.
PACKAGES = {
    "core": ["./packages/kernels-core"],
    "film": ["./packages/kernels-film"],
    "jax": ["./packages/kernels-jax[arviz,safetensors]"],
    "bench": [
        "./packages/kernels-bench[all]",
        "./packages/kernels-core",
        "./packages/kernels-film",
        "./packages/kernels-jax",
    ],
}
BACKENDS = [nox.param("cpu", id="cpu", tags=["cpu"]), nox.param("cuda", id="cuda", tags=["cuda"])]


def pytest(session: nox.Session, *arguments: str) -> None:
    """Tests, a file at a time on each core; those that need a GPU one after another."""
    if "cuda" in arguments:
        session.run("python", "-m", "pytest", *arguments, *session.posargs)
        return
    workers = ["-n", "auto", "--dist", "loadfile"]
    # Threads of several processes on the same cores would wait for each other; JAX compiles longer than tests compute.
    env = {"OMP_NUM_THREADS": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    session.run("python", "-m", "pytest", *workers, *arguments, *session.posargs, env=env)


def run_tests(session: nox.Session, package: str, *options: str) -> None:
    """The package's unit tests, the examples in its docstrings and in its README."""
    tree = f"packages/kernels-{package}"
    # The installed package is the one under test; its copy in the tree is only read for the README.
    pytest(session, f"{tree}/tests", f"{tree}/README.md", *options)
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
    groups = ["--group", "test", "--group", "release"]
    session.install(*groups, *PACKAGES["bench"], *PACKAGES["jax"], "omegaconf", "hydra-core")
    pytest(session, "tests", "README.md", "docs", "--ignore=tests/peers")


@nox.session(tags=["cpu"])
def peers(session: nox.Session) -> None:
    """The same numbers as nvSubquadratic from the same weights, and a glance at who is faster."""
    session.install("--group", "test", *PACKAGES["bench"])
    # Without what it declares, a training stack and one release of torch; its layers import only einops and omegaconf.
    session.install("--no-deps", "nvsubquadratic==0.2.0")
    # The tests skip where the peer is missing; here it must not be.
    session.run("python", "-c", "import nvsubquadratic")
    pytest(session, "tests/peers")
    session.run("kernels-bench", "run", "--quick", "--peers")


@nox.session(tags=["cpu"])
@nox.parametrize("package", [*PACKAGES])
def minimum(session: nox.Session, package: str) -> None:
    """Tests of a package on the oldest dependencies it declares."""
    # In one command: what is installed already would stay as new as it is. Where this Python is newer than a compiled
    # package's oldest release, the oldest that has a wheel. Older torch compiles with setuptools but does not say so.
    wheels = [f"--only-binary={compiled}" for compiled in ("numpy", "scipy", "scikit-learn", "matplotlib")]
    oldest = ["--resolution", "lowest-direct", *wheels, "--group", "test", "setuptools>=70"]
    session.install(*oldest, *PACKAGES[package])
    if package == "bench":  # one epoch calls all that thirty do
        session.run("kernels-bench", "demo", "--help", silent=True)
        session.run("kernels-bench", "demo", "--epochs", "1", "--out", f"{session.create_tmp()}/report")
        # Old releases of its dependencies do not know what newer ones of theirs deprecate.
        quiet = ["-W", "ignore::DeprecationWarning"]
        run_tests(session, package, "--ignore", "packages/kernels-bench/tests/test_demo.py", *quiet)
    else:
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
def api(session: nox.Session) -> None:
    """The public API of every package is the one in its api.txt; `nox -s api -- --record` writes those."""
    session.install("--group", "release", "./packages/kernels-bench")
    session.run("python", "tools/public_api.py", *session.posargs)


@nox.session(name="release-check")
def release_check(session: nox.Session) -> None:
    """Whether the tag NAME-vX.Y.Z may be released: `nox -s release-check -- kernels-film-v0.2.0`."""
    session.install("--group", "release", "./packages/kernels-bench")
    session.run("python", "tools/check_release.py", *session.posargs)
    session.run("python", "tools/public_api.py")


@nox.session(tags=["cpu"], python=PYTHONS)
def build(session: nox.Session) -> None:
    """Each package built alone, checked, installed alone in an empty environment elsewhere, and its examples run.

    `nox -s build-3.11 -- FOLDER` leaves what was built there.
    """
    session.install("--group", "build")
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for package in PACKAGES:
        tree = f"packages/kernels-{package}"
        build = ["uv", "build", "-q", "--python", str(session.python), tree]
        session.run(*build, "--out-dir", f"{dist}", external=True)  # the sdist, and the wheel from it
        session.run(*build, "--wheel", "--out-dir", f"{dist}/tree", external=True)
        session.run("python", "tools/check_dist.py", tree, f"{dist}")
    session.run("twine", "check", "--strict", *map(str, sorted(dist.glob("*-*"))))
    for package in PACKAGES:
        wheel = next(dist.glob(f"kernels_{package}-*.whl"))
        with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
            programs = Path(elsewhere, "bin" if os.name == "posix" else "Scripts")
            python = f"{programs / 'python'}"
            session.run("uv", "venv", "-q", "--clear", "--python", str(session.python), ".", external=True)
            install = ["uv", "pip", "install", "-q", "--python", python, "--exclude-newer", exclude_newer()]
            session.run(*install, f"{wheel}", external=True)
            session.run("uv", "pip", "check", "--python", python, external=True)
            session.run(python, "-I", "-c", f"import kernels_{package}", external=True)
            if package == "jax":  # its examples show what one of its extras is for
                session.run(*install, f"kernels-jax[safetensors] @ {wheel.as_uri()}", external=True)
            examples = [f"{ROOT / 'tools/run_examples.py'}", f"{ROOT}/packages/kernels-{package}/README.md"]
            docstrings = [] if package == "bench" else ["--docstrings"]  # a command has no examples in docstrings
            session.run(python, "-I", *examples, f"kernels_{package}", *docstrings, external=True)
            if package == "bench":
                session.run(f"{programs / 'kernels-bench'}", "--help", external=True, silent=True)
    for folder in session.posargs:
        for file in dist.glob("*-*"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder)


def exclude_newer() -> str:
    """The date that pins the resolution, for commands that run outside the workspace."""
    return str(nox.project.load_toml(ROOT / "pyproject.toml")["tool"]["uv"]["exclude-newer"])
