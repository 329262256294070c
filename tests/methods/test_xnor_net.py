"""XNOR-Net: both gradients on worked numbers, and the projection of the latent weight."""

import pytest
import torch
from torch import nn

from bitwright.core.hooks import after_step
from bitwright.lower import export
from bitwright.methods import xnor_net
from bitwright.methods.xnor_net import XnorWeight, centre_and_clamp, corrected_gradient, paper_gradient
from bitwright.nn.convert import binarize


def test_gradients_of_the_worked_example() -> None:
    w, grad = torch.tensor([[0.5, -0.5]]), torch.tensor([[1.0, 0.0]])
    assert corrected_gradient(w, grad).tolist() == [[1.0, -0.5]]
    assert paper_gradient(w, grad).tolist() == [[1.0, 0.0]]


def test_corrected_gradient_is_the_product_rule() -> None:
    w, grad = torch.rand(3, 4, 2, 2, dtype=torch.float64) * 1.6 - 0.8, torch.randn(3, 4, 2, 2, dtype=torch.float64)
    v = w.clone().requires_grad_()
    alpha = v.abs().mean((1, 2, 3), keepdim=True)
    (alpha * (v.detach().sign() + v - v.detach())).backward(grad)  # sign with slope 1
    torch.testing.assert_close(corrected_gradient(w, grad), v.grad)


@pytest.mark.parametrize("gradient", ["code", "paper"])
def test_gradient_reaches_the_latent_weight(gradient: str) -> None:
    layer = binarize(nn.Conv2d(4, 3, 3), xnor_net(gradient), where=[""])
    up = torch.randn(3, 4, 3, 3)
    layer.binarized_weight().backward(up)
    w = centre_and_clamp(layer.weight.detach())
    wanted = corrected_gradient(w, up) * (0.75 * 36) if gradient == "code" else paper_gradient(w, up)
    torch.testing.assert_close(layer.weight.grad, wanted)


def test_one_input_channel_still_learns() -> None:
    binarizer = XnorWeight()
    w = torch.randn(4, 1, 3, 3, requires_grad=True)
    out = binarizer(w)
    out.backward(torch.randn_like(out))
    assert w.grad is not None and w.grad.any() and out.any()
    assert torch.equal(out >= 0, w >= 0)


def test_after_step_centres_and_clamps_the_latent_weight() -> None:
    layer = binarize(nn.Linear(4, 2), xnor_net(), where=[""])
    layer.weight.data.mul_(10)
    expected = (layer.weight - layer.weight.mean(1, keepdim=True)).clamp(-1, 1)
    after_step(layer)
    assert torch.equal(layer.weight, expected)


def test_unknown_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gradient: expected 'code' or 'paper', found 'mine'"):
        xnor_net("mine")  # type: ignore[arg-type]


def test_inputs_stay_real_on_demand() -> None:
    layer = binarize(nn.Conv2d(4, 3, 3), xnor_net(real_input=True), where=[""])
    x = torch.randn(2, 4, 5, 5)
    w = centre_and_clamp(layer.weight.detach())
    expected = nn.functional.conv2d(x, w.abs().mean((1, 2, 3), keepdim=True) * w.sign(), layer.bias)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.eval()(x), expected)


def test_a_real_input_has_no_scale() -> None:
    with pytest.raises(ValueError, match=r"input_scale: a real input has no scale to restore"):
        xnor_net(input_scale=True, real_input=True)


def test_the_scale_of_the_input_is_exported(tmp_path) -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8),
        nn.Conv2d(8, 4, 3, 2, groups=2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 8), nn.Linear(8, 2),
    )  # fmt: skip
    binarize(net, xnor_net(input_scale=True)).eval()
    report = export(net, tmp_path / "net.bw", torch.randn(5, 2, 9, 9))
    assert report.comparison.logits_relative < 1e-5
