"""An image classifier made of CKConvND blocks, plain or with kernels that depend on the image."""

from typing import cast

from kernels_core import CKConvND, GaussianModulationND, LazyConfig, SIRENKernelND
from kernels_film import KernelFiLMGenerator, RegisterPooling
from torch import Tensor, nn


class Registers(nn.Module):
    """A few learned queries that each attend to a feature map: `[B, C, H, W] -> [B, R, C]`."""

    def __init__(self, num_registers: int, hidden_dim: int) -> None:
        super().__init__()
        self.queries = nn.Linear(hidden_dim, num_registers, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.flatten(2).mT
        return cast(Tensor, self.queries(pixels)).softmax(1).mT @ pixels


class Block(nn.Module):
    """A continuous convolution mixes pixels, then a small perceptron mixes channels, with a residual around both."""

    def __init__(self, hidden_dim: int, size: int, num_registers: int | None) -> None:
        super().__init__()
        kernel = LazyConfig(SIRENKernelND)(
            out_dim=hidden_dim,
            data_dim=2,
            mlp_hidden_dim=32,
            num_layers=3,
            embedding_dim=32,
            omega_0=1.0,
            L_cache=size,
            use_bias=True,
        )
        self.condition = None
        if num_registers is not None:
            self.condition = nn.Sequential(Registers(num_registers, hidden_dim), RegisterPooling(num_registers))
            film = LazyConfig(KernelFiLMGenerator)(
                cond_dim=hidden_dim, kernel_hidden_dim=32, num_film_layers=2, film_hidden_dim=16
            )
            kernel = kernel(film_cfg=film)
        # A window at least as wide as the grid's spacing is resolved by it, so that finer grids see the same kernel.
        window = LazyConfig(GaussianModulationND)(data_dim=2, num_channels=hidden_dim, min_attenuation_at_step=0.75)
        self.conv = CKConvND(data_dim=2, hidden_dim=hidden_dim, kernel_cfg=kernel, mask_cfg=window)
        self.mix = nn.Sequential(
            nn.BatchNorm2d(hidden_dim),
            nn.Conv2d(hidden_dim, 2 * hidden_dim, 1),
            nn.GELU(),
            nn.Conv2d(2 * hidden_dim, hidden_dim, 1),
        )

    def conditioning(self, x: Tensor) -> Tensor | None:
        """The vector `[B, C]` that the kernels depend on, gathered from the block's input; None for a plain block."""
        return None if self.condition is None else cast(Tensor, self.condition(x))

    def forward(self, x: Tensor, resolution: float) -> Tensor:
        y = self.conv(x, is_bhl_input=True, conditioning=self.conditioning(x), resolution=resolution)
        return x + cast(Tensor, self.mix(y))


class Classifier(nn.Module):
    """`[B, H, W]` images to logits, at any resolution relative to the images it was trained on."""

    def __init__(
        self, num_registers: int | None = None, hidden_dim: int = 32, depth: int = 3, size: int = 8, classes: int = 10
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, hidden_dim, 1)
        self.blocks = nn.ModuleList(Block(hidden_dim, size, num_registers) for _ in range(depth))
        self.head = nn.Linear(hidden_dim, classes)

    def forward(self, images: Tensor, resolution: float = 1.0) -> Tensor:
        x = self.stem(images[:, None])
        for block in self.blocks:
            x = block(x, resolution)
        return cast(Tensor, self.head(x.mean((2, 3))))

    def conditioning(self, images: Tensor) -> Tensor | None:
        """The registers on which the kernels of the last block depend."""
        x = self.stem(images[:, None])
        for block in self.blocks[:-1]:
            x = block(x, 1.0)
        return cast(Block, self.blocks[-1]).conditioning(x)
