"""Check the distributions of a package: `python tools/check_dist.py packages/NAME DIST`.

`DIST` holds the sdist and the wheel made from it, `DIST/tree` the wheel made from the tree. The wheels must be the
same, and hold the package's files, `py.typed` among them, the licence, the metadata and nothing else.
"""

import sys
import zipfile
from pathlib import Path


def contents(wheel: Path) -> dict[str, bytes]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def problems(tree: Path, dist: Path) -> list[str]:
    """Problems of the distributions in `dist` of the package at `tree`."""
    package = tree.name.replace("-", "_")
    (wheel,), (from_tree,) = dist.glob(f"{package}-*.whl"), (dist / "tree").glob(f"{package}-*.whl")
    (sdist,) = dist.glob(f"{package}-*.tar.gz")
    release = sdist.name.removesuffix(".tar.gz")
    found, again = contents(wheel), contents(from_tree)

    sources = (path for path in (tree / "src" / package).rglob("*") if path.is_file() and path.suffix != ".pyc")
    expected = {path.relative_to(tree / "src").as_posix(): path.read_bytes() for path in sources}
    expected |= {f"{release}.dist-info/licenses/LICENSE": (tree / "LICENSE").read_bytes()}
    metadata = {f"{release}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    return [
        *(f"{wheel.name} lacks {name}" for name in sorted({*expected, f"{package}/py.typed"} - found.keys())),
        *(f"{wheel.name} holds {name}" for name in sorted(found.keys() - expected.keys() - metadata)),
        *(f"{wheel.name} changed {name}" for name in sorted(expected) if found.get(name, b"") != expected[name]),
        *(
            f"{name} is not the same in the wheels from {sdist.name} and from the tree"
            for name in sorted(found.keys() | again.keys())
            if found.get(name) != again.get(name)
        ),
    ]


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.exit("\n".join(found) if found else 0)
