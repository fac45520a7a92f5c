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
    """AdamW with a one-cycle schedule on images moved by up to one pixel; the same seed gives the same model."""
    images, labels = torch.tensor(digits.train_images), torch.tensor(digits.train_labels)
    generator = torch.Generator().manual_seed(seed)
    batches = len(labels) // BATCH
    groups = param_groups(model, lr=8e-3, weight_decay=0.2)
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
            loss.backward()  # type: ignore[no-untyped-call]
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
def predict(model: nn.Module, images: NDArray[np.float32], finer: int = 1, resolution: float = 1.0) -> NDArray[np.int64]:
    """The digit seen in each image after upsampling by `finer`, by a model told that the grid is `resolution` times finer."""
    model.eval()
    return model(upsampled(torch.tensor(images), finer), resolution).argmax(1).numpy()  # type: ignore[no-any-return]


def upsampled(images: Tensor, finer: int) -> Tensor:
    """Bicubic interpolation of `[B, H, W]` images onto a grid `finer` times finer."""
    if finer == 1:
        return images
    return F.interpolate(images[:, None], scale_factor=finer, mode="bicubic", align_corners=False)[:, 0].clamp(0, 1)


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """The batch moved by up to one pixel each way, so that the classifier does not learn positions by heart."""
    height, width = images.shape[1:]
    top, left = torch.randint(3, (2,), generator=generator).tolist()
    return F.pad(images, (1, 1, 1, 1))[:, top : top + height, left : left + width]
