"""Layers as ONNX models, run by ONNX Runtime."""

from pathlib import Path
from typing import Any

import pytest
import torch
from kernels_core import CKConvND, GaussianModulationND, LazyConfig, SIRENKernelND
from torch.export import Dim

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library, reason=f"{library} is not installed")

# The exporter and its libraries deprecate parts of each other.
pytestmark = pytest.mark.filterwarnings("ignore")
LAYERS = {"causal": (1, "causal", (12,)), "zero": (2, "zero", (8, 7)), "circular": (2, "circular", (9, 8))}


@pytest.mark.parametrize("varied", ["nothing", "batch", "batch and length"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_in_onnxruntime(name: str, varied: str, tmp_path: Path) -> None:
    import onnxruntime

    data_dim, padding, size = LAYERS[name]
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"out_dim": 4, "data_dim": data_dim, "mlp_hidden_dim": 8, "num_layers": 3}
    kernel = LazyConfig(SIRENKernelND)(**sizes, embedding_dim=8, omega_0=3.0, L_cache=16, use_bias=True)
    window = LazyConfig(GaussianModulationND)(data_dim=data_dim, num_channels=4)
    layer = CKConvND(data_dim, 4, kernel, window, fft_padding=padding).eval()
    dims = {0: Dim("batch", min=1, max=999), 1: Dim("length", min=3, max=9999)}
    shapes = {"nothing": None, "batch": ({0: dims[0]},), "batch and length": (dims,)}[varied]
    if data_dim == 2 and padding == "circular" and varied == "batch and length":
        shapes = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)
    x = torch.randn(2, *size, 4)
    model = torch.onnx.export(layer, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert model is not None
    model.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    calls = [x]
    if varied != "nothing":
        calls.append(torch.randn(5, *size, 4))
    if varied == "batch and length":
        calls += [torch.randn(3, 31, *size[1:], 4)]
    for call in calls:
        (y,) = session.run(None, {session.get_inputs()[0].name: call.numpy()})
        # Its transforms of lengths other than powers of two are less accurate than torch's.
        torch.testing.assert_close(torch.from_numpy(y), layer(call).detach(), rtol=1e-4, atol=5e-5)
