"""FTBNN-style: estimators, scales and the block's way around."""

import pytest
import torch
from torch import Tensor, nn

from bitwright.methods import ftbnn
from bitwright.nn.convert import binarize


@pytest.mark.parametrize(("scale", "values"), [("filter", [1.25, -1.25, 1.25, -1.25]), ("none", [1, -1, 1, -1])])
def test_weights(scale, values: list[float]) -> None:
    w = torch.tensor([[0.5, -1.0, 3.0, -0.5]], requires_grad=True)
    out = ftbnn(scale).weight(nn.Linear(1, 1))(w)
    out.sum().backward()
    alpha = values[0]
    assert out.tolist() == [values]
    assert w.grad is not None and w.grad.tolist() == [[alpha, alpha, 0, alpha]]


def test_activations_have_the_quadratic_surrogate() -> None:
    x = torch.tensor([-0.25, 0.0, 1.0, 2.0], requires_grad=True)
    out = ftbnn().activation(nn.Linear(1, 1))(x)
    out.sum().backward()
    assert out.tolist() == [-1, 1, 1, 1]
    assert x.grad is not None and x.grad.tolist() == [1.5, 2, 0, 0]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)) + x


def test_a_block_whose_batch_norm_is_zero_is_its_shortcut() -> None:
    block = binarize(Block(), ftbnn(), where=["conv"])
    block.bn.weight.data.zero_()
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scale: expected 'filter' or 'none', found 'layer'"):
        ftbnn("layer")  # type: ignore[arg-type]
