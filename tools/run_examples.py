"""Run a package's examples where it is installed alone: `python run_examples.py README.md PACKAGE [--docstrings]`.

Uses only the standard library, so that an example fails if it requires more than the package declares.
"""

import argparse
import doctest
import importlib
import pkgutil
import re
import sys
import time
from pathlib import Path


def run_docstrings(package: str) -> int:
    """Run the examples in the docstrings of every module, and return their number."""
    path = importlib.import_module(package).__path__
    names = [package, *(module.name for module in pkgutil.walk_packages(path, f"{package}."))]
    results = [doctest.testmod(importlib.import_module(name)) for name in names]
    if any(result.failed for result in results):
        sys.exit(f"{package}: examples in docstrings failed")
    return sum(result.attempted for result in results)


def run_readme(readme: Path) -> int:
    """Run the Python examples of a page one after another, and return their number."""
    text, namespace = readme.read_text(encoding="utf-8"), {"__name__": "__main__"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    for block in blocks:
        lines_before = text.count("\n", 0, block.start(1))  # so that an error shows its line in the page
        exec(compile("\n" * lines_before + block[1], str(readme), "exec"), namespace)
    return len(blocks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("readme", type=Path)
    parser.add_argument("package")
    parser.add_argument("--docstrings", action="store_true")
    arguments = parser.parse_args()
    start = time.perf_counter()
    importlib.import_module(arguments.package)
    print(f"{arguments.package}: imported in {time.perf_counter() - start:.2f} s")
    if arguments.docstrings:
        print(f"{arguments.package}: {run_docstrings(arguments.package)} lines of examples in docstrings run")
    print(f"{arguments.package}: {run_readme(arguments.readme)} examples of the README run")
