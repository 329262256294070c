"""GatedConv2d: the formula, what it counts, and that it stays an ordinary layer."""

import copy
import pickle
from dataclasses import replace
from types import MappingProxyType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright.core import gated_ops
from bitwright.core.binarizers import Planes, ScaledSign, Sign, Step
from bitwright.core.method import Method
from bitwright.errors import LoweringError
from bitwright.methods import bi_real_net
from bitwright.nn.convert import binarize
from bitwright.nn.gated import GatedConv2d, PlaneGate, average_bits, counting_gates
from bitwright.nn.layers import BinaryConv2d, BinaryLinear

PLANES = Method(weight=lambda layer: Sign(), activation=lambda layer: Planes(), gate=PlaneGate)


def gated(conv: nn.Conv2d, method: Method = PLANES) -> GatedConv2d:
    layer = binarize(conv, method, where=[""])
    assert isinstance(layer, GatedConv2d)
    return layer


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_forward_is_the_formula(scaled: bool, training: bool) -> None:
    method = replace(PLANES, weight=lambda layer: ScaledSign() if scaled else Sign())
    layer = gated(nn.Conv2d(6, 8, (3, 2), (2, 1), (0, 2), (1, 2), groups=2), method).train(training)
    with torch.no_grad():
        layer.gate.threshold.uniform_(-1, 1)
    x = torch.randn(2, 6, 9, 7)
    w, geometry = layer.binarized_weight(), (layer.stride, layer.padding, layer.dilation, layer.groups)
    high = F.conv2d(torch.where(x >= 0, 1.0, -1.0), w, None, *geometry) * 2 / 3
    both = F.conv2d(Planes()(x), w, None, *geometry)
    y = torch.where(high > layer.gate.threshold.view(-1, 1, 1), both, high) + layer.bias.view(-1, 1, 1)
    torch.testing.assert_close(layer(x), y)
    torch.testing.assert_close(layer(x[0]), y[0])
    assert 0.05 < (y == high + layer.bias.view(-1, 1, 1)).float().mean() < 0.95


def test_gates_that_are_all_open_or_all_shut() -> None:
    layer, x = gated(nn.Conv2d(5, 4, 3, bias=False)), torch.randn(2, 5, 8, 8)
    w = layer.binarized_weight()
    for training in (True, False):
        layer.train(training)
        layer.gate.threshold.data.fill_(-100)
        torch.testing.assert_close(layer(x), F.conv2d(Planes()(x), w))
        layer.gate.threshold.data.fill_(100)
        torch.testing.assert_close(layer(x), F.conv2d(torch.where(x >= 0, 2 / 3, -2 / 3), w))


@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_of_both_arithmetics_agree(sparse: bool) -> None:
    layer, x = gated(nn.Conv2d(4, 6, 3, padding=1)), torch.randn(2, 4, 7, 7, requires_grad=True)
    layer.gate.sparse = sparse
    layer.gate.threshold.data.normal_(0, 4)
    found = []
    for training in (True, False):
        y = layer.train(training)(x)
        found.append((y, *torch.autograd.grad(y.square().sum(), [x, layer.weight, layer.gate.threshold, layer.bias])))
    for trained, deployed in zip(*found, strict=True):
        torch.testing.assert_close(deployed, trained, rtol=1e-4, atol=1e-4)


def test_a_gate_that_is_shut_passes_its_threshold_no_gradient() -> None:
    layer, x = gated(nn.Conv2d(5, 4, 3)), torch.randn(2, 5, 8, 8)
    layer.gate.threshold.data.fill_(100)
    layer(x).square().sum().backward()
    assert layer.gate.threshold.grad is not None and not layer.gate.threshold.grad.any()
    layer.gate.threshold.data.fill_(-1)
    layer(x).square().sum().backward()
    assert layer.gate.threshold.grad.all()


def test_what_is_counted() -> None:
    net = nn.Sequential(gated(nn.Conv2d(5, 4, 3)), gated(nn.Conv2d(4, 2, 3)))
    with pytest.raises(ValueError, match="inside `counting_gates"):
        average_bits(net)
    net[0].gate.threshold.data.fill_(-100)
    net[1].gate.threshold.data.fill_(100)
    for _ in range(2):
        with counting_gates(net):
            net(torch.randn(3, 5, 8, 8))
            net(torch.randn(2, 5, 8, 8))
        assert net[0].outputs == 5 * 4 * 36 and net[1].outputs == 5 * 2 * 16
        assert average_bits(net[0]) == 2 and average_bits(net[1]) == 1
        assert average_bits(net) == pytest.approx(1 + 144 / 176)
    net(torch.randn(1, 5, 8, 8))
    assert net[0].outputs == 5 * 4 * 36  # nobody counts outside


def test_it_stays_the_same_module_and_loads_float_checkpoints() -> None:
    real = nn.Conv2d(5, 4, 3)
    layer = gated(copy.deepcopy(real))
    assert [*layer.state_dict()] == ["weight", "bias", "gate.threshold"]
    layer.gate.threshold.data.fill_(7)
    layer.load_state_dict(real.state_dict())
    assert layer.gate.threshold.tolist() == [7.0] * 4
    other = gated(nn.Conv2d(5, 4, 3))
    other.load_state_dict(layer.state_dict())
    x = torch.randn(1, 5, 6, 6)
    assert torch.equal(other(x), layer(x))
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), layer(x))
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))


def test_the_operator_is_registered_correctly() -> None:
    x = Planes()(torch.randn(2, 4, 6, 6))
    w = torch.where(torch.rand(2, 2, 3, 3) < 0.5, -0.5, 0.5).requires_grad_()
    arguments = (x, w, torch.zeros(2, requires_grad=True), torch.ones(2), [2, 2], [1, 1], [1, 1], 2)
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.bitwright.gated_conv2d.default, arguments, test_utils=checks)
    y = gated_ops.deployed(x.half(), w.half(), torch.zeros(2), None, ((1, 1), (1, 1), (1, 1), 2))
    assert y.dtype == torch.float16


def test_weights_of_other_levels_are_refused() -> None:
    layer = gated(nn.Conv2d(5, 4, 3), replace(PLANES, weight=lambda layer: Step())).eval()
    with pytest.raises(LoweringError, match=r"weights of two levels -a and \+a"):
        layer(torch.randn(1, 5, 8, 8))


def test_layers_of_signs_take_no_gates() -> None:
    net = nn.Sequential(nn.Conv2d(5, 4, 3))
    with pytest.raises(ValueError, match="0: the method's gate needs activations of two planes, such as Planes; found"):
        binarize(net, replace(bi_real_net(), gate=PlaneGate), where=["0"])
    assert type(net[0]) is nn.Conv2d


def test_only_convolutions_without_an_input_binarizer_of_their_own_are_gated() -> None:
    class Net(nn.Module):
        input_binarizers = MappingProxyType({"first": Sign})

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = nn.Conv2d(5, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 4)

    net = binarize(Net(), PLANES, where=["first", "second", "third"])
    assert [type(layer) for layer in net.children()] == [BinaryConv2d, GatedConv2d, BinaryLinear]
    with pytest.raises(ValueError, match="is binary already"):
        binarize(net, PLANES, where=["second"])


@pytest.mark.parametrize("training", [True, False])
def test_real_weights_are_gated_too(training: bool) -> None:
    """As in the first of two steps of training."""
    layer = gated(nn.Conv2d(5, 4, 3), replace(PLANES, weight=lambda layer: nn.Identity())).train(training)
    layer.gate.threshold.data.normal_(0, 0.2)
    x = torch.randn(2, 5, 8, 8)
    high = F.conv2d(torch.where(x >= 0, 1.0, -1.0), layer.weight) * 2 / 3
    opened = high > layer.gate.threshold.view(-1, 1, 1)
    y = torch.where(opened, F.conv2d(Planes()(x), layer.weight), high) + layer.bias.view(-1, 1, 1)
    with counting_gates(layer):
        torch.testing.assert_close(layer(x), y)
    assert float(layer.open_gates) == opened.sum() and 0.05 < opened.float().mean() < 0.95
    layer(x).square().sum().backward()
    assert layer.gate.threshold.grad is not None and layer.gate.threshold.grad.any()
