"""The methods against numbers computed with the code that their authors published (the .npz files beside this test)."""

from collections import OrderedDict

import pytest
import torch
from cases import Case, check_sign, run_block, run_layer
from torch import Tensor, nn

from bitwright.core.binarizers import ErrorDecay, ScaledSign, Sign
from bitwright.core.budget import ConnectionBudget, penalty_weight
from bitwright.core.estimators import approx_sign, ede, identity, ste, ste_open
from bitwright.core.hooks import after_step, penalty
from bitwright.methods import bi_real_net, sbnn, xnor_net
from bitwright.methods.sbnn import GeneralDomain
from bitwright.nn.convert import binarize
from bitwright.zoo.resnet import DoubleBlock

BUDGET = ConnectionBudget(0.05, 0.07)

ACTIVATIONS = {
    "xnor.act": Sign(ste_open),
    "xnor.act_edges": Sign(ste_open),
    "bireal.act": Sign(approx_sign),
    "bireal.act_edges": Sign(approx_sign),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    check_sign(Case(name), ACTIVATIONS[name])


@pytest.mark.parametrize("point", ["start", "mid", "end", "edges"])
def test_sbnn_activation(point: str) -> None:
    case = Case(f"sbnn.act_{point}")
    check_sign(case, lambda x: ede(x, case.number("t"), case.number("k")))


def test_sbnn_schedule_is_the_published_one() -> None:
    for point in ("start", "mid", "end"):
        case = Case(f"sbnn.weight_3x3_{point}")
        decay = ErrorDecay()
        decay.set_progress(case.number("epoch") / case.number("epochs"))
        assert decay.t == pytest.approx(case.number("t"), rel=1e-6)
        assert decay.k == pytest.approx(case.number("k"), rel=1e-6)


def sbnn_weight(case: Case, setup: str) -> nn.Module:
    binarizer = sbnn(estimator=setup).weight(nn.Conv2d(1, 1, 1))
    if setup == "cifar10":
        binarizer.sign.t, binarizer.sign.k = case.number("t"), case.number("k")
    binarizer.load_state_dict({"tau": case["param_tau"], "phi": case["param_phi"]})
    return binarizer


WEIGHTS = {
    "bireal.weight_1x1": lambda case: bi_real_net().weight(nn.Conv2d(1, 1, 1)),
    "bireal.weight_3x3": lambda case: bi_real_net().weight(nn.Conv2d(1, 1, 1)),
    "bireal.weight_zeros": lambda case: ScaledSign(ste, scale_gradient=False),
    "sbnn.weight_3x3_start": lambda case: sbnn_weight(case, "cifar10"),
    "sbnn.weight_3x3_mid": lambda case: sbnn_weight(case, "cifar10"),
    "sbnn.weight_3x3_end": lambda case: sbnn_weight(case, "cifar10"),
    "sbnn.weight_1x1_mid": lambda case: sbnn_weight(case, "cifar10"),
    "sbnn.weight_zeros": lambda case: sbnn_weight(case, "cifar10"),
    "sbnn.c100_weight_learned": lambda case: sbnn_weight(case, "cifar100"),
    "sbnn.c100_weight_fixed": lambda case: GeneralDomain(Sign(identity), BUDGET, "symmetric"),
    "sbnn.imagenet_weight": lambda case: sbnn_weight(case, "imagenet"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight(name: str) -> None:
    case = Case(name)
    binarizer = WEIGHTS[name](case)
    w = case["w"].clone().requires_grad_()
    out = binarizer(w)
    out.backward(case["upstream"])
    case.check("out", out, where=w != 0)
    case.check("grad_w", w.grad)
    for key, parameter in binarizer.named_parameters():
        if (w != 0).all() or key == "phi":  # the originals' zeros are no sign, which the gradient of tau sums up
            case.check(f"grad_param_{key}", parameter.grad)


@pytest.mark.parametrize("name", ["xnor.weight_1x1", "xnor.weight_3x3", "xnor.weight_imagenet"])
def test_xnor_weight(name: str) -> None:
    case = Case(name)
    layer = binary_conv(case, xnor_net())
    out = layer.binarized_weight()
    out.backward(case["upstream"])
    case.check("out", out)
    scale = 1e9 if name.endswith("imagenet") else 1.0
    case.check("grad_w", layer.weight.grad * scale)
    after_step(layer)
    case.check("latent_after", layer.weight)


def binary_conv(case: Case, method, bias: bool = False) -> nn.Module:
    out, inputs, k, _ = case["w"].shape
    stride = int(case.number("stride")) if "stride" in case.values else 1
    layer = nn.Conv2d(inputs, out, k, stride, padding=k // 2, bias=bias)
    binarize(layer, method, where=lambda name, layer: True)
    with torch.no_grad():
        layer.weight.copy_(case["w"])
    return layer


CONVS = {
    "bireal.conv": (bi_real_net(), False),
    "sbnn.conv_start": (sbnn(), True),
    "sbnn.conv_mid": (sbnn(), True),
    "sbnn.conv_end": (sbnn(), True),
    "sbnn.c100_conv_learned": (sbnn(estimator="cifar100"), False),
    "sbnn.c100_conv_fixed": (sbnn(estimator="cifar100", levels="symmetric"), False),
    "sbnn.imagenet_conv": (sbnn(estimator="imagenet"), False),
}


@pytest.mark.parametrize("name", CONVS)
def test_convolution(name: str) -> None:
    case = Case(name)
    method, binarizes_input = CONVS[name]
    layer = binary_conv(case, method)
    if not binarizes_input:
        layer.input_binarizer = nn.Identity()
    for key, parameter in layer.weight_binarizer.named_parameters():
        parameter.data.copy_(case[f"param_{key}"])
    if "t" in case.values:
        for decay in (layer.weight_binarizer.sign, layer.input_binarizer):
            decay.t, decay.k = case.number("t"), case.number("k")
    run_layer(case, layer)
    for key, parameter in layer.weight_binarizer.named_parameters():
        case.check(f"grad_param_{key}", parameter.grad)


def test_xnor_layer() -> None:
    case = Case("xnor.layer_train")
    bn = nn.BatchNorm2d(4, eps=1e-4)
    conv = binary_conv(case, xnor_net(), bias=True)
    with torch.no_grad():
        bn.weight.copy_(case["param_bn.weight"])
        bn.bias.copy_(case["param_bn.bias"])
        conv.bias.copy_(case["param_conv.bias"])
    x = case["x"].clone().requires_grad_()
    out = nn.functional.relu(conv(bn(x)))
    out.backward(case["upstream"])
    case.tolerance = 1e-4
    case.check("out", out)
    case.check("binarized_w", conv.binarized_weight())
    case.check("grad_x", x.grad)
    case.check("grad_w", conv.weight.grad)
    case.check("grad_param_conv.bias", conv.bias.grad)
    case.check("grad_param_bn.weight", bn.weight.grad)
    case.check("grad_param_bn.bias", bn.bias.grad)
    after_step(conv)
    case.check("latent_after", conv.weight)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_sbnn_block(mode: str) -> None:
    case = Case(f"sbnn.block_{mode}")
    block = binarize(DoubleBlock(8, 12, 2, "conv", nn.Hardtanh), sbnn(), where=["conv1", "conv2"])
    for module in block.modules():
        if isinstance(module, ErrorDecay):
            module.t, module.k = case.number("t"), case.number("k")
    run_block(case, block)


class Shift(nn.Module):
    """A learned bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class OriginalBlock(nn.Module):
    """A block under the original's names, wired by a function."""

    def __init__(self, run, **parts: nn.Module | None) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def pooled_shortcut() -> nn.Sequential:
    parts = [("0", nn.AvgPool2d(2)), ("1", nn.Conv2d(8, 12, 1, bias=False)), ("2", nn.BatchNorm2d(12))]
    return nn.Sequential(OrderedDict(parts))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_bi_real_block(mode: str) -> None:
    conv = nn.Conv2d(8, 12, 3, 2, 1, bias=False)
    block = OriginalBlock(
        lambda b, x: b.bn1(b.binary_conv(x)) + b.downsample(x),
        binary_conv=conv, bn1=nn.BatchNorm2d(12), downsample=pooled_shortcut(),
    )  # fmt: skip
    run_block(Case(f"bireal.block_{mode}"), binarize(block, bi_real_net(), where=["binary_conv"]))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_sbnn_cifar100_block(mode: str) -> None:
    def run(b, x: Tensor) -> Tensor:
        y = b.bn1(b.binary_conv(b.move0(x))) + b.downsample(x)
        return b.move2(b.prelu(b.move1(y)))

    block = OriginalBlock(
        run, move0=Shift(8), binary_conv=nn.Conv2d(8, 12, 3, 2, 1, bias=False), bn1=nn.BatchNorm2d(12),
        downsample=pooled_shortcut(), move1=Shift(12), prelu=nn.PReLU(12), move2=Shift(12),
    )  # fmt: skip
    binarize(block, sbnn(estimator="cifar100"), where=["binary_conv"])
    run_block(Case(f"sbnn.c100_block_{mode}"), block)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_sbnn_imagenet_block(mode: str) -> None:
    def run(b, x: Tensor) -> Tensor:
        y = b.bn1(b.binary_3x3(b.move11(x))) + nn.functional.avg_pool2d(x, 2)
        y = b.move13(b.prelu1(b.move12(y)))
        z = b.move21(y)
        halves = [b.bn2_1(b.binary_pw_down1(z)) + y, b.bn2_2(b.binary_pw_down2(z)) + y]
        return b.move23(b.prelu2(b.move22(torch.cat(halves, 1))))

    names = ["binary_3x3", "binary_pw_down1", "binary_pw_down2"]
    block = OriginalBlock(
        run, move11=Shift(8), binary_3x3=nn.Conv2d(8, 8, 3, 2, 1, bias=False), bn1=nn.BatchNorm2d(8),
        move12=Shift(8), prelu1=nn.PReLU(8), move13=Shift(8), move21=Shift(8),
        binary_pw_down1=nn.Conv2d(8, 8, 1, bias=False), binary_pw_down2=nn.Conv2d(8, 8, 1, bias=False),
        bn2_1=nn.BatchNorm2d(8), bn2_2=nn.BatchNorm2d(8), move22=Shift(16), prelu2=nn.PReLU(16), move23=Shift(16),
    )  # fmt: skip
    binarize(block, sbnn(estimator="imagenet"), where=names)
    run_block(Case(f"sbnn.imagenet_block_{mode}"), block)


@pytest.mark.parametrize("name", ["c10", "c100", "c10_satisfied", "imagenet"])
def test_sbnn_penalty(name: str) -> None:
    case = Case(f"sbnn.penalty_{name}")
    weights = {key: value for key, value in case.group("param_").items() if "weight" in key}
    net = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.Conv2d(6, 5, 1, bias=False))
    method = sbnn(
        1 - case.number("EC"), gamma=case.number("gamma"), estimator="imagenet" if name == "imagenet" else "cifar10"
    )
    binarize(net, method, where=["0", "1"])
    for layer, value in zip(net, weights.values(), strict=True):
        layer.weight.data.copy_(value.view_as(layer.weight))
    budget = net[0].weight_binarizer.penalty_term
    assert budget.share([layer.weight for layer in net]).item() == case.number("count_ones") / case.number(
        "count_total"
    )
    base = case["loss_base"]
    term = penalty(net, base)
    case.check("loss_total", base + term)
    case.check("lam", penalty_weight(case["h"], base, budget.gamma, budget.dead_zone))
    term.backward()
    for layer, key in zip(net, weights, strict=True):
        slope = {"c10": 0.5, "c100": 0.5, "c10_satisfied": 0.5, "imagenet": 1.0}[name]
        each = slope * case.number("lam") / case.number("count_total")
        torch.testing.assert_close(layer.weight.grad, torch.full_like(layer.weight, each), rtol=1e-5, atol=1e-9)
        difference = (case[f"grad_param_{key}"] - case[f"grad_base_param_{key}"]).view_as(layer.weight)
        torch.testing.assert_close(layer.weight.grad, difference, rtol=1e-4, atol=1e-6)
