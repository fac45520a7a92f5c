"""The setting of a study: a kernel class and the arguments that set its frequencies."""

import math
from dataclasses import dataclass
from enum import StrEnum

BLOCK_OPTIONS = {"blocks": 8, "omega_0_min": 1.0, "schedule": "linear", "off_block_scale": 0.1}
"""Arguments that only some kernels have, with the defaults of kernels-core."""


class Kernel(StrEnum):
    """The kernel classes by short name."""

    BLOCK_DIAGONAL = "block-diagonal"
    BLOCK_DIAGONAL_LEARNABLE = "block-diagonal-learnable"
    MULTI_OMEGA = "multi-omega"
    SIREN = "siren"
    LEARNABLE_OMEGA = "learnable-omega"
    RANDOM_FOURIER = "random-fourier"


class Schedule(StrEnum):
    """Spacing of the frequencies of blocks."""

    LINEAR = "linear"
    LOG = "log"


KERNELS: dict[str, tuple[str, ...]] = {
    Kernel.BLOCK_DIAGONAL: tuple(BLOCK_OPTIONS),
    Kernel.BLOCK_DIAGONAL_LEARNABLE: tuple(BLOCK_OPTIONS),
    Kernel.MULTI_OMEGA: ("omega_0_min", "schedule"),
    Kernel.SIREN: (),
    Kernel.LEARNABLE_OMEGA: (),
    Kernel.RANDOM_FOURIER: (),
}
"""The arguments among those that each kernel has."""

MAX_VALUES = 2**27
"""Most values of one draw of kernels, which bounds memory to a few GiB."""


@dataclass(frozen=True)
class Setting:
    """A kernel class with its frequencies on a grid.

    Attributes:
        kernel: a name in `Kernel`.
        data_dim: number of axes D.
        grid_size: points of the kernel per axis, over [-1, 1]: odd, as all kernel grids are (`2 * L_cache - 1`).
        omega_0_max: frequency of the last block, or of the whole kernel where it has only one.
        blocks, omega_0_min, schedule, off_block_scale: as in `BlockDiagonalMultiOmegaSIRENKernelND`; None gives its
            default, and is the only choice for a kernel that has no such argument.
        width: features per layer and channels of the kernel.
        layers: sine layers.

    Raises:
        ValueError: `kernel` or `schedule` is not one of the choices; an argument is given that `kernel` does not have;
            `data_dim` or `width` is below 1, `layers` below 2, or `grid_size` even or below 5; `omega_0_max` or
            `omega_0_min` is not positive and finite, or `omega_0_min` exceeds `omega_0_max`; `off_block_scale` is
            negative or not finite; `blocks` is below 1 or does not divide `width`; `width` is odd for random-fourier;
            or one draw would have more than `MAX_VALUES` values.
    """

    kernel: str = "block-diagonal"
    data_dim: int = 2
    grid_size: int = 29
    omega_0_max: float = 12.0
    blocks: int | None = None
    omega_0_min: float | None = None
    schedule: str | None = None
    off_block_scale: float | None = None
    width: int = 64
    layers: int = 3

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f"`kernel` must be one of {', '.join(KERNELS)}; got {self.kernel!r}")
        for name, default in BLOCK_OPTIONS.items():
            if name not in KERNELS[self.kernel]:
                if getattr(self, name) is not None:
                    raise ValueError(f"`{name}` (={getattr(self, name)}) is not an argument of {self.kernel} kernels")
            elif getattr(self, name) is None:
                object.__setattr__(self, name, default)
        for name, least in {"data_dim": 1, "width": 1, "layers": 2}.items():
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}")
        if self.grid_size < 5 or self.grid_size % 2 == 0:
            raise ValueError(f"`grid_size` must be an odd number of at least 5, got {self.grid_size}")
        for name in ("omega_0_max", "omega_0_min"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be positive and finite, got {value}")
        if self.omega_0_min is not None and self.omega_0_min > self.omega_0_max:
            raise ValueError(
                f"`omega_0_max` (={self.omega_0_max}) must be at least `omega_0_min` (={self.omega_0_min})"
            )
        if self.schedule not in (None, *Schedule):
            raise ValueError(f"`schedule` must be {' or '.join(Schedule)}, got {self.schedule!r}")
        if self.off_block_scale is not None and not 0 <= self.off_block_scale < math.inf:
            raise ValueError(f"`off_block_scale` must be finite and not negative, got {self.off_block_scale}")
        if self.blocks is not None and (self.blocks < 1 or self.width % self.blocks):
            raise ValueError(f"`blocks` (={self.blocks}) must be at least 1 and divide `width` (={self.width})")
        if self.kernel == Kernel.RANDOM_FOURIER and self.width % 2:
            raise ValueError(f"`width` must be even for random-fourier kernels, got {self.width}")
        values = self.values()
        if values > MAX_VALUES:
            raise ValueError(
                f"`width` (={self.width}) kernels on `grid_size` (={self.grid_size}) points in `data_dim` "
                f"(={self.data_dim}) dimensions, sampled {self.oversampling} times finer, are {values:.2g} values; "
                f"at most {MAX_VALUES:.2g} are studied"
            )

    @property
    def groups(self) -> int:
        """Number of groups of channels with spectra of their own: the blocks, or one."""
        return self.blocks or 1

    @property
    def nyquist(self) -> float:
        """Highest frequency of the grid in cycles per unit of the coordinate: half a cycle per step."""
        return (self.grid_size - 1) / 4

    @property
    def oversampling(self) -> int:
        """Oversampling factor of the grid, to measure energy above the grid's Nyquist frequency.

        The sampled band goes one Nyquist beyond the highest frequency of the first layer (for Gaussian frequencies,
        beyond three standard deviations), which leaves a margin for the harmonics of the other layers.
        """
        highest = 3 * self.omega_0_max if self.kernel == Kernel.RANDOM_FOURIER else self.omega_0_max / self.data_dim
        return 1 + math.ceil(highest / self.nyquist)

    def values(self, factor: int = 1) -> int:
        """Values of one oversampled draw when grid and frequencies are scaled by `factor`."""
        return self.width * ((self.grid_size - 1) * factor * self.oversampling + 1) ** self.data_dim
