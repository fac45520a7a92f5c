"""The network that turns a conditioning vector into FiLM parameters for every layer of a kernel."""

import torch
from torch import Tensor, nn

from . import _check
from ._init import assign, is_loaded
from ._module import FilmModule
from ._optim import hint

INIT_TYPES = ("identity", "small_random")


class _FiLMLinear(FilmModule):
    """`h W^T + b`, which starts at gamma = 1, beta = 0: `gammas = (layers, width)` ones and zeros in turn.

    It is no `nn.Linear`, because code that initialises all of a model's linear layers would set every gamma to 0.
    """

    _fixed = frozenset({"in_features", "out_features", "gammas"})

    def __init__(self, in_features: int, out_features: int, gammas: tuple[int, int], std: float) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.gammas, self.std = gammas, std
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weight anew, and set the bias to ones for gammas and zeros for betas."""
        # First as nn.Linear, so that a seed gives what is drawn next the values that it has after an nn.Linear.
        for parameter in (self.weight, self.bias):
            if not is_loaded(parameter):
                nn.init.uniform_(parameter, -1, 1)
        if not is_loaded(self.weight):
            nn.init.normal_(self.weight, std=self.std) if self.std else nn.init.zeros_(self.weight)
        if not is_loaded(self.bias):
            layers, width = self.gammas
            gamma_and_beta = torch.tensor([[1.0], [0.0]], device="cpu").expand(layers, 2, width)
            assign(self.bias, gamma_and_beta.flatten())

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class KernelFiLMGenerator(FilmModule):
    """Scales and shifts for the hidden layers of a kernel network, `h <- gamma(c) * h + beta(c)`.

    `Linear(cond_dim, film_hidden_dim) -> GELU -> Linear(film_hidden_dim, num_film_layers * 2 * kernel_hidden_dim)`, the
    output cut into one `(gamma, beta)` per layer. The output bias starts at gamma = 1, beta = 0, so that training
    starts at the unmodulated kernel, or with `"small_random"` close to it. Perez et al. 2018, arXiv:1709.07871.

    Args:
        cond_dim: size of the conditioning vector.
        kernel_hidden_dim: width of the layers that are modulated.
        num_film_layers: number of layers that are modulated.
        film_hidden_dim: width of the generator's hidden layer; default 64.
        no_weight_decay: weight decay of the weights in optimizers that honour it (kernels-core's `param_groups`): True
            for none, a number for that value, False (default) for the optimizer's own. Biases never decay.
        init_type: `"identity"` (default) for output weights zero, `"small_random"` for `N(0, init_std)`.
        init_std: standard deviation for `"small_random"`, finite and not negative; default 1e-4.

    Shapes:
        `conditioning [B, cond_dim]` -> `num_film_layers` pairs `(gamma, beta)`, each `[B, kernel_hidden_dim]`, the
        shallowest layer first.

    Raises:
        ValueError: a size below 1, `init_type` other than these two, a negative or infinite `init_std` or
            `no_weight_decay`.

    Attributes named like the arguments are fixed at construction. `reset_parameters()` draws the parameters anew.

    Example:
        >>> import torch
        >>> film = KernelFiLMGenerator(cond_dim=8, kernel_hidden_dim=32, num_film_layers=2)
        >>> pairs = film(torch.randn(4, 8))
        >>> len(pairs), pairs[0][0].shape, bool((pairs[0][0] == 1).all()), bool((pairs[0][1] == 0).all())
        (2, torch.Size([4, 32]), True, True)
    """

    _fixed = frozenset(
        {"cond_dim", "kernel_hidden_dim", "num_film_layers", "film_hidden_dim"}
        | {"no_weight_decay", "init_type", "init_std"}
    )

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
        std = 0.0 if init_type == "identity" else float(init_std)
        gammas = self.num_film_layers, self.kernel_hidden_dim
        hidden = nn.Linear(self.cond_dim, self.film_hidden_dim)
        self.mlp = nn.Sequential(hidden, nn.GELU(), _FiLMLinear(self.film_hidden_dim, size, gammas, std))
        hint(self, ".bias", _no_weight_decay=True)
        if no_weight_decay is True:
            hint(self, ".weight", _no_weight_decay=True)
        elif no_weight_decay is not False:
            hint(self, ".weight", _weight_decay=float(no_weight_decay))

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as at construction."""
        for layer in self.mlp:
            if isinstance(layer, (nn.Linear, _FiLMLinear)):
                layer.reset_parameters()

    def forward(self, conditioning: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Scales and shifts for a batch of conditioning vectors.

        Args:
            conditioning: `[B, cond_dim]`, in the dtype of the parameters or under autocast.

        Returns:
            One `(gamma, beta)` per modulated layer, each `[B, kernel_hidden_dim]`, the shallowest layer first.

        Raises:
            TypeError: `conditioning` is not a floating-point tensor, or its dtype is not that of the parameters.
            ValueError: `conditioning` is not `[B, cond_dim]`, or is on another device.
        """
        _check.shape("conditioning", conditioning, ("B", self.cond_dim), self.mlp[0].weight)
        output = self.mlp(conditioning).unflatten(-1, (self.num_film_layers, 2, self.kernel_hidden_dim))
        return [(layer[:, 0], layer[:, 1]) for layer in output.unbind(1)]

    def flop_count(self) -> int:
        """Operations per batch item: `2 * cond * hidden + hidden + 2 * hidden * out`."""
        size = self.num_film_layers * 2 * self.kernel_hidden_dim
        return self.film_hidden_dim * (2 * self.cond_dim + 1 + 2 * size)
