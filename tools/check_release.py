"""Refuse a release tag `NAME-vX.Y.Z` that does not match the tree.

`python tools/check_release.py kernels-film-v0.2.0` prints the changes required, and exits with 1 if there are any. It
checks

- the version in the package's pyproject.toml,
- the newest heading of its changelog, `## X.Y.Z - YYYY-MM-DD`, with entries under it,
- the ranges in which packages of this workspace require each other: others must accept the new version, and
  packages that it requires must have been released with the public API that they have in the tree,
- its api.txt: if lines of the last release are gone or changed, the version must allow breaking changes, and from 1.0
  on, if lines are new, additions.

The last release is the newest tag of the package on this branch, so fetch the tags first.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TAG = re.compile(r"(?P<name>[a-z][a-z-]*)-v(?P<version>(0|[1-9]\d*)(\.(0|[1-9]\d*)){2})")


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """Reasons not to release `tag` from the tree at `root`."""
    projects = {path.parent.name: tomllib.loads(path.read_text()) for path in root.glob("packages/*/pyproject.toml")}
    match = TAG.fullmatch(tag)
    if match is None or match["name"] not in projects:
        return [f"the tag must be NAME-vX.Y.Z with NAME one of {', '.join(sorted(projects))}; got {tag!r}"]
    name, version = match["name"], Version(match["version"])
    releases = _releases(root, name)
    return [
        *_order(name, version, releases, root),
        *_version(name, version, projects[name]),
        *_changelog(name, version, root),
        *_ranges_of_others(name, version, projects, root),
        *_own_ranges(name, projects, root),
        *_interface(name, version, max(releases, default=None), root),
    ]


def _order(name: str, version: Version, releases: list[Version], root: Path) -> Iterator[str]:
    if version in releases:
        if _git(root, "rev-parse", f"{name}-v{version}^{{commit}}") != _git(root, "rev-parse", "HEAD"):
            yield f"{name} {version} was released from another commit and cannot be replaced: take a new version"
    elif releases and version < max(releases):
        yield f"{name} {version} is below {max(releases)}, which this branch has released"


def _version(name: str, version: Version, project: dict[str, Any]) -> Iterator[str]:
    found = project["project"]["version"]
    if found != str(version):
        yield f'packages/{name}/pyproject.toml has version = "{found}"; write version = "{version}"'


def _changelog(name: str, version: Version, root: Path) -> Iterator[str]:
    file = f"packages/{name}/CHANGELOG.md"
    if not (root / file).exists():
        yield f"{file} is missing"
        return
    _, *sections = re.split(r"^## ", (root / file).read_text(), flags=re.MULTILINE)
    titles, texts = zip(*(section.partition("\n")[::2] for section in sections), strict=True) if sections else ((), ())
    if titles and titles[0].strip() == "Unreleased":
        if _has_entries(texts[0]):
            yield f"{file} has changes under '## Unreleased'; they belong under '## {version} - YYYY-MM-DD'"
            return
        titles, texts = titles[1:], texts[1:]
    heading = re.fullmatch(rf"{re.escape(str(version))} - (\d{{4}}-\d{{2}}-\d{{2}})\s*", titles[0]) if titles else None
    if heading is None:
        found = f"'## {titles[0].strip()}'" if titles else "none"
        yield f"the newest heading of {file} must be '## {version} - YYYY-MM-DD'; it is {found}"
        return
    try:
        day = date.fromisoformat(heading[1])
    except ValueError as error:
        yield f"{file} dates {version} {heading[1]}: {error}"
    else:
        # In some time zone the day has already begun.
        if day > datetime.now(UTC).date() + timedelta(days=1):
            yield f"{file} dates {version} {day}, which is in the future"
    if not _has_entries(texts[0]):
        yield f"{file} has no entries under '## {titles[0].strip()}'"


def _has_entries(section: str) -> bool:
    """Whether a section has text besides headings."""
    return any(line.strip() and not line.startswith("#") for line in section.splitlines())


def _ranges_of_others(name: str, version: Version, projects: dict[str, Any], root: Path) -> Iterator[str]:
    for other, project in sorted(projects.items()):
        for text, requirement in _requirements(project):
            if canonicalize_name(requirement.name) == name and version not in requirement.specifier:
                marker = f"; {requirement.marker}" if requirement.marker else ""
                changed = f"{_requirement_start(text)}>={version.major}.{version.minor},<{_next_break(version)}{marker}"
                yield f"{_line(root, other, text)}\n  does not accept {name} {version}; write {changed!r} for {text!r}"


def _own_ranges(name: str, projects: dict[str, Any], root: Path) -> Iterator[str]:
    for text, requirement in _requirements(projects[name]):
        sibling = canonicalize_name(requirement.name)
        if sibling not in projects or sibling == name:
            continue
        released = list(requirement.specifier.filter(_releases(root, sibling)))
        if not released:
            yield (
                f"{_line(root, name, text)}\n  requires a {sibling} that has not been released: "
                f"no tag {sibling}-v{requirement.specifier}; release {sibling} first"
            )
            continue
        # Tests ran with the sibling in the tree, users get the released one: new names in the tree may be relied on.
        newest, file = max(released), f"packages/{sibling}/api.txt"
        new = _lines_only_in((root / file).read_text(), _recorded(root, sibling, newest))
        if new:
            yield (
                f"{_line(root, name, text)}\n  {sibling} has names that its release {newest} lacks, so {name} "
                f"was not tested with that; release {sibling} first:" + "".join(f"\n  {line}" for line in new)
            )


def _interface(name: str, version: Version, last: Version | None, root: Path) -> Iterator[str]:
    if last is None or version <= last or version >= Version(_next_break(last)):
        return
    file = f"packages/{name}/api.txt"
    before, after = _recorded(root, name, last), (root / file).read_text()
    if gone := _lines_only_in(before, after):
        yield (
            f"{version} may not break users of {last}, but these lines of {file} are gone or changed; "
            f"release {_next_break(last)}.0 or take the change back:" + "".join(f"\n  {line}" for line in gone)
        )

    elif last.major and version.minor == last.minor and (new := _lines_only_in(after, before)):
        yield (
            f"{version} may not add to {last}, but these lines of {file} are new; "
            f"release {last.major}.{last.minor + 1}.0:" + "".join(f"\n  {line}" for line in new)
        )


def _lines_only_in(text: str, other: str) -> list[str]:
    return [line for line in text.splitlines() if line not in set(other.splitlines())]


def _recorded(root: Path, name: str, release: Version) -> str:
    """The api.txt of a release; empty where it had none."""
    file = f"packages/{name}/api.txt"
    listed = _git(root, "ls-tree", "--name-only", f"{name}-v{release}", file)
    return _git(root, "show", f"{name}-v{release}:{file}") if listed else ""


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
    """File, line number and line of a requirement."""
    file = f"packages/{name}/pyproject.toml"
    lines = (root / file).read_text().splitlines()
    found = (f"{file}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if text in line)
    return next(found, f"{file}: {text}")  # TOML allows escapes and several lines


def _releases(root: Path, name: str) -> list[Version]:
    """Released versions in the history of the branch."""
    tags = _git(root, "tag", "--list", f"{name}-v*", "--merged", "HEAD").split()
    return [Version(found["version"]) for found in map(TAG.fullmatch, tags) if found]


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
        name = sys.argv[1].rpartition("-v")[0]
        others = sorted(version for version in _releases(ROOT, name) if f"{name}-v{version}" != sys.argv[1])
        compared = f"compared with {others[-1]}" if others else "no earlier tag of it here: was `git fetch --tags` run?"
        print(f"{sys.argv[1]} can be released ({compared})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
