"""The network that turns a conditioning vector into FiLM parameters for every layer of a kernel."""

from torch import Tensor, nn

from . import _check
from ._marks import MarkedModule

INIT_TYPES = ("identity", "small_random")


class KernelFiLMGenerator(MarkedModule):
    """Scales and shifts for the hidden layers of a kernel network, `h <- gamma(c) * h + beta(c)`.

    `Linear(cond_dim, film_hidden_dim) -> GELU -> Linear(film_hidden_dim, num_film_layers * 2 * kernel_hidden_dim)`, the
    output cut into one `(gamma, beta)` per layer. The output bias starts at gamma = 1, beta = 0, so that training
    starts at (or, with `"small_random"`, near) the unmodulated kernel. Perez et al. 2018, arXiv:1709.07871.

    Args:
        cond_dim: size of the conditioning vector.
        kernel_hidden_dim: width of the layers that are modulated.
        num_film_layers: how many of them.
        film_hidden_dim: width of the hidden layer.
        no_weight_decay: True marks every parameter `_no_weight_decay`; a float marks the weights `_weight_decay` with
            that value; False neither. Biases are always marked `_no_weight_decay`.
        init_type: output weights zero (`"identity"`: exactly the identity) or `N(0, init_std)` (`"small_random"`).
        init_std: standard deviation for `"small_random"`, >= 0.

    Shapes:
        `forward(conditioning [B, cond_dim])` returns `num_film_layers` pairs `(gamma, beta)`, each
        `[B, kernel_hidden_dim]`, the shallowest layer first.

    Raises:
        TypeError, ValueError: an argument of the wrong type or out of range; conditioning of another shape or dtype.

    Example:
        >>> import torch
        >>> film = KernelFiLMGenerator(cond_dim=8, kernel_hidden_dim=32, num_film_layers=2)
        >>> pairs = film(torch.randn(4, 8))
        >>> len(pairs), pairs[0][0].shape, bool((pairs[0][0] == 1).all()), bool((pairs[0][1] == 0).all())
        (2, torch.Size([4, 32]), True, True)
    """

    def __init__(
        self,
        cond_dim: int,
        kernel_hidden_dim: int,
        num_film_layers: int,
        film_hidden_dim: int = 64,
        no_weight_decay: bool | float = False,
        init_type: str = "identity",
        init_std: float = 1e-4,
    ) -> None:
        super().__init__()
        self.cond_dim = _check.integer("cond_dim", cond_dim)
        self.kernel_hidden_dim = _check.integer("kernel_hidden_dim", kernel_hidden_dim)
        self.num_film_layers = _check.integer("num_film_layers", num_film_layers)
        self.film_hidden_dim = _check.integer("film_hidden_dim", film_hidden_dim)
        if init_type not in INIT_TYPES:
            raise ValueError(f"`init_type` must be one of {', '.join(map(repr, INIT_TYPES))}; got {init_type!r}")
        _check.finite("init_std", init_std)
        if not isinstance(no_weight_decay, bool):
            _check.finite("no_weight_decay", no_weight_decay)
        self.no_weight_decay, self.init_type, self.init_std = no_weight_decay, init_type, init_std
        size = self.num_film_layers * 2 * self.kernel_hidden_dim
        self.mlp = nn.Sequential(
            nn.Linear(self.cond_dim, self.film_hidden_dim), nn.GELU(), nn.Linear(self.film_hidden_dim, size)
        )
        self._init_output(self.mlp[2])  # type: ignore[arg-type]
        self._mark(no_weight_decay)

    def _init_output(self, output: nn.Linear) -> None:
        if self.init_type == "identity":
            nn.init.zeros_(output.weight)
        else:
            nn.init.normal_(output.weight, std=self.init_std)
        nn.init.zeros_(output.bias)
        bias = output.bias.detach().view(self.num_film_layers, 2, self.kernel_hidden_dim)
        bias[:, 0] = 1

    def _mark(self, no_weight_decay: bool | float) -> None:
        for name, parameter in self.named_parameters():
            if no_weight_decay is True or name.endswith("bias"):
                parameter._no_weight_decay = True  # type: ignore[attr-defined]
            elif no_weight_decay is not False:
                parameter._weight_decay = float(no_weight_decay)  # type: ignore[attr-defined]

    def forward(self, conditioning: Tensor) -> list[tuple[Tensor, Tensor]]:
        """One `(gamma, beta)` per layer, each `[B, kernel_hidden_dim]`."""
        _check.shape("conditioning", conditioning, ("B", self.cond_dim), self.mlp[0].weight)  # type: ignore[arg-type]
        output = self.mlp(conditioning).unflatten(-1, (self.num_film_layers, 2, self.kernel_hidden_dim))
        return [(layer[:, 0], layer[:, 1]) for layer in output.unbind(1)]

    def flop_count(self) -> int:
        """Operations for one sample: `2 * cond * hidden + hidden + 2 * hidden * out`."""
        size = self.num_film_layers * 2 * self.kernel_hidden_dim
        return self.film_hidden_dim * (2 * self.cond_dim + 1 + 2 * size)
