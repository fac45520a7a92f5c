"""Train a language model on the help texts of Python, which are part of every installation."""

import importlib
import time
from dataclasses import dataclass, field

import torch
from kernels_core import param_groups
from torch import Tensor
from torch.nn import functional as F

from ._language_model import LanguageModel
from ._step import Progress

PACKED = 4096  # characters of a batch
LONGEST = 1024  # of a document in it
HELD_OUT = 10  # every tenth text


@dataclass
class Training:
    """Per evaluation: steps so far, and bits per character on the texts to learn and on those held out."""

    steps: list[int] = field(default_factory=list)
    learned: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    seconds: float = 0.0


def load() -> tuple[list[Tensor], list[Tensor]]:
    """The texts behind `help()`, as characters: to train on, and held out."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    texts = [torch.tensor(list(topics[name].encode("ascii", "replace"))) for name in sorted(topics)]
    return (
        [text for number, text in enumerate(texts) if number % HELD_OUT],
        [text for number, text in enumerate(texts) if not number % HELD_OUT],
    )


def pack(texts: list[Tensor], generator: torch.Generator) -> tuple[Tensor, list[int]]:
    """Pieces of random texts, one after another, and their offsets."""
    pieces, offsets = [], [0]
    while offsets[-1] < PACKED:
        text = texts[int(torch.randint(len(texts), (), generator=generator))]
        size = min(len(text), LONGEST, PACKED - offsets[-1])
        start = int(torch.randint(len(text) - size + 1, (), generator=generator))
        pieces.append(text[start : start + size])
        offsets.append(offsets[-1] + size)
    return torch.cat(pieces), offsets


def bits(model: LanguageModel, tokens: Tensor, offsets: list[int]) -> Tensor:
    """Mean bits per character that the characters before it in its document leave open."""
    follows = torch.ones(len(tokens), dtype=torch.bool)
    follows[torch.tensor(offsets[:-1])] = False  # the first character of a document follows nothing
    logits = model(tokens, offsets).roll(1, 0)
    return F.cross_entropy(logits[follows], tokens[follows]) / torch.tensor(2.0).log()


def train(steps: int, seed: int, progress: Progress) -> tuple[LanguageModel, Training]:
    """AdamW with a one-cycle schedule; one seed gives one model."""
    learned, held_out = load()
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel()
    groups = param_groups(model, lr=4e-3, weight_decay=0.02)
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [group["lr"] for group in groups], total_steps=steps + 1)
    check = pack(held_out, torch.Generator().manual_seed(seed))
    training, start, losses = Training(), time.perf_counter(), []
    every = max(1, steps // 15)
    for step in range(1, steps + 1):
        loss = bits(model, *pack(learned, generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % every == 0 or step == steps:
            with torch.no_grad():
                training.held_out.append(float(bits(model, *check)))
            training.steps.append(step)
            training.learned.append(sum(losses[-every:]) / len(losses[-every:]))
        progress(step, steps, f"{losses[-1]:.2f} bits per character")
    training.seconds = time.perf_counter() - start
    return model.eval(), training
