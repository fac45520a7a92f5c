"""Checkpoints of a model trained with nvSubquadratic load into the same model built from kernels-core."""

from pathlib import Path
from typing import Any

import kernels_core
import pytest
import safetensors.torch
import torch
from pairs import assert_close, kernel_configs, peer_ckconv, window_configs
from torch import Tensor, nn

SIZE, CHANNELS = 10, 8
FILM = {
    "cond_dim": CHANNELS,
    "kernel_hidden_dim": 16,
    "num_film_layers": 2,
    "init_type": "small_random",
    "init_std": 0.1,
}


class Classifier(nn.Module):
    """Two continuous-kernel layers, the second conditioned on the mean output of the first."""

    def __init__(self, convolution: Any, which: int, kernel: str, boundary: dict[str, Any]) -> None:
        super().__init__()
        shared: dict[str, Any] = {"out_dim": CHANNELS, "data_dim": 2, "mlp_hidden_dim": 16, "embedding_dim": 16}
        shared |= {"num_layers": 3, "use_bias": True, "L_cache": SIZE}
        window = window_configs("GaussianModulationND", data_dim=2, num_channels=CHANNELS)[which]
        plain, conditioned = kernel_configs(kernel, **shared)[which], kernel_configs(kernel, FILM, **shared)[which]
        self.embed = nn.Linear(1, CHANNELS)
        self.convs = nn.ModuleList(
            convolution(2, CHANNELS, kernel_cfg=cfg, mask_cfg=window, **boundary) for cfg in (plain, conditioned)
        )
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, images: Tensor) -> Tensor:
        h = torch.tanh(self.convs[0](self.embed(images)))
        h = torch.tanh(self.convs[1](h, conditioning=h.mean((1, 2))))
        return self.head(h.mean((1, 2)))


def trained(kernel: str, boundary: dict[str, Any]) -> tuple[Classifier, Tensor]:
    torch.manual_seed(0)
    model = Classifier(peer_ckconv.CKConvND, 0, kernel, boundary)
    images, labels = torch.randn(24, SIZE, SIZE, 1), torch.arange(24) % 3
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    return model, images


@pytest.mark.parametrize(
    ("kernel", "boundary"),
    [
        ("SIRENKernelND", {"fft_padding": "zero", "grid_type": "double"}),
        ("BlockDiagonalMultiOmegaSIRENKernelND", {"fft_padding": "circular", "grid_type": "single"}),
        ("LearnableOmegaSIRENKernelND", {"fft_padding": ["zero", "circular"], "grid_type": None}),
    ],
)
def test_trained_checkpoint_gives_the_same_output(kernel: str, boundary: dict[str, Any], tmp_path: Path) -> None:
    theirs, images = trained(kernel, boundary)
    torch.save(theirs.state_dict(), tmp_path / "model.pt")
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    expected = theirs(images)
    for state in (
        torch.load(tmp_path / "model.pt", weights_only=True),
        safetensors.torch.load_file(tmp_path / "model.safetensors"),
    ):
        ours = Classifier(kernels_core.CKConvND, 1, kernel, boundary)
        ours.load_state_dict(state, strict=True)
        assert_close(expected, ours(images))
        with torch.no_grad():
            assert_close(expected, ours.eval()(images), what="inference")
    # Checkpoints saved by kernels-core load into the peer's model too.
    safetensors.torch.save_file(ours.state_dict(), tmp_path / "back.safetensors")
    again = Classifier(peer_ckconv.CKConvND, 0, kernel, boundary)
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "back.safetensors"), strict=True)
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())
    assert_close(expected, again(images))
