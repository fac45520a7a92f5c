"""Print what compiling a model does to the time of inference: relative to the model without compilation."""

import time
from collections.abc import Callable
from statistics import median

import torch
from kernels_core import CKConvND, GaussianModulationND, LazyConfig, SIRENKernelND
from torch import Tensor, nn

CHANNELS, LENGTH, ROUNDS = 64, 1024, 30


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    kernel = LazyConfig(SIRENKernelND)(
        out_dim=CHANNELS,
        data_dim=1,
        mlp_hidden_dim=64,
        num_layers=3,
        embedding_dim=64,
        omega_0=10.0,
        L_cache=LENGTH,
        use_bias=True,
    )
    window = LazyConfig(GaussianModulationND)(data_dim=1, num_channels=CHANNELS)
    layer = CKConvND(1, CHANNELS, kernel, window, is_causal=True)
    return nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.GELU(), layer, nn.Linear(CHANNELS, CHANNELS)).eval()


def seconds(model: Callable[[Tensor], Tensor], x: Tensor) -> float:
    start = time.perf_counter()
    model(x)
    return time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    x = torch.randn(1, LENGTH, CHANNELS)
    around = make_model()
    layer = around[2]
    layer.forward = torch.compiler.disable(layer.forward)
    models = {
        "not compiled": make_model(),
        "compiled with the layer": torch.compile(make_model()),
        "compiled around the layer": torch.compile(around),
    }
    with torch.inference_mode():
        for model in models.values():
            model(x), model(x)
        # In turns, so that all see the same load of the machine.
        rounds = [{name: seconds(model, x) for name, model in models.items()} for _ in range(ROUNDS)]
    print(f"time of inference, {LENGTH} positions, {CHANNELS} channels, one thread, median of {ROUNDS}")
    for name in models:
        print(f"  {name}: {median(times[name] / times['not compiled'] for times in rounds):.1f}")


if __name__ == "__main__":
    main()
