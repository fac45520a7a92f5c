"""The cache of constants: it returns what is kept, keeps little, and never returns what is no longer true."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from kernels_core._cache import ConstantCache
from torch import Tensor, nn


class Doubled:
    """Twice a parameter, through a cache; counts how often it is computed."""

    def __init__(self, *parameters: Tensor, maxsize: int = 2) -> None:
        self.parameters = list(parameters)
        self.cache = ConstantCache(maxsize)
        self.computed = 0

    def compute(self) -> list[Tensor]:
        self.computed += 1
        return [2 * p.detach() for p in self.parameters]

    def get(self, key: object = "key") -> list[Tensor]:
        return self.cache.get(key, iter(self.parameters), self.compute)


def parameter() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))


def test_unchanged_parameters_give_the_same_object() -> None:
    doubled = Doubled(parameter(), parameter())
    first = doubled.get()
    assert doubled.get() is first
    assert doubled.computed == 1
    assert first[0].tolist() == [2.0, 4.0, 6.0]


def test_keys_are_kept_apart() -> None:
    doubled = Doubled(parameter())
    assert doubled.get((3, "a")) is not doubled.get((3, "b"))
    assert doubled.get((3, "a")) is doubled.get((3, "a"))
    assert doubled.computed == len(doubled.cache) == 2


def step(p: nn.Parameter) -> None:
    p.sum().backward()
    torch.optim.SGD([p], lr=0.1).step()


def load(p: nn.Parameter) -> None:
    module = nn.ParameterList([p])
    module.load_state_dict({"0": torch.tensor([7.0, 8.0, 9.0])})


def through_numpy(p: nn.Parameter) -> None:
    p.detach().numpy()[1] = 5.0


def replace_storage(p: nn.Parameter) -> None:
    p.data = torch.tensor([4.0, 5.0, 6.0])


def swap(p: nn.Parameter) -> None:
    torch.utils.swap_tensors(p, nn.Parameter(torch.tensor([4.0, 5.0, 6.0])))


def in_place(p: nn.Parameter) -> None:
    with torch.no_grad():
        p.mul_(3)


def in_inference_mode(p: nn.Parameter) -> None:
    with torch.inference_mode():
        p.mul_(3)


CHANGES: list[Callable[[nn.Parameter], object]] = [
    in_place,
    in_inference_mode,
    step,
    load,
    through_numpy,
    replace_storage,
    swap,
    lambda p: p.data.add_(1),
    lambda p: p.data.t().copy_(torch.zeros(3)),
    lambda p: setattr(p, "data", p.data.double()),
    lambda p: setattr(p, "data", p.data[:2]),
    lambda p: p.data.view(torch.int32).bitwise_xor_(1),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("index", [0, 1])
def test_changed_parameters_are_noticed(change: Callable[[nn.Parameter], object], index: int) -> None:
    doubled = Doubled(parameter(), parameter())
    stale = doubled.get()
    change(doubled.parameters[index])
    fresh = doubled.get()
    assert fresh is not stale
    assert torch.equal(fresh[index], 2 * doubled.parameters[index].detach())
    assert doubled.get() is fresh
    assert doubled.computed == 2


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("change", [in_place, in_inference_mode, step, load], ids=lambda change: change.__name__)
def test_changed_parameters_are_noticed_on_a_gpu(change: Callable[[nn.Parameter], object]) -> None:
    doubled = Doubled(nn.Parameter(parameter().detach().cuda()))
    assert doubled.get() is doubled.get()
    change(doubled.parameters[0])
    assert torch.equal(doubled.get()[0], 2 * doubled.parameters[0].detach())
    assert doubled.computed == 2


def test_other_parameters_are_noticed() -> None:
    doubled = Doubled(parameter(), parameter())
    doubled.get()
    for parameters in (
        [parameter(), doubled.parameters[1]],
        [doubled.parameters[0]],
        [],
        [torch.zeros(0)],
        [torch.zeros(0, 2)],
    ):
        doubled.parameters = parameters
        assert [t.tolist() for t in doubled.get()] == [(2 * p).tolist() for p in parameters]
    assert doubled.computed == 6


def test_no_parameters_never_change() -> None:
    doubled = Doubled()
    assert doubled.get() is doubled.get()


def test_a_change_forgets_every_key() -> None:
    doubled = Doubled(parameter())
    doubled.get("first")
    doubled.get("second")
    in_place(doubled.parameters[0])
    doubled.get("second")
    assert len(doubled.cache) == 1
    assert doubled.get("first")[0].tolist() == [6.0, 12.0, 18.0]


def test_undoing_a_change_brings_nothing_back() -> None:
    doubled = Doubled(parameter())
    stale = doubled.get()
    doubled.parameters[0].data.add_(1)
    doubled.get()
    doubled.parameters[0].data.sub_(1)
    assert doubled.get() is not stale


def test_parameters_of_nan_are_computed_anew() -> None:
    doubled = Doubled(nn.Parameter(torch.tensor([float("nan")])))
    doubled.get()
    doubled.get()
    assert doubled.computed == 2


def test_inference_parameters_are_watched_by_value() -> None:
    with torch.inference_mode():
        p = torch.tensor([1.0, 2.0])
    doubled = Doubled(p)
    assert doubled.get() is doubled.get()
    with torch.inference_mode():
        p.mul_(2)
    assert doubled.get()[0].tolist() == [4.0, 8.0]
    assert doubled.computed == 2


@pytest.mark.parametrize("maxsize", [1, 2, 4])
def test_least_recently_used_is_dropped(maxsize: int) -> None:
    doubled = Doubled(parameter(), maxsize=maxsize)
    for key in range(10):
        doubled.get(key)
        assert len(doubled.cache) == min(maxsize, key + 1)
    oldest = 10 - maxsize
    for key in (*range(oldest, 10), oldest):
        doubled.get(key)
    assert doubled.computed == 10
    doubled.get("new")
    doubled.get(oldest)
    assert doubled.computed == (11 if maxsize > 1 else 12)
    doubled.get(oldest + 1)
    assert doubled.computed == (12 if maxsize > 1 else 13)


def test_nothing_is_kept_of_a_failed_computation() -> None:
    cache, p = ConstantCache(2), parameter()
    with pytest.raises(ZeroDivisionError):
        cache.get("key", [p], lambda: 1 // 0)
    assert len(cache) == 0
    assert cache.get("key", [p], lambda: 5) == 5


def test_clear_forgets_everything() -> None:
    doubled = Doubled(parameter())
    doubled.get()
    doubled.cache.clear()
    assert len(doubled.cache) == 0
    doubled.get()
    assert doubled.computed == 2


def test_threads_share_it() -> None:
    """Whatever the threads do to each other's entries, none is given a constant of another key or older values."""
    cache, p = ConstantCache(2), torch.zeros(1)

    def read(index: int) -> None:
        key = index % 5
        assert cache.get(key, [p], lambda: (key, round_)) == (key, round_)

    with ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            p.fill_(round_)
            list(pool.map(read, range(100)))
    cache.get("last", [p], lambda: None)
    assert len(cache) <= 2
