"""Tests of the scripts in tools/: release checks, recorded API, built distributions, examples and thresholds."""

import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import pytest
from kernels_core._fftconv import route

ROOT = Path(__file__).parents[1]


def tool(name: str) -> ModuleType:
    """Import a script of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_release, public_api, check_dist = tool("check_release"), tool("public_api"), tool("check_dist")
route_thresholds = tool("route_thresholds")

PROJECT = """[project]
name = "kernels-{name}"
version = "{version}"
dependencies = {dependencies}
"""
RANGE = "kernels-film>=0.1,<0.2"


def write(root: Path, name: str, version: str, changelog: str, api: str = "", dependencies: str = "[]") -> None:
    """Write the files of a package that the release check reads."""
    tree = root / "packages" / f"kernels-{name}"
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "pyproject.toml").write_text(PROJECT.format(name=name, version=version, dependencies=dependencies))
    (tree / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}")
    (tree / "api.txt").write_text(api)


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A repository of two packages: film, released at 0.1.0, and bench, which requires it."""
    write(tmp_path, "film", "0.1.0", "## 0.1.0 - 2026-01-31\n\n- First.\n", "f(a)\ng(a)\n")
    write(tmp_path, "bench", "0.1.0", "## 0.1.0 - 2026-02-01\n\n- First.\n", dependencies=f'["rich", "{RANGE}"]')
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "First")
    git(tmp_path, "tag", "kernels-film-v0.1.0")
    return tmp_path


def film(root: Path, version: str, heading: str | None = None, text: str = "- Faster.\n", api: str = "") -> None:
    heading = f"## {version} - 2026-03-01" if heading is None else heading
    first = "## 0.1.0 - 2026-01-31\n\n- First.\n"
    write(root, "film", version, f"{heading}\n\n{text}\n{first}", api or "f(a)\ng(a)\nh(a)\n")


def test_consistent_release_is_accepted(workspace: Path) -> None:
    assert check_release.problems("kernels-bench-v0.1.0", workspace) == []
    film(workspace, "0.1.1")
    assert check_release.problems("kernels-film-v0.1.1", workspace) == []
    film(workspace, "0.1.1", "## Unreleased\n\n## 0.1.1 - 2026-03-01")
    assert check_release.problems("kernels-film-v0.1.1", workspace) == []


@pytest.mark.parametrize(
    "tag", ["kernels-film-0.1.1", "kernels-film-v0.1", "v0.1.1", "kernels-flim-v0.1.1", "kernels-film-v01.1.1", ""]
)
def test_malformed_tag_is_rejected(workspace: Path, tag: str) -> None:
    (problem,) = check_release.problems(tag, workspace)
    assert repr(tag) in problem
    assert "kernels-bench, kernels-film" in problem


def test_version_mismatch_is_rejected(workspace: Path) -> None:
    film(workspace, "0.1.1", "## 0.1.2 - 2026-03-01")
    (problem,) = check_release.problems("kernels-film-v0.1.2", workspace)
    assert 'version = "0.1.1"; write version = "0.1.2"' in problem


@pytest.mark.parametrize(
    ("heading", "text", "message"),
    [
        ("## Unreleased", "- Faster.\n", "under '## Unreleased'"),
        ("## Unreleased\n\n- Faster.\n\n## 0.1.1 - 2026-03-01", "- Faster.\n", "under '## Unreleased'"),
        ("## 0.1.2 - 2026-03-01", "- Faster.\n", "must be '## 0.1.1 - YYYY-MM-DD'; it is '## 0.1.2 - 2026-03-01'"),
        ("## 0.1.1", "- Faster.\n", "it is '## 0.1.1'"),
        ("## 0.1.1 - March 2026", "- Faster.\n", "it is '## 0.1.1 - March 2026'"),
        ("## 0.1.1 - 2026-02-30", "- Faster.\n", "2026-02-30: day"),
        ("## 0.1.1 - 2026-03-01", "", "has no entries"),
        ("## 0.1.1 - 2026-03-01", "### Fixed\n", "has no entries"),
        ("## 0.1.1 - 9999-03-01", "- x\n", "is in the future"),
        ("", "", "it is '## 0.1.0 - 2026-01-31'"),
    ],
)
def test_changelog_without_the_release_is_rejected(workspace: Path, heading: str, text: str, message: str) -> None:
    film(workspace, "0.1.1", heading, text)
    (problem,) = check_release.problems("kernels-film-v0.1.1", workspace)
    assert "packages/kernels-film/CHANGELOG.md" in problem
    assert message in problem


@pytest.mark.parametrize(
    ("version", "required", "written"),
    [
        ("0.2.0", RANGE, "kernels-film>=0.2,<0.3"),
        ("0.2.3", "kernels-film[all]~=0.1.0", "kernels-film[all]>=0.2,<0.3"),
        ("1.2.0", "kernels-film >= 0.1, < 1", "kernels-film>=1.2,<2.0"),
    ],
)
@pytest.mark.parametrize("extra", [False, True])
def test_version_outside_the_range_of_a_dependent_is_rejected(
    workspace: Path, version: str, required: str, written: str, extra: bool
) -> None:
    film(workspace, version)
    where = "[]\n[project.optional-dependencies]\ntorch = " if extra else ""
    write(workspace, "bench", "0.1.0", "", dependencies=f'{where}["rich", "{required}"]')
    (problem,) = check_release.problems(f"kernels-film-v{version}", workspace)
    line, change = problem.splitlines()
    assert line == f"packages/kernels-bench/pyproject.toml:{6 if extra else 4}: " + (
        f'torch = ["rich", "{required}"]' if extra else f'dependencies = ["rich", "{required}"]'
    )
    assert change.strip() == f"does not accept kernels-film {version}; write {written!r} for {required!r}"

    file = workspace / "packages" / "kernels-bench" / "pyproject.toml"
    file.write_text(file.read_text().replace(required, written))
    assert check_release.problems(f"kernels-film-v{version}", workspace) == []


def test_package_with_unreleased_requirement_is_rejected(workspace: Path) -> None:
    film(workspace, "0.2.0")
    write(workspace, "bench", "0.2.0", "## 0.2.0 - 2026-03-01\n\n- x\n", dependencies='["kernels-film>=0.2,<0.3"]')
    (problem,) = check_release.problems("kernels-bench-v0.2.0", workspace)
    assert "release kernels-film first" in problem
    git(workspace, "commit", "-qam", "Second")
    git(workspace, "tag", "kernels-film-v0.2.0")
    assert check_release.problems("kernels-bench-v0.2.0", workspace) == []


def test_package_tested_against_unreleased_api_is_rejected(workspace: Path) -> None:
    film(workspace, "0.1.0", api="f(a)\ng(a)\nnew(a)\n")
    (problem,) = check_release.problems("kernels-bench-v0.1.0", workspace)
    assert "kernels-film has names that its release 0.1.0 lacks" in problem
    assert problem.endswith("\n  new(a)")


def test_spellings_of_a_requirement(workspace: Path) -> None:
    film(workspace, "0.2.0")
    marked = "kernels_film>=0.1,<0.2; python_version < '4'"
    write(workspace, "bench", "0.1.0", "", dependencies=f'["{marked}"]')
    (problem,) = check_release.problems("kernels-film-v0.2.0", workspace)
    assert "write 'kernels_film>=0.2,<0.3; python_version < \"4\"'" in problem
    write(workspace, "bench", "0.1.0", "", dependencies=f"['{RANGE}']")
    (problem,) = check_release.problems("kernels-film-v0.2.0", workspace)
    assert f"pyproject.toml:4: dependencies = ['{RANGE}']" in problem


@pytest.mark.parametrize(
    ("version", "message"), [("0.1.2", "is below 0.2.0"), ("0.2.0", "was released from another commit")]
)
def test_versions_must_increase(workspace: Path, version: str, message: str) -> None:
    git(workspace, "commit", "--allow-empty", "-qm", "Second")
    git(workspace, "tag", "kernels-film-v0.2.0")
    film(workspace, version)
    write(workspace, "bench", "0.1.0", "", dependencies='["kernels-film>=0.1,<0.3"]')
    git(workspace, "commit", "-qam", "Third")
    (problem,) = check_release.problems(f"kernels-film-v{version}", workspace)
    assert message in problem


def test_tagged_commit_is_accepted(workspace: Path) -> None:
    assert check_release.problems("kernels-film-v0.1.0", workspace) == []


def test_patch_that_adds_api_is_rejected_from_1_0_on(workspace: Path) -> None:
    write(workspace, "bench", "0.1.0", "")
    film(workspace, "1.0.0", api="f(a)\n")
    git(workspace, "commit", "-qam", "Second")
    git(workspace, "tag", "kernels-film-v1.0.0")
    film(workspace, "1.0.1", api="f(a)\ng(b)\n")
    (problem,) = check_release.problems("kernels-film-v1.0.1", workspace)
    assert "release 1.1.0:\n  g(b)" in problem
    film(workspace, "1.1.0", api="f(a)\ng(b)\n")
    assert check_release.problems("kernels-film-v1.1.0", workspace) == []


def test_missing_changelog_is_reported(workspace: Path) -> None:
    (workspace / "packages/kernels-film/CHANGELOG.md").unlink()
    (problem,) = check_release.problems("kernels-film-v0.1.0", workspace)
    assert problem == "packages/kernels-film/CHANGELOG.md is missing"


@pytest.mark.parametrize("api", ["f(a)\n", "f(a, b)\ng(a)\n"])
def test_breaking_patch_is_rejected(workspace: Path, api: str) -> None:
    film(workspace, "0.1.1", api=api)
    (problem,) = check_release.problems("kernels-film-v0.1.1", workspace)
    assert "release 0.2.0" in problem
    assert problem.splitlines()[1:] == [f"  {line}" for line in ["f(a)", "g(a)"] if line not in api.splitlines()]
    film(workspace, "0.2.0", api=api)
    write(workspace, "bench", "0.1.0", "", dependencies='["kernels-film>=0.1,<0.3"]')
    assert check_release.problems("kernels-film-v0.2.0", workspace) == []


def test_command_reports_problems() -> None:
    command = [sys.executable, str(ROOT / "tools" / "check_release.py")]
    result = subprocess.run([*command, "kernels-film-v99.0.0"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "packages/kernels-bench/pyproject.toml:" in result.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "gone"),
    [
        ("__init__.py", ', "RegisterPooling"]', "]", "class RegisterPooling()"),
        ("public.py", "def f(a)", "def f(a, b)", "public: f(a)"),
        ("_registers.py", "def flop_count(self, dim: int)", "def flop_count(self)", "RegisterPooling.flop_count(dim"),
        ("_generator.py", "film_hidden_dim: int = 64", "film_hidden_dim: int", "KernelFiLMGenerator.__init__("),
        ("_generator.py", "film_hidden_dim: int = 64", "hidden: int = 64", "KernelFiLMGenerator.__init__("),
    ],
)
def test_breaking_change_alters_the_recorded_api(tmp_path: Path, file: str, old: str, new: str, gone: str) -> None:
    tree = shutil.copytree(ROOT / "packages" / "kernels-film", tmp_path / "kernels-film")
    (tree / "src" / "kernels_film" / "public.py").write_text('__all__ = ["f"]\n\n\ndef f(a): ...\n')
    before = list(public_api.library(tree))
    source = tree / "src" / "kernels_film" / file
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))
    lost = set(before) - set(public_api.library(tree))
    assert any(line.startswith(gone) for line in lost), lost


def test_commands_and_options_are_recorded() -> None:
    lines = list(public_api.command())
    assert "kernels-bench demo" in lines
    assert "kernels-bench demo --out = kernels-report" in lines
    assert "kernels-bench run --allocator default|retain = default" in lines
    assert "kernels-bench run --threads" in lines


def wheel(path: Path, **changes: bytes | None) -> None:
    """Write a wheel of two modules; `changes` replaces, adds or (None) omits files."""
    files: dict[str, bytes | None] = {
        "kernels_film/__init__.py": b"x = 1\n",
        "kernels_film/py.typed": b"",
        "kernels_film-0.1.0.dist-info/METADATA": b"",
        "kernels_film-0.1.0.dist-info/licenses/LICENSE": b"free",
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"tests/test_x.py": b""}, "holds tests/test_x.py"),
        ({"kernels_film/_more.py": b""}, "holds kernels_film/_more.py"),
        ({"kernels_film/py.typed": None}, "lacks kernels_film/py.typed"),
        (
            {"kernels_film-0.1.0.dist-info/licenses/LICENSE": None},
            "lacks kernels_film-0.1.0.dist-info/licenses/LICENSE",
        ),
        ({"kernels_film/__init__.py": b"x = 2\n"}, "changed kernels_film/__init__.py"),
    ],
)
def test_wheel_contains_exactly_the_package(
    tmp_path: Path, changes: dict[str, bytes | None], message: str | None
) -> None:
    tree, dist = tmp_path / "kernels-film", tmp_path / "dist"
    (tree / "src" / "kernels_film").mkdir(parents=True)
    (tree / "LICENSE").write_text("free")
    (tree / "src" / "kernels_film" / "__init__.py").write_text("x = 1\n")
    (tree / "src" / "kernels_film" / "py.typed").touch()
    for folder in (dist, dist / "tree"):
        wheel(folder / "kernels_film-0.1.0-py3-none-any.whl", **changes)
    (dist / "kernels_film-0.1.0.tar.gz").touch()
    found = check_dist.problems(tree, dist)
    assert found == [] if message is None else any(message in line for line in found)

    wheel(dist / "tree" / "kernels_film-0.1.0-py3-none-any.whl", **{**changes, "kernels_film/_only.py": b""})
    assert any(
        "kernels_film/_only.py is not the same in the wheels" in line for line in check_dist.problems(tree, dist)
    )


@pytest.mark.parametrize(
    ("docstring", "page", "message"),
    [
        (">>> 1 + 1\n2", "```python\nimport example\nassert example.x == 1\n```\n", ""),
        (">>> 1 + 1\n3", "", "examples in docstrings failed"),
        ("", "text\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", 'README.md", line 8'),
        ("", "```python\nimport no_such_package\n```\n", "No module named 'no_such_package'"),
    ],
)
def test_examples_run(tmp_path: Path, docstring: str, page: str, message: str) -> None:
    package = tmp_path / "example"
    package.mkdir()
    (package / "__init__.py").write_text("x = 1\n")
    (package / "_private.py").write_text(f'"""{docstring}\n"""\n')
    (tmp_path / "README.md").write_text(page)
    command = [sys.executable, str(ROOT / "tools" / "run_examples.py"), "README.md", "example", "--docstrings"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )
    assert (result.returncode == 0) == (not message), result.stderr
    assert message in result.stderr


@pytest.mark.parametrize("table", route_thresholds.TABLES)
def test_table_of_thresholds_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    before = {name: value for name, value in vars(route).items() if name.isupper()}
    problem = route_thresholds.problem
    monkeypatch.setattr(route_thresholds, "problem", lambda items, channels, *sizes: problem(1, 1, *sizes))
    for name, value in {"SECONDS": 0, "RUNS": 1, "ROWS": 1, "SHAPES": [(2, 3, (10, 12))]}.items():
        monkeypatch.setattr(route_thresholds, name, value)
    route_thresholds.main([table])
    heading, _, *rows = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert heading.startswith(f"{table}: ")
    assert rows
    for row in rows:
        if not row.startswith("Positions"):
            assert re.search(r"\b[0-9]+\.[0-9]{2}\b", row), row
    assert {name: value for name, value in vars(route).items() if name.isupper()} == before


def test_a_ratio_above_one_says_that_the_first_is_faster() -> None:
    assert route_thresholds.ratio(lambda: None, lambda: sum(range(100_000))) > 1


def test_unknown_table_of_thresholds_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        route_thresholds.main(["blocks", "block"])
    assert "must be of direct, overlap_save, " in capsys.readouterr().err


def test_every_measured_threshold_has_a_table() -> None:
    printed = " ".join(table.__doc__ for table in route_thresholds.TABLES.values())
    named = [name for name, value in vars(route).items() if name.isupper() and name != "DEVICE_BYTES"]
    assert len(named) > 8
    assert [name for name in named if not any(fnmatch(name, word.strip(".,:")) for word in printed.split())] == []


def test_jax_route_thresholds_times_both_routes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kernels_jax")
    thresholds = tool("jax_route_thresholds")
    monkeypatch.setattr(thresholds, "SIZES", {(1, 2, 8): [(3,)]})
    thresholds.main()
    _, result, kernel = capsys.readouterr().out.splitlines()
    for line, product in ((result, "result"), (kernel, "kernel")):
        assert re.fullmatch(
            rf"\(1, 2, 8\) with \(3,\), 3 taps, {product}: Direct \S+ \(\d+\) Spectral \S+ \(\d+\)", line
        )
