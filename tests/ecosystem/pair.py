"""Programs for two processes: every `check_*` function of a file, run by one pair of processes that talk over gloo.

Warnings are errors in them, except those whose message begins with one of the file's `IGNORED`.
"""

import importlib.util
import json
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

PATIENCE = 60  # seconds in which a process answers the other


def load(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("checks", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checks(module: ModuleType | dict[str, object]) -> list[str]:
    names = module if isinstance(module, dict) else vars(module)
    return [name for name in names if name.startswith("check_")]


def run_pair(file: str, names: list[str], folder: Path) -> dict[str, str]:
    """What went wrong in each of the checks `names` of `file`, empty for one that passed.

    After a failure the processes may wait for each other, so a new pair runs the checks that remain.
    """
    wrong: dict[str, str] = {}
    while len(wrong) < len(names):
        attempt = folder / f"attempt{len(wrong)}"
        attempt.mkdir()
        left = [name for name in names if name not in wrong]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, file, str(attempt)]
        processes = [
            subprocess.Popen([*command, str(rank), *left], env=environment, stderr=subprocess.PIPE, text=True)
            for rank in range(2)
        ]
        printed = [process.communicate(timeout=PATIENCE * len(names))[1] for process in processes]
        reports = [dict(read(attempt / f"rank{rank}")) for rank in range(2)]
        for name in left:
            found = [report.get(name, printed[rank] or "did not run") for rank, report in enumerate(reports)]
            wrong[name] = "\n".join(f"process {rank}: {text}" for rank, text in enumerate(found) if text)
            if wrong[name]:
                break
    return wrong


def read(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text().splitlines() if file.exists() else []:
        name, text = json.loads(line)
        yield name, text


def main(file: str, folder: str, rank: str, *names: str) -> None:
    import torch
    import torch.distributed as dist

    warnings.simplefilter("error")
    torch.set_num_threads(1)
    patience = timedelta(seconds=PATIENCE)
    # Processes that meet in a file need no free port.
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=int(rank), world_size=2, timeout=patience)
    module = load(file)
    for message in getattr(module, "IGNORED", ()):
        warnings.filterwarnings("ignore", message)
    with Path(folder, f"rank{rank}").open("w") as report:
        for name in names:
            try:
                getattr(module, name)(int(rank))
                dist.barrier()
            except BaseException:
                report.write(json.dumps([name, traceback.format_exc()]) + "\n")
                report.flush()
                os._exit(1)  # the other process may never answer
            report.write(json.dumps([name, ""]) + "\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
