"""All checks of the workspace: `nox` runs every check that needs no GPU, `nox -t cuda` the checks that need one.

Sessions install packages as a user would, as wheels with only their declared dependencies, and share uv's cache.
"""

import os
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv"
nox.options.tags = ["cpu"]
# Sessions for a Python that is not installed are skipped with a message; no Python is downloaded.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
# Only `build` uses all of these. Other sessions run on the Python of nox, or another with `nox --force-python 3.12`.
PYTHONS = ["3.11", "3.12", "3.13"]
# Packages installed for the tests of each package: only those of the workspace that it needs.
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


def pytest(session: nox.Session, *arguments: str, dist: str = "loadfile") -> None:
    """Run tests in parallel, by default a whole file per worker; tests that need a GPU run sequentially."""
    if "cuda" in arguments:
        session.run("python", "-m", "pytest", *arguments, *session.posargs)
        return
    workers = ["-n", "auto", "--dist", dist]
    # Threads of several workers would compete for the cores; in these tests JAX compiles longer than it computes.
    env = {"OMP_NUM_THREADS": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    session.run("python", "-m", "pytest", *workers, *arguments, *session.posargs, env=env)


def run_tests(session: nox.Session, package: str, *options: str) -> None:
    """Run a package's unit tests and the examples in its docstrings and README."""
    tree = f"packages/kernels-{package}"
    # By file, the last one would keep a single worker busy for minutes. `worksteal` gives each worker half of the list,
    # so that neighbours share what they compile, and divides the rest again where one runs out. Tests of kernels-bench
    # share the report of one demo, so they stay together.
    dist = "loadfile" if package == "bench" else "worksteal"
    # The tests import the installed package; from its source tree only the tests and the README are used.
    pytest(session, f"{tree}/tests", *options, dist=dist)
    if "cuda" in options or session.posargs:  # arguments of a user select tests
        return
    docstrings = ["--doctest-modules", "--pyargs", f"kernels_{package}"]
    # The examples of a page build on each other: by file.
    pytest(session, f"{tree}/README.md", *([] if package == "bench" else docstrings), *options)


def tests(package: str) -> None:
    """Declare the test sessions of one package, one per backend."""

    @nox.session(name=f"tests-{package}")
    @nox.parametrize("backend", BACKENDS)
    def session(session: nox.Session, backend: str) -> None:
        if backend == "cuda" and shutil.which("nvidia-smi") is None:
            session.skip("no CUDA device on this machine")
        session.install("--group", "test", *PACKAGES[package])
        run_tests(session, package, *(["-m", "cuda"] if backend == "cuda" else []))

    session.__doc__ = f"Tests of kernels-{package} on its own."


for name in PACKAGES:
    tests(name)


@nox.session(tags=["cpu"])
def integration(session: nox.Session) -> None:
    """Tests that span packages, and the examples in the README and the documentation."""
    groups = ["--group", "test", "--group", "release"]
    session.install(*groups, *PACKAGES["bench"], *PACKAGES["jax"], "omegaconf", "hydra-core")
    elsewhere = ["tests/peers", "tests/ecosystem", "docs/frameworks.md"]
    pytest(session, "tests", "README.md", "docs", *(f"--ignore={path}" for path in elsewhere))


@nox.session(tags=["cpu"])
def ecosystem(session: nox.Session) -> None:
    """Use the layer in the libraries that train and deploy models, and run the examples of docs/frameworks.md."""
    session.install("--group", "test", "--group", "ecosystem", *PACKAGES["core"], *PACKAGES["film"])
    # The tests of a library are skipped if it is missing; in this session, its absence is an error.
    modules = (
        "accelerate, hydra, lightning, omegaconf, onnx, onnxruntime, onnxscript, peft, timm, torchao, transformers"
    )
    session.run("python", "-W", "ignore", "-c", f"import {modules}")
    pytest(session, "tests/ecosystem")
    # The libraries warn of their own affairs, which the tests filter one by one.
    session.run("python", "-m", "pytest", "docs/frameworks.md", "-W", "default", *session.posargs)


@nox.session(tags=["cpu"])
def peers(session: nox.Session) -> None:
    """Compare results with nvSubquadratic on the same weights, and run the quick benchmark against it."""
    session.install("--group", "test", *PACKAGES["bench"])
    # Its dependencies are a training stack and one fixed release of torch; its layers import only einops and omegaconf.
    session.install("--no-deps", "nvsubquadratic==0.2.0")
    # The tests are skipped if nvSubquadratic is missing; in this session, its absence is an error.
    session.run("python", "-c", "import nvsubquadratic")
    pytest(session, "tests/peers")
    session.run("kernels-bench", "run", "--quick", "--peers")


@nox.session(tags=["cpu"])
@nox.parametrize("package", [*PACKAGES])
def minimum(session: nox.Session, package: str) -> None:
    """Tests of a package with the oldest dependencies it declares."""
    # One command installs everything, because packages that are already installed would not be downgraded. Where a
    # compiled package's oldest release has no wheel for this Python, the oldest release with a wheel is used. Older
    # torch needs setuptools to compile but does not declare it.
    wheels = [f"--only-binary={compiled}" for compiled in ("numpy", "scipy", "scikit-learn", "matplotlib")]
    oldest = ["--resolution", "lowest-direct", *wheels, "--group", "test", "setuptools>=70"]
    session.install(*oldest, *PACKAGES[package])
    if package == "bench":  # one epoch runs the same code as thirty
        session.run("kernels-bench", "demo", "--help", silent=True)
        session.run("kernels-bench", "demo", "--epochs", "1", "--out", f"{session.create_tmp()}/report")
        # Old releases of its dependencies use APIs that their own dependencies have since deprecated.
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
    """Build the documentation site in docs/_build."""
    session.install("--group", "docs", *PACKAGES["bench"], *PACKAGES["jax"])
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build")


@nox.session(tags=["cpu"])
def api(session: nox.Session) -> None:
    """Check every package's public API against its api.txt; `nox -s api -- --record` rewrites these files."""
    session.install("--group", "release", "./packages/kernels-bench")
    session.run("python", "tools/public_api.py", *session.posargs)


@nox.session(name="release-check")
def release_check(session: nox.Session) -> None:
    """Check that a tag NAME-vX.Y.Z may be released: `nox -s release-check -- kernels-film-v0.2.0`."""
    session.install("--group", "release", "./packages/kernels-bench")
    session.run("python", "tools/check_release.py", *session.posargs)
    session.run("python", "tools/public_api.py")


@nox.session(tags=["cpu"], python=PYTHONS)
def build(session: nox.Session) -> None:
    """Build and check each package, install it alone in an empty environment elsewhere, and run its examples.

    `nox -s build-3.11 -- FOLDER` copies the built distributions to FOLDER.
    """
    session.install("--group", "build")
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    for package in PACKAGES:
        tree = f"packages/kernels-{package}"
        build = ["uv", "build", "-q", "--python", str(session.python), tree]
        session.run(*build, "--out-dir", f"{dist}", external=True)  # the sdist, and a wheel built from it
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
            if package == "jax":  # some of its examples need this extra
                session.run(*install, f"kernels-jax[safetensors] @ {wheel.as_uri()}", external=True)
            examples = [f"{ROOT / 'tools/run_examples.py'}", f"{ROOT}/packages/kernels-{package}/README.md"]
            docstrings = [] if package == "bench" else ["--docstrings"]  # a command, without examples
            session.run(python, "-I", *examples, f"kernels_{package}", *docstrings, external=True)
            if package == "bench":
                session.run(f"{programs / 'kernels-bench'}", "--help", external=True, silent=True)
    for folder in session.posargs:
        for file in dist.glob("*-*"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder)


def exclude_newer() -> str:
    """Date that pins the dependency resolution, for commands that run outside the workspace."""
    return str(nox.project.load_toml(ROOT / "pyproject.toml")["tool"]["uv"]["exclude-newer"])
