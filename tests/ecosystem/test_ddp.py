"""DDP on two processes: a layer trains as on one, also when only some steps are conditioned."""

import kernels_core
import pytest
import torch
from models import CHANNELS, COND, LENGTH, Net, assert_close, decay_by_name, make_layer
from pair import checks, run_pair
from torch import Tensor
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

# The first line of PyTorch's error after a step in which the FiLM generator took no part.
UNUSED = "Expected to have finished reduction in the prior iteration before starting a new one"


def batch() -> tuple[Tensor, Tensor]:
    """A signal and conditioning for two processes, one item for each."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, LENGTH, CHANNELS, generator=generator), torch.randn(2, COND, generator=generator)


def check_gradients_are_those_of_the_whole_batch(rank: int) -> None:
    x, conditioning = batch()
    for film in (False, True):
        whole, layer = make_layer(film=film), DistributedDataParallel(make_layer(film=film))
        whole(x, conditioning=conditioning if film else None).square().mean().backward()
        mine = slice(rank, rank + 1)
        layer(x[mine], conditioning=conditioning[mine] if film else None).square().mean().backward()
        for parameter, reference in zip(layer.module.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, reference.grad, atol=1e-6, rtol=1e-4)


def check_steps_without_conditioning_need_a_flag(rank: int) -> None:
    x, conditioning = batch()
    model = DistributedDataParallel(make_layer(film=True))
    model(x).square().mean().backward()
    with pytest.raises(RuntimeError, match=UNUSED):
        model(x, conditioning=conditioning)


def check_steps_without_conditioning_work_with_the_flag(rank: int) -> None:
    x, conditioning = batch()
    whole, model = make_layer(film=True), make_layer(film=True)
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)
    mine = slice(rank, rank + 1)
    steps = [torch.optim.SGD(kernels_core.param_groups(m, 1e-2, 0.05)) for m in (whole, model)]
    for given in (None, conditioning, None, conditioning):
        whole(x, conditioning=given).square().mean().backward()
        wrapped(x[mine], conditioning=None if given is None else given[mine]).square().mean().backward()
        for optimizer in steps:
            optimizer.step()
            optimizer.zero_grad()
    for (name, parameter), reference in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert_close(name, parameter, reference)


def check_the_optimizer_state_can_be_sharded(rank: int) -> None:
    x, _ = batch()
    model = Net()
    decay = decay_by_name(model)
    wrapped = DistributedDataParallel(model)
    assert list(decay_by_name(wrapped).values()) == list(decay.values())
    groups = kernels_core.param_groups(wrapped, 1e-2, 0.05)
    optimizer = ZeroRedundancyOptimizer(groups, optimizer_class=torch.optim.AdamW, lr=1e-2)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    wrapped(x).square().mean().backward()
    optimizer.step()
    names = {parameter: name for name, parameter in model.named_parameters()}
    used = {names[p]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert used == decay
    assert not any(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_pair(__file__, checks(globals()), tmp_path_factory.mktemp("ddp"))


@pytest.mark.parametrize("check", checks(globals()))
def test_on_two_processes(check: str, wrong: dict[str, str]) -> None:
    assert not wrong[check], wrong[check]
