"""Rescaling of a layer's output."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.methods import xnor_net
from bitwright.nn.convert import binarize
from bitwright.nn.rescale import ChannelScale, ElasticLink, Gate, InputScale

LAYERS = [
    nn.Conv2d(6, 9, 3, padding=1),
    nn.Conv2d(6, 8, (3, 2), stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2),
    nn.Conv2d(6, 6, 3, padding="same", groups=6),
    nn.Conv2d(6, 4, 2, padding="valid"),
]


def scale_of(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """K, filter by filter: the layer with weights of 1/n, applied to the magnitudes."""
    window = torch.full_like(layer.weight, 1 / layer.weight[0].numel())
    return F.conv2d(x.abs(), window, None, layer.stride, layer.padding, layer.dilation, layer.groups)


@pytest.mark.parametrize("layer", LAYERS)
def test_input_scale_is_the_mean_magnitude_of_each_window(layer: nn.Conv2d) -> None:
    x = torch.randn(2, 6, 7, 7)
    y = layer(x)
    torch.testing.assert_close(InputScale(layer)(x, y), y * scale_of(x, layer))
    torch.testing.assert_close(InputScale(layer)(x[0], y[0]), (y * scale_of(x, layer))[0])


def test_input_scale_of_a_linear_layer() -> None:
    layer = nn.Linear(5, 3)
    x = torch.randn(4, 2, 5)
    y = layer(x)
    torch.testing.assert_close(InputScale(layer)(x, y), y * x.abs().mean(-1, keepdim=True))


def test_input_scale_is_a_constant_to_the_gradient() -> None:
    layer = LAYERS[0]
    x, y = torch.randn(2, 6, 7, 7, requires_grad=True), torch.randn(2, 9, 7, 7, requires_grad=True)
    InputScale(layer)(x, y).sum().backward()
    assert x.grad is None
    torch.testing.assert_close(y.grad, scale_of(x, layer))


def test_input_scale_brings_the_sum_closer_to_the_real_one() -> None:
    layer = nn.Conv2d(16, 8, 3, bias=False)
    x = torch.randn(4, 16, 9, 9) * torch.rand(1, 1, 9, 9) * 4
    real = layer(x)
    error = {}
    for scaled in (False, True):
        binary = binarize(nn.Conv2d(16, 8, 3, bias=False), xnor_net(input_scale=scaled), where=[""])
        binary.load_state_dict(layer.state_dict())
        error[scaled] = (binary(x) - real).square().sum()
    assert error[True] < error[False]


@pytest.mark.parametrize(("layer", "shape"), [(nn.Conv2d(6, 9, 3), (9, 1, 1)), (nn.Linear(5, 3), (3,))])
def test_channel_scale_has_one_number_a_channel(layer: nn.Module, shape: tuple[int, ...]) -> None:
    scale = ChannelScale(layer)
    assert scale.alpha.shape == shape and ((scale.alpha >= 0) & (scale.alpha < 1)).all()
    x = torch.randn(2, 6, 7, 7) if isinstance(layer, nn.Conv2d) else torch.randn(2, 5)
    y = layer(x)
    assert torch.equal(scale(x, y), y * scale.alpha)
    start = torch.arange(float(shape[0]))
    assert torch.equal(ChannelScale(layer, start)(x, y), y * start.view(shape))


def test_gate_is_the_formula() -> None:
    layer = nn.Conv2d(16, 5, 3)
    gate = Gate(layer)
    x, y = torch.randn(2, 16, 6, 6), torch.randn(2, 5, 4, 4)
    assert gate.squeeze.weight.shape == (2, 16) and gate.excite.weight.shape == (5, 2)
    hidden = (x.mean((2, 3)) @ gate.squeeze.weight.T).clamp(min=0)
    open_share = 1 / (1 + torch.exp(-hidden @ gate.excite.weight.T))
    scale = layer.weight.abs().mean((1, 2, 3))
    torch.testing.assert_close(gate(x, y), y * (scale * open_share)[:, :, None, None])
    torch.testing.assert_close(gate(x[0], y[0]), gate(x, y)[0])


def test_gate_of_a_linear_layer_reads_the_vector() -> None:
    gate = Gate(nn.Linear(16, 5))
    x, y = torch.randn(2, 3, 16), torch.randn(2, 3, 5)
    gate.excite.weight.data.zero_()
    torch.testing.assert_close(gate(x, y), y * gate.scale / 2)


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 6, 1), nn.Linear(6, 6)], ids=str)
def test_links_at_zero_gamma_are_the_identity(layer: nn.Module) -> None:
    x = torch.randn(3, 6, 4, 4) if isinstance(layer, nn.Conv2d) else torch.randn(3, 6)
    for normalize in (False, True):
        link = ElasticLink(layer, normalize=normalize)
        (link.norm.weight if normalize else link.gamma).data.zero_()
        assert torch.equal(link(x, layer(x)), x)


def test_gamma_is_per_channel_or_one_number() -> None:
    layer = nn.Conv2d(3, 6, 3, padding=1)
    x, y = torch.randn(2, 3, 5, 5), torch.randn(2, 6, 5, 5)
    for gamma, shape in (("channel", (6, 1, 1)), ("layer", ())):
        link = ElasticLink(layer, gamma=gamma)
        assert [p.shape for p in link.parameters()] == [shape]
        link.gamma.data.uniform_()
        torch.testing.assert_close(link(x, y), y * link.gamma + torch.cat([x, x], 1))
