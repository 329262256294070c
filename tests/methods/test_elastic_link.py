"""Elastic-Link-style: information passes where signs stop it."""

import pytest
import torch
from torch import nn

from bitwright.core.estimators import approx_sign
from bitwright.methods import elastic_link
from bitwright.nn.convert import binarize


def test_gradients_reach_inputs_beyond_the_window() -> None:
    layer = binarize(nn.Conv2d(4, 4, 3, padding=1), elastic_link(), where=[""])
    x = (torch.randn(2, 4, 5, 5).sign() * 2).requires_grad_()
    up = torch.randn(2, 4, 5, 5)
    layer(x).backward(up)
    assert x.grad is not None
    assert torch.equal(x.grad, up)  # the convolution's own way is shut where abs(x) > 1


@pytest.mark.parametrize(("outputs", "expected"), [(2, 1), (8, 2)])
def test_gradients_through_squeeze_and_expand(outputs: int, expected: int) -> None:
    layer = binarize(nn.Conv2d(4, outputs, 1), elastic_link(), where=[""])
    x = torch.full((1, 4, 2, 2), 3.0, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and (x.grad == expected).all()


@pytest.mark.parametrize("el_norm", ["inside", "outside"])
def test_a_stack_at_zero_gamma_passes_its_input_on(el_norm) -> None:
    net = nn.Sequential(*[nn.Conv2d(6, 6, 1) for _ in range(20)])
    binarize(net, elastic_link(el_norm=el_norm), where=lambda name, layer: True)
    for layer in net:
        (layer.rescale.gamma if el_norm == "inside" else layer.rescale.norm.weight).data.zero_()
    x = torch.randn(2, 6, 4, 4)
    assert torch.equal(net(x), x)
    assert torch.equal(net.eval()(x), x)


def test_only_gamma_is_added() -> None:
    layer = nn.Conv2d(4, 6, 3, bias=False)
    before = sum(p.numel() for p in layer.parameters())
    for gamma, added in (("channel", 6), ("layer", 1)):
        made = elastic_link(gamma=gamma).rescale(layer)
        assert sum(p.numel() for p in made.parameters()) == added
    assert sum(p.numel() for p in layer.parameters()) == before


def test_scale_gradient_is_the_product_rule() -> None:
    w = (torch.rand(3, 4, dtype=torch.float64) * 1.6 - 0.8).requires_grad_()
    up = torch.randn(3, 4, dtype=torch.float64)
    out = elastic_link(scale_grad=True).weight(nn.Linear(1, 1))(w)
    assert torch.equal(out, elastic_link().weight(nn.Linear(1, 1))(w))
    out.backward(up)
    alpha, s = w.detach().abs().mean(1, keepdim=True), w.detach().sign()
    torch.testing.assert_close(w.grad, alpha * up + s * (up * s).mean(1, keepdim=True))


def test_input_scale_of_a_constant_is_that_constant() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    x = torch.randn(2, 4, 6, 6).sign() * 0.5
    plain, scaled = (elastic_link(input_scale=k).rescale(layer) for k in (False, True))
    y = layer(x)
    match = plain.match(x)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close((scaled(x, y) - match)[inner], (plain(x, y) - match)[inner] / 2)


def test_the_surrogate_may_be_chosen() -> None:
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    elastic_link(estimator=approx_sign).activation(nn.Linear(1, 1))(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 0.0]


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"el_norm: expected 'inside' or 'outside', found 'none'"):
        elastic_link(el_norm="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"gamma: expected 'channel' or 'layer', found 'filter'"):
        elastic_link(gamma="filter")  # type: ignore[arg-type]
