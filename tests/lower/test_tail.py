"""Thresholds against brute force, on tails of every shape."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trained import Net, outputs

import bitwright as bw
from bitwright.core.estimators import sign
from bitwright.ir import ops
from bitwright.lower import lower
from bitwright.lower.capture import capture
from bitwright.lower.fold import fold
from bitwright.lower.freeze import freeze, read_layers
from bitwright.lower.tail import FAR


def last_fold(net, x):
    program = freeze(capture(net.eval(), x))
    *_, found = fold(program, read_layers(program)).values()
    return found


def norm(channels=6):
    module = nn.BatchNorm2d(channels)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([1.0, -0.7, 0.0, 2.0, -1.5, 0.0]))
        module.bias.copy_(torch.tensor([0.3, -0.2, 0.4, 9.0, 0.1, -0.4]))
        module.running_mean.normal_()
        module.running_var.uniform_(0.5, 2)
    return module


ELEMENTWISE = {
    "nothing": lambda m, y: y,
    "norm": lambda m, y: m.norm(y),
    "norm, hardtanh": lambda m, y: F.hardtanh(m.norm(y)),
    "relu6, norm": lambda m, y: m.norm(F.relu6(y) - 1),
    "prelu": lambda m, y: m.prelu(m.norm(y)) + m.shift,
    "leaky, scale": lambda m, y: F.leaky_relu(m.norm(y), 0.01) * m.shift / 3,
    "1 - y": lambda m, y: 1 - m.norm(y).neg(),
    "tanh": lambda m, y: torch.tanh(m.norm(y)) - 0.3,
    "clamp": lambda m, y: m.norm(y).clamp(max=0.1).clamp(min=-0.2) - m.shift.abs() / 10,
    "hardsigmoid": lambda m, y: F.hardsigmoid(m.norm(y)) - 0.5,
}


def with_tail(elementwise, **modules):
    return Net(
        lambda m, x: sign(ELEMENTWISE[elementwise](m, m.before(x))),
        norm=norm(),
        prelu=nn.PReLU(6, init=0.1),
        shift=nn.ParameterList(),
        **modules,
    )


def set_shift(net):
    del net.shift
    net.register_parameter("shift", nn.Parameter(torch.tensor([0.1, -0.2, 0.3, -0.4, 0.5, -0.6]).view(6, 1, 1)))
    return net


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_accumulator(elementwise):
    """Every integer that 12 taps can sum to, held against torch on each."""
    layer = bw.binarize(nn.Conv2d(12, 6, 1), bw.methods.xnor_net(), where=[""])
    net = set_shift(with_tail(elementwise, before=layer)).eval()
    found = last_fold(net, torch.randn(2, 12, 3, 3))
    assert found.threshold.dtype == np.int32
    signs = layer.binarized_weight().detach()[:, :, 0, 0].sign()
    for ones in range(13):  # inputs that agree with the first `ones` weights of a channel
        for channel in range(6):
            x = signs[channel] * torch.where(torch.arange(12) < ones, 1.0, -1.0)
            with torch.no_grad():
                bit = net(x.view(1, 12, 1, 1))[0, channel].item() > 0
            acc = 2 * ones - 12
            assert ((acc >= found.threshold[channel]) != found.flip[channel]) == bit


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_real_source(elementwise):
    """The float32 numbers on both sides of each threshold."""
    net = set_shift(with_tail(elementwise, before=nn.AvgPool2d(1))).eval()
    found = last_fold(net, torch.randn(2, 6, 3, 3))
    assert found.threshold.dtype == np.float32
    for channel, (threshold, falls) in enumerate(zip(found.threshold, found.flip, strict=True)):
        values = [-100.0, -1.0, 0.0, 1.0, 100.0]
        if abs(threshold) < FAR:
            values += [threshold, np.nextafter(threshold, np.float32(9e9)), np.nextafter(threshold, np.float32(-9e9))]
        for value in values:
            with torch.no_grad():
                bit = net(torch.full((1, 6, 1, 1), float(value)))[0, channel].item() > 0
            assert bool(value <= threshold if falls else value >= threshold) == bit


def test_real_source_without_a_monotone_tail():
    net = Net(lambda m, x: sign(F.relu(m.pool(x).pow(2) - 1) - 0.5), pool=nn.AvgPool2d(1))
    found = last_fold(net, torch.randn(2, 6, 3, 3))
    assert found.source.name != "avg_pool2d"
    assert "pow need not be monotone" in found.note


@pytest.mark.parametrize("factor", [lambda m, y: y * y - 1, lambda m, y: 1 / y, lambda m, y: y / y])
def test_products_of_a_value_with_itself_are_not_taken_for_scales(factor):
    net = Net(lambda m, x: sign(factor(m, m.pool(x))), pool=nn.AvgPool2d(1))
    assert last_fold(net, torch.randn(2, 6, 3, 3)).source.name != "avg_pool2d"


@pytest.mark.parametrize("elementwise", ["norm", "prelu"])
@pytest.mark.parametrize("general", [False, True])
def test_pools_and_flattening_inside(general, elementwise):
    """Norms before and after the pools and behind the flattening, with falling and flat channels in each."""
    features = 6 * 3 * 3

    def forward(m, x):
        y = F.max_pool2d(ELEMENTWISE[elementwise](m, m.before(x)), 3, 2, padding=1)
        return m.head(m.late(F.max_pool2d(m.middle(y), 2).flatten(1)))

    net = Net(
        forward,
        norm=norm(),
        middle=norm(),
        prelu=nn.PReLU(6, init=0.1),
        before=nn.Conv2d(3, 6, 3),
        late=nn.BatchNorm1d(features),
        head=nn.Linear(features, 4),
        shift=nn.ParameterList(),
    )
    set_shift(net)
    bw.binarize(net, bw.methods.xnor_net(), where=["before", "head"])
    if general:
        net.before.weight_binarizer = Net(lambda m, w: 0.2 * sign(w) - 0.1)
    with torch.no_grad():
        net.late.weight.normal_()
        net.late.weight[::7] = 0
        net.late.bias.normal_()
    x = torch.randn(5, 3, 14, 14)
    graph = lower(net, x)
    (bits,) = [op for op in graph.ops if op.name == "head.input_binarizer"]
    assert isinstance(bits, ops.Binarize if general else ops.Threshold)
    assert len(bits.threshold) == features
    assert any(op.take_min is not None for op in graph.ops if isinstance(op, ops.MaxPool))
    expected, found = outputs(net, x)
    np.testing.assert_array_equal(found, expected)


def test_comparison_moves_in_front_of_pools():
    """A pool of bits costs less than one of integers; falling channels take the minimum."""
    net = Net(
        lambda m, x: m.head(F.max_pool2d(m.norm(m.before(x)), 2).flatten(1)),
        norm=norm(),
        before=nn.Conv2d(3, 6, 3),
        head=nn.Linear(54, 4),
    )
    bw.binarize(net, bw.methods.xnor_net(), where=["before", "head"])
    graph = lower(net, torch.randn(2, 3, 8, 8))
    kinds = [type(op).__name__ for op in graph.ops]
    assert kinds == ["Binarize", "BinaryConv", "Threshold", "MaxPool", "Flatten", "BinaryLinear", "Affine"]
    assert len(graph.ops[2].threshold) == 6
    np.testing.assert_array_equal(graph.ops[2].flip, [False, True, False, False, True, False])
    assert graph.ops[3].take_min is None  # norms come before the pool: the maximum is that of the bits


def test_norm_behind_a_pool_takes_the_minimum_of_bits():
    net = Net(
        lambda m, x: m.head(m.norm(F.max_pool2d(m.before(x), 2)).flatten(1)),
        norm=norm(),
        before=nn.Conv2d(3, 6, 3),
        head=nn.Linear(54, 4),
    )
    bw.binarize(net, bw.methods.xnor_net(), where=["before", "head"])
    x = torch.randn(4, 3, 8, 8)
    graph = lower(net, x)
    (pool,) = [op for op in graph.ops if isinstance(op, ops.MaxPool)]
    np.testing.assert_array_equal(pool.take_min, [False, True, False, False, True, False])
    expected, found = outputs(net, x)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("norm_first", [False, True])
def test_signs_of_general_sums_move_in_front_of_pools(norm_first):
    """Falling channels are turned on the way to the sign, and their pools take the other extreme of the bits."""

    def forward(m, x):
        y = m.before(x)
        y = F.max_pool2d(m.norm(y), 2) if norm_first else m.norm(F.max_pool2d(y, 2))
        return m.head(y.flatten(1))

    net = Net(forward, norm=norm(), before=nn.Conv2d(3, 6, 3), head=nn.Linear(54, 4))
    bw.binarize(net, bw.methods.xnor_net(), where=["before", "head"])
    net.before.weight_binarizer = Net(lambda m, w: 0.2 * sign(w) - 0.1)
    x = torch.randn(4, 3, 8, 8)
    graph = lower(net, x)
    kinds = [type(op).__name__ for op in graph.ops if op.name != "before.window_sum"]
    assert kinds[1:6] == ["BinaryConv", "LevelSum", "Affine", "Binarize", "MaxPool"]
    (pool,) = [op for op in graph.ops if isinstance(op, ops.MaxPool)]
    assert (pool.take_min is None) == norm_first
    expected, found = outputs(net, x)
    np.testing.assert_array_equal(found, expected)
