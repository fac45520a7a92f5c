"""Refuse a release tag `NAME-vX.Y.Z` that the tree does not agree with.

`python tools/check_release.py kernels-film-v0.2.0` prints what to change, and exits with 1 where there is something. It
checks

- the version in the package's pyproject.toml,
- the newest heading of its changelog, `## X.Y.Z - YYYY-MM-DD`, with something under it,
- the ranges in which packages of this workspace require each other: others must accept the new version, and what
  the package requires must have been released,
- its api.txt: where lines of the last release are gone or changed, the version must be one that may break users.

The last release is the newest tag of the package below this one, so fetch the tags first.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TAG = re.compile(r"(?P<name>[a-z][a-z-]*)-v(?P<version>(0|[1-9]\d*)(\.(0|[1-9]\d*)){2})")


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """What keeps `tag` from being released from the tree at `root`; empty when nothing does."""
    projects = {path.parent.name: tomllib.loads(path.read_text()) for path in root.glob("packages/*/pyproject.toml")}
    match = TAG.fullmatch(tag)
    if match is None or match["name"] not in projects:
        return [f"the tag must be NAME-vX.Y.Z with NAME one of {', '.join(sorted(projects))}; got {tag!r}"]
    name, version = match["name"], Version(match["version"])
    releases = [Version(found["version"]) for found in map(TAG.fullmatch, _git_tags(root, name)) if found]
    return [
        *_version(name, version, projects[name]),
        *_changelog(name, version, root),
        *_ranges_of_others(name, version, projects, root),
        *_own_ranges(name, projects, root),
        *_interface(name, version, releases, root),
    ]


def _version(name: str, version: Version, project: dict[str, Any]) -> Iterator[str]:
    found = project["project"]["version"]
    if found != str(version):
        yield f'packages/{name}/pyproject.toml has version = "{found}"; write version = "{version}"'


def _changelog(name: str, version: Version, root: Path) -> Iterator[str]:
    file = f"packages/{name}/CHANGELOG.md"
    _, *sections = re.split(r"^## ", (root / file).read_text(), flags=re.MULTILINE)
    titles, texts = zip(*(section.partition("\n")[::2] for section in sections), strict=True) if sections else ((), ())
    if titles and titles[0].strip() == "Unreleased":
        if texts[0].strip():
            yield f"{file} has changes under '## Unreleased'; they belong under '## {version} - YYYY-MM-DD'"
            return
        titles, texts = titles[1:], texts[1:]
    heading = re.fullmatch(rf"{re.escape(str(version))} - (\d{{4}}-\d{{2}}-\d{{2}})\s*", titles[0]) if titles else None
    if heading is None:
        found = f"'## {titles[0].strip()}'" if titles else "none"
        yield f"the newest heading of {file} must be '## {version} - YYYY-MM-DD'; it is {found}"
        return
    try:
        date.fromisoformat(heading[1])
    except ValueError as error:
        yield f"{file} dates {version} {heading[1]}: {error}"
    if not texts[0].strip():
        yield f"{file} says nothing under '## {titles[0].strip()}'"


def _ranges_of_others(name: str, version: Version, projects: dict[str, Any], root: Path) -> Iterator[str]:
    for other, project in sorted(projects.items()):
        for text, requirement in _requirements(project):
            if requirement.name == name and version not in requirement.specifier:
                changed = f"{_requirement_start(text)}>={version.major}.{version.minor},<{_next_break(version)}"
                yield f"{_line(root, other, text)}\n  does not accept {name} {version}; write {changed!r} for {text!r}"


def _own_ranges(name: str, projects: dict[str, Any], root: Path) -> Iterator[str]:
    for text, requirement in _requirements(projects[name]):
        if requirement.name not in projects or requirement.name == name:
            continue
        released = [found["version"] for found in map(TAG.fullmatch, _git_tags(root, requirement.name)) if found]
        if not any(requirement.specifier.filter(released)):
            yield (
                f"{_line(root, name, text)}\n  requires a {requirement.name} that has not been released: "
                f"no tag {requirement.name}-v{requirement.specifier}; release {requirement.name} first"
            )


def _interface(name: str, version: Version, releases: list[Version], root: Path) -> Iterator[str]:
    file = f"packages/{name}/api.txt"
    last = max((release for release in releases if release < version), default=None)
    if last is None or version >= Version(_next_break(last)):
        return
    before = _git(root, "show", f"{name}-v{last}:{file}").splitlines()
    gone = [line for line in before if line not in set((root / file).read_text().splitlines())]
    if gone:
        yield (
            f"{version} may not break users of {last}, but these lines of {file} are gone or changed; "
            f"release {_next_break(last)}.0 or take the change back:" + "".join(f"\n  {line}" for line in gone)
        )


def _requirements(project: dict[str, Any]) -> Iterator[tuple[str, Requirement]]:
    """Every requirement of a package, those of its extras too, as written and as parsed."""
    table = project["project"]
    for group in (table.get("dependencies", []), *table.get("optional-dependencies", {}).values()):
        yield from ((text, Requirement(text)) for text in group)


def _requirement_start(text: str) -> str:
    """The name and extras of a requirement."""
    return re.split(r"[<>=!~; ]", text, maxsplit=1)[0]


def _next_break(version: Version) -> str:
    """The next `MAJOR.MINOR` that may break users of `version`: the next minor below 1.0, else the next major."""
    return f"0.{version.minor + 1}" if version.major == 0 else f"{version.major + 1}.0"


def _line(root: Path, name: str, text: str) -> str:
    """Where a requirement stands: file, line number and the line."""
    file = f"packages/{name}/pyproject.toml"
    lines = (root / file).read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if f'"{text}"' in line)
    return f"{file}:{number}: {lines[number - 1].strip()}"


def _git_tags(root: Path, name: str) -> list[str]:
    return _git(root, "tag", "--list", f"{name}-v*").split()


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Check the tag given on the command line."""
    if len(sys.argv) != 2:
        print("usage: python tools/check_release.py NAME-vX.Y.Z", file=sys.stderr)
        return 2
    found = problems(sys.argv[1])
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"{sys.argv[1]} can be released")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
