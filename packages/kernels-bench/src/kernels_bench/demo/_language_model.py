"""A small language model of gated long convolutions: trained on packed documents, sampled step by step."""

from collections.abc import Sequence

import torch
from kernels_core import CKConvND, DecodingCache, ExponentialModulationND, LazyConfig, SIRENKernelND
from torch import Tensor, nn
from torch.nn import functional as F

VOCABULARY = 128  # ASCII


class Block(nn.Module):
    """A gated long convolution over the positions, then a network at each position; both are added to their input."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.norm, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.conv = CKConvND(
            data_dim=1,
            hidden_dim=width,
            kernel_cfg=LazyConfig(SIRENKernelND)(
                out_dim=width,
                data_dim=1,
                mlp_hidden_dim=32,
                num_layers=2,
                embedding_dim=32,
                omega_0=50.0,
                L_cache=context,
                use_bias=True,
            ),
            mask_cfg=LazyConfig(ExponentialModulationND)(data_dim=1, num_channels=width),
            is_causal=True,
        )
        self.network = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, cu_seqlens: Sequence[int] | None = None) -> Tensor:
        value, gate = self.enter(self.norm(x)).chunk(2, -1)
        return self._after(x, self.conv(value, cu_seqlens=cu_seqlens), gate)

    def prefill(self, x: Tensor, cache: DecodingCache) -> Tensor:
        value, gate = self.enter(self.norm(x)).chunk(2, -1)
        return self._after(x, self.conv.prefill(value, cache)[0], gate)

    def step(self, x: Tensor, cache: DecodingCache) -> Tensor:
        value, gate = self.enter(self.norm(x)).chunk(2, -1)
        return self._after(x, self.conv.step(value, cache)[0], gate)

    def _after(self, x: Tensor, mixed: Tensor, gate: Tensor) -> Tensor:
        x = x + self.leave(mixed * F.silu(gate))
        y: Tensor = x + self.network(self.norm_after(x))
        return y


class LanguageModel(nn.Module):
    """Characters to the logits of the next ones. Only the convolutions look back, so only they have caches."""

    def __init__(self, width: int = 96, depth: int = 3, context: int = 512) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.chain = nn.ModuleList(Block(width, context) for _ in range(depth))
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, VOCABULARY)

    @property
    def blocks(self) -> list[Block]:
        return [block for block in self.chain if isinstance(block, Block)]

    def forward(self, tokens: Tensor, cu_seqlens: Sequence[int] | None = None) -> Tensor:
        """Logits `[..., VOCABULARY]` of tokens `[B, T]`, or of packed ones `[total]` with the offsets `cu_seqlens`."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cu_seqlens)
        logits: Tensor = self.readout(self.norm(x))
        return logits

    def init_caches(self, batch_size: int, max_length: int) -> list[DecodingCache]:
        """A cache per block."""
        return [block.conv.init_cache(batch_size, max_length) for block in self.blocks]

    def prefill(self, tokens: Tensor, caches: Sequence[DecodingCache]) -> Tensor:
        """Logits `[B, T, VOCABULARY]` of a prompt `[B, T]`."""
        x = self.embedding(tokens)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block.prefill(x, cache)
        logits: Tensor = self.readout(self.norm(x))
        return logits

    def step(self, tokens: Tensor, caches: Sequence[DecodingCache]) -> Tensor:
        """Logits `[B, VOCABULARY]` after one more token `[B]`."""
        x = self.embedding(tokens)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block.step(x, cache)
        logits: Tensor = self.readout(self.norm(x))
        return logits


@torch.no_grad()
def sample(model: LanguageModel, prompt: Tensor, length: int, temperature: float, generator: torch.Generator) -> Tensor:
    """`length` tokens that continue each prompt `[B, T]`, drawn one by one from `softmax(logits / temperature)`."""
    caches = model.init_caches(prompt.shape[0], prompt.shape[1] + length)
    logits = model.prefill(prompt, caches)[:, -1]
    drawn = []
    for _ in range(length):
        token = torch.multinomial(F.softmax(logits / temperature, -1), 1, generator=generator)[:, 0]
        drawn.append(token)
        logits = model.step(token, caches)
    return torch.stack(drawn, 1)
