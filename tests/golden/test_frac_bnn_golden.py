"""FracBNN against numbers computed with the code that its authors published; its loss is in test_losses_golden.py."""

from dataclasses import replace

import pytest
import torch
from cases import Case, check_sign, rename, run_block
from torch import nn

from bitwright.core.binarizers import Planes
from bitwright.core.hooks import penalty
from bitwright.methods import frac_bnn
from bitwright.methods.frac_bnn import wide_ste
from bitwright.nn.activations import RPReLU
from bitwright.nn.convert import binarize
from bitwright.nn.gated import GatedConv2d, average_bits, counting_gates
from bitwright.nn.layers import BinaryConv2d
from bitwright.nn.quantize import Quantize
from bitwright.nn.thermometer import Thermometer
from bitwright.zoo.frac_bnn import FracBlock

RPRELU = {"shift_x.bias": "shift_in", "prelu.weight": "slope", "shift_y.bias": "shift_out"}
MODES = ["train", "eval"]


def test_thermometer() -> None:
    case = Case("fracbnn.encoder")
    assert torch.equal(Thermometer(int(case.number("resolution")))(case["x"]), case["out"])


@pytest.mark.parametrize("name", ["fracbnn.fastsign", "fracbnn.fastsign_edges"])
def test_sign(name: str) -> None:
    check_sign(Case(name), wide_ste)


@pytest.mark.parametrize("name", ["fracbnn.weight_1x1", "fracbnn.weight_3x3"])
def test_weight(name: str) -> None:
    case = Case(name)
    w = case["w"].clone().requires_grad_()
    out = frac_bnn().weight(nn.Conv2d(1, 1, 1))(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)


@pytest.mark.parametrize("name", ["fracbnn.quant2", "fracbnn.quant2_edges"])
def test_planes(name: str) -> None:
    case = Case(name)
    x = case["x"].clone().requires_grad_()
    out = Planes()(x)
    case.check("out", out)
    out.backward(case["upstream"])
    case.check("grad_x", x.grad)


@pytest.mark.parametrize("name", ["fracbnn.quant2", "fracbnn.quant2_edges", "fracbnn.quant4", "fracbnn.quant4_edges"])
def test_levels_of_a_shortcut(name: str) -> None:
    case = Case(name)
    x = case["x"].clone().requires_grad_()
    out = Quantize(int(case.number("bits")))(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)


def test_first_convolution() -> None:
    """It takes its input as it is: here real numbers."""
    case = Case("fracbnn.conv_first")
    method = replace(frac_bnn(), activation=lambda layer: nn.Identity(), gate=None)
    layer = binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), method, where=[""])
    assert type(layer) is BinaryConv2d
    layer.weight.data.copy_(case["w"])
    x = case["x"].clone().requires_grad_()
    out = layer(x)
    case.check("out", out)
    out.backward(case["upstream"])
    case.check("grad_x", x.grad)
    case.check("grad_w", layer.weight.grad)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["fracbnn.gated_conv_3x3", "fracbnn.gated_conv_1x1", "fracbnn.gated_conv_dense_bp"])
def test_gated_convolution(name: str, training: bool) -> None:
    case = Case(name)
    out, channels, *kernel = case["w"].shape
    conv = nn.Conv2d(channels, out, kernel[0], padding=kernel[0] // 2, bias=False)
    layer = binarize(conv, frac_bnn(sparse="dense" not in name), where=[""]).train(training)
    assert isinstance(layer, GatedConv2d)
    with torch.no_grad():
        layer.weight.copy_(case["w"])
        layer.gate.threshold.copy_(case["param_conv.threshold"].flatten())
    x = case["x"].clone().requires_grad_()
    with counting_gates(layer):
        y = layer(x)
    case.check("out", y)
    assert (float(layer.open_gates), layer.outputs) == (case.number("gate_open"), case.number("gate_total"))
    assert average_bits(layer) == 1 + case.number("gate_open") / case.number("gate_total")
    y.backward(case["upstream"])
    case.check("grad_x", x.grad)
    case.check("grad_w", layer.weight.grad)
    case.check("grad_param_conv.threshold", layer.gate.threshold.grad)


def test_penalty_of_the_gates() -> None:
    case = Case("fracbnn.gate_penalty")
    thresholds = [case["param_l1.conv1.threshold"].flatten(), case["param_l1.conv2.threshold"].flatten()]
    net = nn.Sequential(*(nn.Conv2d(4, len(values), 3) for values in thresholds), nn.Linear(3, 1))
    binarize(net, frac_bnn(gate_target=case.number("delta_target")), where=["0", "1"])
    for layer, values in zip(net, thresholds, strict=False):
        layer.gate.threshold.data.copy_(values)
    term = penalty(net)
    term.backward()
    assert term.item() == pytest.approx(case.number("out"), rel=1e-5)
    for layer, name in zip(net, ["l1.conv1", "l1.conv2"], strict=False):
        expected = case[f"grad_param_{name}.threshold"].flatten()
        torch.testing.assert_close(layer.gate.threshold.grad, expected, rtol=1e-5, atol=0)
        assert layer.weight.grad is None


def test_rprelu() -> None:
    case = Case("fracbnn.rprelu")
    rename(case, RPRELU)
    act = RPReLU(4)
    act.load_state_dict({key: case[f"param_{key}"].flatten() for key in RPRELU.values()})
    x = case["x"].clone().requires_grad_()
    out = act(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    for key, parameter in act.named_parameters():
        case.check(f"grad_param_{key}", parameter.grad)


def run_blocks(case: Case, originals: list[dict[str, str]], *blocks: FracBlock) -> None:
    """Hold blocks behind each other against the one that the original makes of them."""
    names: dict[str, str] = {}
    for i, parts in enumerate(originals):
        names |= {f"{parts['conv']}.threshold": f"{i}.conv.gate.threshold"}
        names |= {old: f"{i}.{new}" for new, old in parts.items() if new != "act"}
        names |= {f"{parts['act']}.{old}": f"{i}.act.{new}" for old, new in RPRELU.items()}
    rename(case, names)
    net = binarize(nn.Sequential(*blocks), frac_bnn(), where=[f"{i}.conv" for i in range(len(blocks))])
    assert all(isinstance(block.conv, GatedConv2d) for block in blocks)
    run_block(case, net)


@pytest.mark.parametrize("mode", MODES)
def test_block_of_resnet(mode: str) -> None:
    originals = [{"conv": f"conv{i}", "bn": f"bn{i}", "act": f"rprelu{i}", "bn_out": f"bn{i + 2}"} for i in (1, 2)]
    run_blocks(Case(f"fracbnn.block_{mode}"), originals, FracBlock(8, 16, 3, 2), FracBlock(16, 16, 3, 1))


@pytest.mark.parametrize("mode", MODES)
def test_block_of_mobilenet(mode: str) -> None:
    originals = [
        {"conv": f"{part}.0", "bn": f"{part}.1", "act": f"rprelu{i}", "bn_out": f"shiftbn{i}"}
        for i, part in enumerate(["conv3x3", "pointwise"], 1)
    ]
    blocks = FracBlock(8, 8, 3, 2, shortcut_bits=4), FracBlock(8, 16, 1, 1, shortcut_bits=4)
    run_blocks(Case(f"fracbnn.imagenet_block_{mode}"), originals, *blocks)
