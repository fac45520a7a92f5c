"""Train and evaluate an image classifier."""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from kernels_core import param_groups
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ._digits import Digits
from ._step import Progress

BATCH = 64


@dataclass
class History:
    """Per epoch: mean training loss, test accuracy and seconds."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def train(model: nn.Module, digits: Digits, epochs: int, seed: int, progress: Progress) -> History:
    """AdamW with a one-cycle schedule on images turned, scaled and moved a little; one seed gives one model."""
    images, labels = torch.tensor(digits.train_images), torch.tensor(digits.train_labels)
    generator = torch.Generator().manual_seed(seed)
    batches = len(labels) // BATCH
    groups = param_groups(model, lr=4e-3, weight_decay=0.05)
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=max(epochs * batches, 10), pct_start=0.1
    )
    history = History()
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        model.train()
        for batch in torch.randperm(len(labels), generator=generator)[: batches * BATCH].view(batches, BATCH):
            loss = F.cross_entropy(model(_moved(images[batch], generator)), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        seconds = time.perf_counter() - start
        accuracy = float((predict(model, digits.test_images) == digits.test_labels).mean())
        history.loss.append(float(np.mean(losses)))
        history.accuracy.append(accuracy)
        history.seconds.append(seconds)
        progress(epoch + 1, epochs, f"loss {history.loss[-1]:.3f}, test accuracy {accuracy:.3f}")
    return history


@torch.no_grad()
def predict(
    model: nn.Module, images: NDArray[np.float32], finer: int = 1, resolution: float = 1.0
) -> NDArray[np.int64]:
    """The digits read off images upsampled by `finer`, by a model on a grid `resolution` times finer."""
    model.eval()
    return model(upsampled(torch.tensor(images), finer), resolution).argmax(1).numpy()


def upsampled(images: Tensor, finer: int) -> Tensor:
    """Bicubic interpolation of `[B, H, W]` images onto a grid `finer` times finer."""
    if finer == 1:
        return images
    return F.interpolate(images[:, None], scale_factor=finer, mode="bicubic", align_corners=False)[:, 0].clamp(0, 1)


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by up to 0.1 radians, scaled by up to a twentieth and moved by up to a pixel, bilinearly."""
    count, height, width = images.shape
    turn, scale, right, down = torch.rand(4, count, generator=generator) * 2 - 1
    angle, size = 0.1 * turn, 1 + 0.05 * scale
    cosine, sine = size * angle.cos(), size * angle.sin()
    maps = torch.stack([cosine, -sine, 2 / width * right, sine, cosine, 2 / height * down], 1).view(count, 2, 3)
    grid = F.affine_grid(maps, [count, 1, height, width], align_corners=False)
    return F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]
