"""`kernels-bench compare`: a table and an exit status from two files."""

import sys
from pathlib import Path

from ._results.compare import Change, UnreadableError, compare, differences, read
from ._results.table import table


def compare_files(old_path: Path, new_path: Path) -> int:
    """Print what changed; 1 where something got worse, 2 where there is nothing to compare."""
    try:
        old, new = read(old_path), read(new_path)
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return 2
    changes = compare(old, new)
    if not changes:
        print(f"{old_path} and {new_path} have no case in common", file=sys.stderr)
        return 2
    for key, (before, after) in differences(old, new).items():
        print(f"Different {key}: {before} before, {after} now")
    for title, one, other in (("New", new, old), ("Gone", old, new)):
        known = {record["name"] for record in other["cases"]}
        for name in (record["name"] for record in one["cases"] if record["name"] not in known):
            print(f"{title}: {name}")
    for text in table(["case", "old", "new", "new / old", "noise", ""], [_cells(change) for change in changes]):
        print(text)
    worse = [change for change in changes if change.worse]
    print(f"{len(worse)} of {len(changes)} got worse beyond noise")
    return 1 if worse else 0


def _cells(change: Change) -> list[str]:
    ratio = "" if change.ratio is None else f"{change.ratio:.2f}"
    noise = "" if change.noise is None else f"{100 * change.noise:.0f} %"
    return [change.name, change.before, change.after, ratio, noise, "" if change.verdict == "same" else change.verdict]
