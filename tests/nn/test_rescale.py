"""Gate and ElasticLink: what they make of a layer's output, and what passes through them."""

import pytest
import torch
from torch import nn

from bitwright.nn.rescale import ElasticLink, Gate


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
