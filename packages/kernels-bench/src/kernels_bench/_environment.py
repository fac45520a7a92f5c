"""Date, machine and versions of a result, for comparison with others."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "kernels-bench",
    "kernels-core",
    "kernels-film",
    "kernels-jax",
    "torch",
    "jax",
    "equinox",
    "numpyro",
    "numpy",
    "scikit-learn",
    "statsmodels",
)


def environment(more: Sequence[str] = ()) -> dict[str, str]:
    """Date, machine and versions of the packages that are installed, `more` among them."""
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "platform": platform.platform(terse=True),
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }
    for package in (*PACKAGES, *more):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
