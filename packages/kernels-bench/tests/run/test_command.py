import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kernels_bench.__main__ import app
from kernels_bench.run import SUITES, _allocator, _plan, main
from kernels_bench.run._results.compare import SCHEMA
from kernels_bench.run._suites.case import Case
from kernels_bench.run._suites.cases import cases_of
from kernels_bench.run._suites.comparison import OURS
from kernels_bench.run._timing.clock import Effort
from kernels_bench.run.peers import PEERS
from typer.testing import CliRunner

pytest.importorskip("torch")

TINY: dict[str, dict[str, Any]] = {
    "fftconv": {"batch": 1, "channels": 2},
    "ckconv": {"batch": 1, "channels": 8, "width": 8},
    "siren": {"channels": 8, "width": 8},
    "film": {"batch": 2, "channels": 8, "width": 8},
    "decode": {"channels": 2, "length": 128},
    "fftconv-jax": {"batch": 1, "channels": 2},
    "conditioners": {"rows": 8, "channels": 4, "cond_dim": 2},
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cases with hardly any channels, measured as briefly as can be, here; threads are left as they are."""

    def few(suite: str) -> Sequence[Case]:
        return [replace(case, **TINY[suite]) for case in cases_of(suite)]

    monkeypatch.setattr(_plan, "cases_of", few)
    # A number without a process, whose start takes seconds; `test_memory` tests real ones.
    monkeypatch.setattr(_plan, "extra_bytes", lambda case, name, threads: len(name))
    monkeypatch.setattr(_plan, "can_fork", lambda: False)
    for name in ("EFFORT", "QUICK"):
        monkeypatch.setattr(_plan, name, Effort(seconds=0, rounds=(2, 2), sample=0))
    monkeypatch.setattr("kernels_bench.run._command.limit_threads", lambda threads: None)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("suite", SUITES)
def test_a_quick_run_of_each_suite(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if missing := SUITES[suite].missing:
        pytest.skip(f"needs {missing}")
    label = next(case.label for case in cases_of(suite) if case.quick)
    arguments = [suite, "--quick", "--peers", "--filter", f"/{label}/", "--json", str(tmp_path / "a.json")]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    result = json.loads((tmp_path / "a.json").read_text())
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == result
    assert result["schema"] == SCHEMA
    environment = result["environment"]
    assert {"cpu", "threads", "allocator", "device", "torch", "python", "platform"} <= set(environment)
    names = [record["name"] for record in result["cases"]]
    assert names
    assert all(f"/{label}/" in name and name in output for name in names)
    page = (tmp_path / "out" / "results.md").read_text()
    for record in result["cases"]:
        assert record["name"] in page
        ours = record["implementations"][OURS]
        assert len(ours["seconds"]) == 2
        assert ours["extra_bytes"] > 0
        for name, entry in record["implementations"].items():
            assert "failed" not in entry
            assert entry.get("agrees", True), name
    installed = {peer.name for peer in PEERS if peer.installed}
    assert not installed & set(result["skipped"])
    for peer in PEERS:
        if suite in peer.suites and peer.name not in installed:
            assert peer.install in output


@pytest.mark.usefixtures("tiny")
def test_scaling(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from kernels_bench.run._results import scaling as _scaling

    def few(quick: bool) -> list[_scaling.Series]:
        return [
            replace(each, cases=[replace(case, channels=2) for case in each.cases]) for each in _scaling.series(quick)
        ]

    monkeypatch.setattr(_plan, "series", few)
    arguments = ["siren", "--quick", "--filter", "sequence", "--scaling", "--out", str(tmp_path)]
    assert main(arguments) == 0
    scaling = json.loads((tmp_path / "results.json").read_text())["scaling"]
    fits = [entry["exponents"] for entry in scaling if "exponents" in entry]
    assert len(fits) == 3
    assert all(set(fit[OURS]) == {"time", "memory"} for fit in fits)
    crossovers = [entry for entry in scaling if "crossover" in entry]
    assert len(crossovers) == 4
    for entry in crossovers:
        assert all("torch convNd" in record["implementations"] for record in entry["records"])
    assert "direct convolution is faster" in capsys.readouterr().out
    for theme in ("light", "dark"):
        assert (tmp_path / f"scaling-{theme}.png").read_bytes().startswith(b"\x89PNG")
    assert "scaling-light.png" in (tmp_path / "results.md").read_text()


@pytest.mark.usefixtures("tiny")
def test_peers_that_are_not_installed_are_named_with_how_to_get_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernels_bench.run.peers.Peer.installed", False)
    assert main(["fftconv", "--quick", "--peers", "--filter", "language"]) == 0
    output = capsys.readouterr().out
    assert "Skipping nvSubquadratic" in output
    assert "pip install --no-deps nvsubquadratic==0.2.0" in output
    assert "plain JAX" not in output  # no peer of this suite


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fftcnov"], "no suite is called 'fftcnov'; choose from fftconv, ckconv"),
        (["--threads", "0"], "--threads"),
        (["--threads", "100000"], "more than the"),
        (["--device", "tpu"], "--device"),
        (["--json", ""], "--json"),
        (["--no-such"], "--no-such"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_a_filter_that_fits_nothing_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["siren", "--filter", "image", "--filter", "nowhere"]) == 2
    errors = capsys.readouterr().err
    assert "no case holds 'image' and 'nowhere'" in errors
    assert all(case.name in errors for case in cases_of("siren") if not case.large)


@pytest.mark.parametrize("option", ["--json", "--out"])
def test_an_unwritable_place_is_refused_before_the_work_starts(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "a.json" if option == "--json" else tmp_path / "file"
    assert main(["siren", option, str(place)]) == 2
    captured = capsys.readouterr()
    assert option in captured.err
    assert captured.out == ""
    assert (tmp_path / "file").read_text() == "mine"


def test_a_missing_extra_is_named_with_its_install_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for suite, extra in (("fftconv", "torch"), ("conditioners", "jax")):
        assert main([suite]) == 2
        assert f"kernels-bench[{extra}]" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["siren", "--device", "cuda"]) == 2
    assert "no CUDA device that suite siren could use" in capsys.readouterr().err


def test_large_cases_are_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    names = {device: {case.name for case in _plan.choose(["fftconv"], [], False, device)} for device in ("cpu", "cuda")}
    assert names["cpu"] < names["cuda"]
    assert all("/backbone/" in name or "/large " in name for name in names["cuda"] - names["cpu"])


@pytest.mark.usefixtures("tiny")
def test_our_own_failure_is_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ValueError("broken on purpose")

    monkeypatch.setattr("kernels_bench.run._suites.fftconv.fftconv_nd", broken)
    assert main(["fftconv", "--quick", "--filter", "language"]) == 1
    assert "broken on purpose" in capsys.readouterr().out


def test_the_command_line_passes_everything_on(capfd: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(app, ["run", "siren", "--filter", "nowhere"])
    assert result.exit_code == 2
    result = CliRunner().invoke(app, ["run", "--help"])
    assert result.exit_code == 0
    assert "--allocator" in result.output


def test_an_allocator_that_retains_starts_the_command_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    for name in [*_allocator.RETAIN, "GLIBC_TUNABLES", "LD_PRELOAD"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.execve", lambda *arguments: started.append(arguments))
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    assert _allocator.current() == "default"
    _allocator.adopt("default")
    assert not started
    _allocator.adopt("retain")
    ((program, arguments, environment),) = started
    assert program == sys.executable
    assert arguments[1:] == sys.orig_argv[1:]
    monkeypatch.setattr("os.environ", environment)
    assert _allocator.current() == "retain"
    _allocator.adopt("retain")  # has it now
    assert len(started) == 1
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("os.environ", {"MALLOC_ARENA_MAX": "1"})
    assert _allocator.current() == "MALLOC_ARENA_MAX=1"
    with pytest.raises(ValueError, match="glibc"):
        _allocator.adopt("retain")


BARE_MACHINE = """
import sys
sys.modules.update(dict.fromkeys(["typer", "rich", "click", "matplotlib", "jinja2", "sklearn", "scipy", "jax"]))
from kernels_bench.run import _plan, main
from kernels_bench.run._timing.clock import Effort
_plan.QUICK = Effort(seconds=0, rounds=(2, 2), sample=0)
raise SystemExit(main(sys.argv[1:]))
"""


def test_only_torch_and_numpy_are_needed(tmp_path: Path) -> None:
    arguments = ["siren", "--quick", "--filter", "sequence", "--allocator", "retain", "--out", str(tmp_path)]
    command = [sys.executable, "-c", BARE_MACHINE, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["environment"]["allocator"] == ("retain" if sys.platform == "linux" else "default")
    (_, record) = written["cases"]
    assert record["implementations"][OURS]["extra_bytes"] > 2**20  # measured in a child


# A shell that runs the tests in the background has them ignore the signal, which a child would inherit.
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("kernels_bench", run_name="__main__", alter_sys=True)
"""


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    arguments = ["run", "fftconv", "--json", str(tmp_path / "a.json")]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", INTERRUPTIBLE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        # One case is done, so the fork server is up.
        while not process.stdout.readline().startswith("[2/"):
            assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        servers = children.read_text().split() if children.exists() else []
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "Interrupted; files that were there before are as they were.\n"
    assert list(tmp_path.iterdir()) == []
    # The fork server ends by itself when the command has; it is a zombie where nobody waits for orphans.
    deadline = time.monotonic() + 30
    while running := [server for server in servers if _runs(server)]:
        assert time.monotonic() < deadline, running
        time.sleep(0.1)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
