"""Sizes and boundaries of a convolution, for the suites of PyTorch and of JAX."""

from dataclasses import dataclass

from .case import Case, short_dtype, sizes
from .fft_length import fast_length


@dataclass(frozen=True, kw_only=True)
class Convolution(Case):
    """A depthwise convolution `[batch, channels, *signal]`.

    Attributes:
        padding: per axis.
        taps: kernel lengths; by default the longest that the boundaries allow.
        per_sample: a kernel for each batch item.
        shortcut: whether a multiple of the input is added, per channel.
    """

    signal: tuple[int, ...]
    batch: int
    channels: int
    padding: tuple[str, ...]
    taps: tuple[int, ...] | None = None
    dtype: str = "float32"
    per_sample: bool = False
    shortcut: bool = True
    channels_last: bool = False

    @property
    def group(self) -> str:
        return f"fftconv_nd {'forward + backward' if self.training else 'forward'}"

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel lengths. Circular ones are odd: libraries centre even ones differently."""
        longest = {"zero": lambda n: 2 * n - 1, "causal": lambda n: n, "circular": lambda n: n - 1 + n % 2}
        return self.taps or tuple(
            longest[padding](length) for padding, length in zip(self.padding, self.signal, strict=True)
        )

    @property
    def shape(self) -> str:
        options = [short_dtype(self.dtype)]
        options += ["per sample"] if self.per_sample else []
        options += ["channels last"] if self.channels_last else []
        boundary = self.padding[0] if len(set(self.padding)) == 1 else "+".join(self.padding)
        return (
            f"{sizes(self.signal)} k{sizes(self.kernel)} b{self.batch} c{self.channels} {boundary} {' '.join(options)}"
        )

    def transform_lengths(self) -> list[int]:
        """FFT lengths: the shortest fast ones that keep wrapped-around terms out of the result."""
        lengths = []
        for signal, taps, padding in zip(self.signal, self.kernel, self.padding, strict=True):
            before = {"causal": 0}.get(padding, taps // 2)
            reach = max(before, min(taps, signal) - 1 if padding == "causal" else taps - 1 - before)
            lengths.append(signal if padding == "circular" else fast_length(signal + reach))
        return lengths
