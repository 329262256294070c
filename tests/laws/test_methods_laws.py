"""What holds for every method in the catalogue, whatever it does inside."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright import methods
from bitwright.core.binarizers import LevelPair
from bitwright.core.hooks import after_step, penalty, set_progress
from bitwright.core.levels import check_binarizer, read_levels
from bitwright.nn.convert import binarize

CATALOGUE = {name: getattr(methods, name) for name in methods.__all__}
TOY_STEPS = {"noisy_supervision": 120}  # its mappings learn before the bits settle
RARELY_TRAINED = ("signs.patterns",)  # Sub-bit's, on every 25th step
ADDED = ("_binarizer.", ".rescale.", ".gate.")  # what a layer gains
LAYERS = {"convolution": nn.Conv2d(6, 5, 3), "grouped": nn.Conv2d(8, 4, 3, groups=2), "linear": nn.Linear(9, 4)}


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.MaxPool2d(2),
        nn.BatchNorm2d(12), nn.Hardtanh(), nn.Conv2d(12, 12, 3, groups=3), nn.BatchNorm2d(12), nn.Flatten(),
        nn.Linear(48, 16), nn.BatchNorm1d(16), nn.Linear(16, 2),
    )  # fmt: skip


def images(count: int) -> tuple[Tensor, Tensor]:
    """Noise with a bright bar, upright or lying."""
    target = torch.arange(count) % 2
    x = torch.randn(count, 1, 8, 8) / 2
    x[target == 0, :, :, 3:5] += 1
    x[target == 1, :, 3:5, :] += 1
    return x, target


@pytest.fixture(params=CATALOGUE.values(), ids=CATALOGUE)
def method(request: pytest.FixtureRequest):
    return request.param


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("progress", [0.0, 0.37, 1.0])
def test_binarizers_are_lawful(method, layer: nn.Module, progress: float) -> None:
    weight, activation = method().weight(layer), method().activation(layer)
    set_progress(nn.ModuleList([weight, activation]), progress)
    check_binarizer(weight, shape=tuple(layer.weight.shape))
    if not isinstance(activation, nn.Identity):  # real activations
        codes = activation.codes if isinstance(activation, LevelPair) else activation
        x_shape = (4, layer.in_channels, 5, 5) if isinstance(layer, nn.Conv2d) else (4, layer.in_features)
        check_binarizer(codes, shape=x_shape, activation=True)
    assert len(read_levels(weight(layer.weight)).step) == len(layer.weight)


def test_every_progress_is_valid(method) -> None:
    net = binarize(network(), method())
    x, target = images(8)
    for progress in (0, 0.25, 0.5, 1 - 1e-9, 1):
        set_progress(net, progress)
        net.zero_grad()
        loss = F.cross_entropy(net(x), target)
        (loss + penalty(net, loss)).backward()
        often = {name: p.grad for name, p in net.named_parameters() if not name.endswith(RARELY_TRAINED)}
        assert all(grad is not None and grad.isfinite().all() for grad in often.values())


def test_names_parameters_copies_and_pickles_survive(method) -> None:
    net = network()
    keys, parameters = list(net.state_dict()), dict(net.named_parameters())
    binarize(net, method())
    now = dict(net.named_parameters())
    assert [k for k in net.state_dict() if not any(part in k for part in ADDED)] == keys
    assert all(now[name] is parameter for name, parameter in parameters.items())
    net.load_state_dict(network().state_dict())
    net.eval()
    x, _ = images(4)
    assert torch.equal(copy.deepcopy(net)(x), net(x))
    assert torch.equal(pickle.loads(pickle.dumps(net))(x), net(x))


def test_a_toy_set_is_learned(method) -> None:
    net = binarize(network(), method())
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    steps = TOY_STEPS.get(method.__name__, 60)
    for index in range(steps):
        set_progress(net, index / steps)
        x, target = images(64)
        loss = F.cross_entropy(net(x), target)
        optimizer.zero_grad()
        (loss + penalty(net, loss)).backward()
        optimizer.step()
        after_step(net)
    x, target = images(256)
    with torch.no_grad():
        trained = net(x).argmax(1)
        deployed = net.eval()(x).argmax(1)
    assert (trained == target).float().mean() > 0.95
    assert (deployed == target).float().mean() > 0.95
