"""The public API of every package and its public modules, one line per name, in packages/NAME/api.txt.

`python tools/public_api.py` compares these files with the tree and fails where they differ; with `--record` it writes
them. Signatures are read from the source with griffe. kernels-bench is a command: its API is its options.

`griffe check` against a tag does not replace these files. It reports removals and changes but no additions, which
check_release.py compares too; it does not know the options of a command; and it finds nothing before the first tag,
while a change of these files shows in review from the first commit on.
"""

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import typer

ROOT = Path(__file__).parents[1]


def library(tree: Path) -> Iterator[str]:
    """The names in `__all__`, of the package and of every module whose name has no underscore."""
    package: Any = griffe.load(tree.name.replace("-", "_"), search_paths=[tree / "src"], allow_inspection=False)
    yield from _names(package)
    for name, module in sorted(package.modules.items()):
        if not name.startswith("_"):
            yield from (f"{name}: {line}" for line in _names(module))


def _names(package: Any) -> Iterator[str]:
    """Functions with signatures, classes with their public bases and the members that these lack."""
    for name in sorted(str(name) for name in package.exports or ()):
        public = package[name]
        public = public.final_target if public.is_alias else public
        if public.is_class:
            bases = [base for base in public.mro() if base.name in package.exports]
            yield f"class {name}({', '.join(base.name for base in bases)})"
            inherited = {line for base in bases for line in _members(base)}
            yield from (f"{name}.{line}" for line in _members(public) if line not in inherited)
        elif public.is_function:
            yield public.signature()
        else:
            yield f"{name} = {public.value}"


def _members(described: Any) -> Iterator[str]:
    for name, member in sorted(described.all_members.items()):
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        member = member.final_target if member.is_alias else member
        if member.is_function:
            yield member.signature()
            continue
        annotation = "" if member.annotation is None else f": {member.annotation}"
        # A value in the class statement may be that of a field, the default of the constructor.
        value = f" = {member.value}" if member.value is not None and "class-attribute" in member.labels else ""
        yield f"{name}{annotation}{value}"


def command() -> Iterator[str]:
    """The subcommands of kernels-bench with their options and defaults."""
    from kernels_bench.__main__ import app
    from kernels_bench.run._options import option_parser

    def parameters(words: str, described: Any) -> Iterator[str]:
        for parameter in described.params:
            spelled = "/".join([*parameter.opts, *parameter.secondary_opts])
            yield f"{words} {spelled}" + (" (required)" if parameter.required else f" = {parameter.default}")
        for name, subcommand in getattr(described, "commands", {}).items():
            yield f"{words} {name}"
            yield from parameters(f"{words} {name}", subcommand)

    yield from sorted(parameters("kernels-bench", typer.main.get_command(app)))
    for action in option_parser("kernels-bench run")._actions:
        # The default is the number of cores.
        default = "" if action.dest in ("help", "threads") else f" = {action.default}"
        choices = f" {'|'.join(map(str, action.choices))}" if action.choices else ""
        yield f"kernels-bench run {'/'.join(action.option_strings) or action.metavar}{choices}{default}"


def main() -> int:
    """Compare, or record with `--record`."""
    differ = False
    for tree in sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")):
        file = tree / "api.txt"
        lines = [f"{line}\n" for line in (command() if tree.name == "kernels-bench" else library(tree))]
        if "--record" in sys.argv[1:]:
            file.write_text("".join(lines), encoding="utf-8")
            continue
        recorded = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        difference = list(difflib.unified_diff(recorded, lines, f"{tree.name}/api.txt", "the tree", n=0))
        sys.stdout.writelines(difference)
        differ = differ or bool(difference)
    if differ:
        print("The public API differs from the recorded one. If intended, run `nox -s api -- --record`, and see in")
        print("RELEASING.md which version it requires.")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
