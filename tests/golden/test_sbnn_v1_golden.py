"""SBNN v1 with learned levels against numbers computed with the code of SBNN, its successor."""

from typing import Any

import pytest
import torch
from cases import Case, check_sign, run_layer
from torch import nn

from bitwright.core.hooks import penalty
from bitwright.methods import sbnn_v1
from bitwright.nn.convert import binarize

WEIGHTS = ["weight_3x3_start", "weight_3x3_mid", "weight_3x3_end", "weight_1x1_mid", "weight_zeros"]


def set_up(case: Case, binarizer: Any) -> None:
    binarizer.load_state_dict({"tau": case["param_tau"], "phi": case["param_phi"]})
    binarizer.sign.t, binarizer.sign.k = case.number("t"), case.number("k")


@pytest.mark.parametrize("point", ["start", "mid", "end", "edges"])
def test_activation(point: str) -> None:
    case = Case(f"sbnn.act_{point}")
    decay: Any = sbnn_v1().activation(nn.Conv2d(1, 1, 1))
    decay.t, decay.k = case.number("t"), case.number("k")
    check_sign(case, decay)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight(name: str) -> None:
    case = Case(f"sbnn.{name}")
    binarizer: Any = sbnn_v1(levels="learned").weight(nn.Conv2d(1, 1, 1))
    set_up(case, binarizer)
    w = case["w"].clone().requires_grad_()
    out = binarizer(w)
    out.backward(case["upstream"])
    case.check("out", out, where=w != 0)
    case.check("grad_w", w.grad)
    case.check("grad_param_phi", binarizer.phi.grad)
    if (w != 0).all():  # the original's zeros are no sign, which this gradient sums up
        case.check("grad_param_tau", binarizer.tau.grad)


@pytest.mark.parametrize("point", ["start", "mid", "end"])
def test_convolution(point: str) -> None:
    case = Case(f"sbnn.conv_{point}")
    outputs, inputs, k, _ = case["w"].shape
    layer: Any = nn.Conv2d(inputs, outputs, k, int(case.number("stride")), padding=k // 2, bias=False)
    binarize(layer, sbnn_v1(levels="learned"), where=[""])
    layer.weight.data.copy_(case["w"])
    set_up(case, layer.weight_binarizer)
    layer.input_binarizer.t, layer.input_binarizer.k = case.number("t"), case.number("k")
    run_layer(case, layer)
    for key, parameter in layer.weight_binarizer.named_parameters():
        case.check(f"grad_param_{key}", parameter.grad)


@pytest.mark.parametrize("name", ["penalty_c10", "penalty_c10_satisfied"])
def test_penalty(name: str) -> None:
    case = Case(f"sbnn.{name}")
    weights = {key: value for key, value in case.group("param_").items() if "weight" in key}
    net = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.Conv2d(6, 5, 1, bias=False))
    binarize(net, sbnn_v1(1 - case.number("EC"), gamma=case.number("gamma")), where=["0", "1"])
    for layer, value in zip(net, weights.values(), strict=True):
        layer.weight.data.copy_(value.view_as(layer.weight))
    base = case["loss_base"]
    term = penalty(net, base)
    case.check("loss_total", base + term)
    term.backward()
    for layer, key in zip(net, weights, strict=True):
        difference = (case[f"grad_param_{key}"] - case[f"grad_base_param_{key}"]).view_as(layer.weight)
        torch.testing.assert_close(layer.weight.grad, difference, rtol=1e-4, atol=1e-6)
