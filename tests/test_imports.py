"""What importing each package loads: never another package of this workspace, nothing heavy beside torch."""

import json
import subprocess
import sys

import pytest

PACKAGES = ["kernels_core", "kernels_film"]
# Compilers, and what the extras of this workspace or a user's environment may hold.
HEAVY = [
    "torch._inductor",
    "torchvision",
    "scipy",
    "sklearn",
    "pandas",
    "matplotlib",
    "jax",
    "omegaconf",
    "hydra",
    "einops",
    "triton",
]


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_import_loads_nothing_but_torch_and_itself(package: str) -> None:
    code = f"""
import json, sys
import torch
before = set(sys.modules)
import {package}
new = set(sys.modules) - before
third = sorted(n for n in new if n.split(".")[0] not in {{*sys.stdlib_module_names, "torch", "{package}"}})
print(json.dumps({{"third": third, "new": sorted(new)}}))
"""
    loaded = json.loads(run(code))
    assert loaded["third"] == []
    assert [name for name in HEAVY if name in loaded["new"]] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_works_where_the_others_cannot_be_imported(package: str) -> None:
    use = {
        "kernels_core": "k.CKConvND(1, 2, k.LazyConfig(k.SIRENKernelND)(out_dim=2, data_dim=1, mlp_hidden_dim=4, "
        "num_layers=2, embedding_dim=4, omega_0=1.0, L_cache=4, use_bias=True))(torch.randn(1, 5, 2))",
        "kernels_film": "k.KernelFiLMGenerator(cond_dim=2, kernel_hidden_dim=3, num_film_layers=1)(torch.randn(1, 2))",
    }
    others = [name for name in ("kernels_core", "kernels_film", "kernels_jax", "kernels_bench") if name != package]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({[*others, "omegaconf", "hydra", "scipy", "jax"]!r}))
import torch, {package} as k
{use[package]}
assert all(hasattr(k, name) for name in k.__all__), k.__all__
print("works")
"""
    assert run(code) == "works\n"
