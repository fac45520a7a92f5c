"""Demo step in PyTorch: a language model of long convolutions, trained on packed documents and sampled step by step."""

import functools
import time
from collections.abc import Callable

import torch
from torch import Tensor

from . import _language_pictures as pictures
from ._language import Training, train
from ._language_model import LanguageModel, sample
from ._step import Kept, Outcome, Progress, Settings

STEPS_PER_EPOCH = 10
PROMPT, LENGTH, TEMPERATURE = "The ", 600, 0.6
# Characters of one text whose decoding is timed, and positions at which recomputation is.
TIMED, POSITIONS = 2048, 8


def run(settings: Settings, progress: Progress, _: Kept) -> Outcome:
    """Train, write a text, and time ways to write one."""
    model, training = train(STEPS_PER_EPOCH * settings.epochs, settings.seed, progress)
    prompt = torch.tensor(list(PROMPT.encode()))[None]
    drawn = sample(model, prompt, LENGTH, TEMPERATURE, torch.Generator().manual_seed(settings.seed))
    text = PROMPT + bytes(drawn[0].tolist()).decode("ascii")
    seconds = decoding_seconds(model, settings.seed)
    rates = {name: 1 / each for name, each in seconds.items()}
    return Outcome(
        headline={
            "bits per character of texts held out": f"{training.held_out[-1]:.2f}",
            "characters a second, step by step": f"{rates['step by step']:.0f}",
        },
        table=(
            [f"writing {TIMED} characters", "characters per second", "slower by"],
            [
                [name, f"{rate:.0f}", f"{rates['step by step'] / rate:.1f}" if name != "step by step" else ""]
                for name, rate in rates.items()
            ],
        ),
        pictures=[pictures.learning(training), pictures.written(text)],
        numbers={
            "bits_per_character": _numbers(training),
            "training_seconds": training.seconds,
            "text": text,
            "characters_per_second": rates,
        },
    )


@torch.no_grad()
def decoding_seconds(model: LanguageModel, seed: int) -> dict[str, float]:
    """Seconds per character of a text of `TIMED` characters, for one sequence, by way of computing it."""
    tokens = torch.randint(128, (1, TIMED), generator=torch.Generator().manual_seed(seed))

    def stepwise() -> None:
        caches = model.init_caches(1, TIMED)
        for position in range(TIMED):
            model.step(tokens[:, position], caches)

    sampled = range(TIMED // POSITIONS - 1, TIMED, TIMED // POSITIONS)
    return {
        "step by step": _seconds(stepwise) / TIMED,
        "the text so far, anew for every character": _mean([tokens[:, : end + 1] for end in sampled], model),
        "a buffer for the whole text, anew for every character": _mean([tokens] * 3, model),
    }


def _mean(texts: list[Tensor], model: LanguageModel) -> float:
    return sum(_seconds(functools.partial(model, text)) for text in texts) / len(texts)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _numbers(training: Training) -> list[dict[str, float]]:
    rows = zip(training.steps, training.learned, training.held_out, strict=True)
    return [{"step": step, "learned": learned, "held_out": held_out} for step, learned, held_out in rows]
