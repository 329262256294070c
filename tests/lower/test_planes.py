"""Networks of two bit planes, gated or not: what the file computes is what torch computes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_pipeline import chain, residual
from test_tail import ELEMENTWISE, last_fold, norm, set_shift
from torch import nn
from trained import Net, outputs, train

import bitwright as bw
from bitwright.core.binarizers import Planes, ScaledSign, Sign, Step
from bitwright.core.estimators import quantize
from bitwright.core.gated_ops import is_open
from bitwright.core.method import Method
from bitwright.format.reader import read
from bitwright.ir import ops
from bitwright.lower import export, lower
from bitwright.lower.capture import capture
from bitwright.lower.freeze import freeze, read_layers
from bitwright.lower.tail import FAR
from bitwright.nn.gated import GatedConv2d, PlaneGate

WEIGHTS = {
    "plain": lambda layer: Sign(),
    "scaled": lambda layer: ScaledSign(),
    "zero_one": lambda layer: Step(),
    "general": bw.methods.sbnn().weight,
}


def of_planes(net: nn.Module, weight: str, gated: bool = False, **kwargs) -> nn.Module:
    method = Method(weight=WEIGHTS[weight], activation=lambda layer: Planes(), gate=PlaneGate if gated else None)
    net = bw.binarize(net, method, **kwargs)
    for layer in net.modules():
        if isinstance(layer, GatedConv2d):
            layer.gate.threshold.data.normal_(0, 2 * float(layer.binarized_weight().detach().abs().max()))
    return net


CASES = [(weight, False) for weight in WEIGHTS] + [("plain", True), ("scaled", True)]


@pytest.mark.parametrize(("weight", "gated"), CASES)
@pytest.mark.parametrize("network", [chain, residual])
def test_every_accumulator_and_digit_equals_torch(network, weight, gated, tmp_path):
    shape = (3, 21, 19) if network is chain else (2, 12, 12)
    net = train(of_planes(network(), weight, gated), torch.randn(6, *shape))
    report = export(net, tmp_path / "net.bw", torch.randn(11, *shape))
    assert report.differing == 0
    assert report.bits > 500
    assert report.comparison.accumulators > 500
    assert report.comparison.labels_differing == 0
    graph = read(tmp_path / "net.bw")
    convolutions = [op for op in graph.ops if isinstance(op, ops.BinaryConv)]
    assert all((op.gate is not None) == gated for op in convolutions) and convolutions
    if network is chain:
        assert all(sign.exact for sign in report.comparison.signs[1:])


@pytest.mark.parametrize("isa", ["reference", "portable", None])
def test_the_engine_computes_the_same(isa, tmp_path):
    net = train(of_planes(residual(), "plain", gated=True), torch.randn(6, 2, 12, 12)).eval()
    export(net, tmp_path / "net.bw", torch.randn(4, 2, 12, 12))
    x = torch.randn(5, 2, 12, 12)
    with torch.no_grad():
        expected = net(x).numpy()
    np.testing.assert_allclose(bw.load(tmp_path / "net.bw", isa=isa)(x.numpy()), expected, rtol=1e-4, atol=1e-5)


def codes(found, x, channel):
    x = -x if found.flip[channel] else x
    return int((np.float32(x) >= found.threshold[:, channel]).sum())


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_thresholds_of_an_accumulator(elementwise):
    """Every integer that 12 taps can sum to, held against torch on each."""
    layer = bw.binarize(nn.Conv2d(12, 6, 1), bw.methods.xnor_net(), where=[""])
    net = Net(
        lambda m, x: quantize(ELEMENTWISE[elementwise](m, m.before(x))),
        before=layer,
        norm=norm(),
        prelu=nn.PReLU(6, init=0.1),
        shift=nn.ParameterList(),
    )
    set_shift(net).eval()
    found = last_fold(net, torch.randn(2, 12, 3, 3))
    assert found.on_sums and found.threshold.shape == (3, 6)
    assert (found.threshold[1:] >= found.threshold[:-1]).all()
    signs = layer.binarized_weight().detach()[:, :, 0, 0].sign()
    for ones in range(13):  # inputs that agree with the first `ones` weights of a channel
        for channel in range(6):
            x = signs[channel] * torch.where(torch.arange(12) < ones, 1.0, -1.0)
            with torch.no_grad():
                code = net(x.view(1, 12, 1, 1))[0, channel].item() * 1.5 + 1.5
            assert codes(found, 2 * ones - 12, channel) == round(code)


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_thresholds_of_a_real_source(elementwise):
    """The float32 numbers on both sides of each threshold."""
    net = Net(
        lambda m, x: quantize(ELEMENTWISE[elementwise](m, m.before(x))),
        before=nn.AvgPool2d(1),
        norm=norm(),
        prelu=nn.PReLU(6, init=0.1),
        shift=nn.ParameterList(),
    )
    set_shift(net).eval()
    found = last_fold(net, torch.randn(2, 6, 3, 3))
    assert not found.on_sums and found.threshold.shape == (3, 6)
    assert (found.threshold[1:] >= found.threshold[:-1]).all()
    for channel in range(6):
        values = [-100.0, -1.0, 0.0, 1.0, 100.0]
        for threshold in found.threshold[:, channel]:
            if abs(threshold) < FAR:
                at = -threshold if found.flip[channel] else threshold
                values += [at, np.nextafter(at, np.float32(9e9)), np.nextafter(at, np.float32(-9e9))]
        for value in values:
            with torch.no_grad():
                y = net(torch.full((1, 6, 1, 1), float(value)))[0, channel].item()
            assert codes(found, value, channel) == round(y * 1.5 + 1.5)


@pytest.mark.parametrize("weight", ["plain", "scaled"])
def test_integer_gates_are_the_real_ones_on_every_sum(weight):
    layer = of_planes(nn.Conv2d(7, 300, 3), weight, gated=True, where=[""]).eval()
    assert isinstance(layer, GatedConv2d)
    scale, taps = layer.binarized_weight().detach()[:, 0, 0, 0].abs(), 63
    with torch.no_grad():
        layer.gate.threshold[:130] = torch.arange(-65, 65) * (2 / 3) * scale[:130]  # where a sum meets the threshold
        layer.gate.threshold[130:132] = torch.tensor([-1e9, 1e9])
    program = freeze(capture(layer, torch.randn(2, 7, 5, 5)))
    (found,) = read_layers(program).values()
    sums = torch.arange(-taps, taps + 1)
    opened = is_open(sums[:, None].float(), scale, layer.gate.threshold.detach())
    np.testing.assert_array_equal(sums.numpy()[:, None] >= found.gate(), opened.numpy())
    if weight == "plain":  # as the paper's deployment has it
        rule = torch.floor(1.5 * layer.gate.threshold.detach()[132:].double()) + 1
        np.testing.assert_array_equal(np.clip(rule.numpy(), -taps, taps + 1), found.gate()[132:])


def test_planes_that_are_read_as_numbers_become_thirds():
    net = Net(
        lambda m, x: m.real(m.planes(x)) + m.conv(x), planes=Planes(), real=nn.Conv2d(3, 4, 3), conv=nn.Conv2d(3, 4, 3)
    )
    of_planes(net, "plain", where=["conv"])
    expected, found = outputs(net, torch.randn(2, 3, 7, 7))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    kinds = [type(op) for op in lower(net, torch.randn(2, 3, 7, 7)).ops]
    assert kinds.count(ops.Quantize) == 1 and ops.Decode in kinds  # one quantizer serves both


def test_planes_flattened_or_joined_stay_planes():
    net = Net(
        lambda m, x: m.hidden(torch.cat([m.planes(x), m.planes(-x)], 1).flatten(1)),
        planes=Planes(),
        hidden=nn.Linear(2 * 3 * 35, 5),
    )
    of_planes(net, "scaled", where=["hidden"])
    net.hidden.input_binarizer = Through()
    x = torch.randn(2, 3, 5, 7)
    expected, found = outputs(net, x)
    np.testing.assert_array_equal(found, expected)
    assert not any(isinstance(op, ops.Decode) for op in lower(net, x).ops)


class Through(nn.Module):
    """Takes what is binarized or quantized already."""

    def __init__(self, digits: bool = True):
        super().__init__()
        self.digits = digits

    def forward(self, x):
        return x


def test_pools_of_planes_are_refused():
    net = Net(lambda m, x: m.conv(F.max_pool2d(m.planes(x), 2)), planes=Planes(), conv=nn.Conv2d(3, 4, 3))
    of_planes(net, "plain", where=["conv"])
    net.conv.input_binarizer = Through()
    with pytest.raises(bw.LoweringError, match="max_pool2d cannot be lowered: it pools digits of two planes"):
        lower(net, torch.randn(2, 3, 9, 9))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (Planes(), Through(digits=False), "has the kind DIGIT, expected SIGN or BIT"),
        (Sign(), Through(), "SIGN, expected DIGIT"),
    ],
)
def test_planes_and_signs_are_not_mixed_up(first, second, message):
    net = Net(lambda m, x: m.conv(m.codes(x)), codes=first, conv=nn.Conv2d(3, 4, 3))
    of_planes(net, "plain", where=["conv"])
    net.conv.input_binarizer = second
    with pytest.raises(bw.LoweringError, match=rf"conv \(BinaryConv2d\): its input .*{message}.*`digits` is true"):
        lower(net, torch.randn(2, 3, 9, 9))
