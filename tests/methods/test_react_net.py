"""ReActNet: RSign is a sign with a threshold that learns."""

import torch
from torch import nn

from bitwright.core.estimators import approx_sign
from bitwright.methods.react_net import RSign, react_net


def test_rsign_without_a_bias_is_the_sign() -> None:
    x, up = torch.randn(2, 2, 3, 5, 5)
    x[0, 0, 0, 0] = 0
    gradients = []
    for binarizer in (RSign((3, 1, 1)), approx_sign):
        v = x.clone().requires_grad_()
        out = binarizer(v)
        assert torch.equal(out, torch.where(x >= 0, 1.0, -1.0))
        out.backward(up)
        gradients.append(v.grad)
    assert torch.equal(*gradients)


def test_a_threshold_moves_against_its_bias() -> None:
    sign = RSign((2,))
    sign.bias.data.copy_(torch.tensor([-0.5, 0.5]))
    x = torch.tensor([[0.25, 0.25], [0.5, -0.5], [-0.75, -0.75]])
    out = sign(x)
    assert out.tolist() == [[-1, 1], [1, 1], [-1, -1]]
    out.sum().backward()
    assert sign.bias.grad is not None
    assert sign.bias.grad.tolist() == [(2 - 0.5) + 2 + 0, (2 - 1.5) + 2 + (2 - 0.5)]


def test_shapes_follow_the_layer() -> None:
    conv, linear = nn.Conv2d(6, 4, 3, groups=2), nn.Linear(5, 3)
    assert react_net().activation(conv)(torch.randn(6, 7, 7)).shape == (6, 7, 7)
    assert react_net().activation(linear)(torch.randn(2, 3, 5)).shape == (2, 3, 5)
