"""Bi-Real Net: the two published gradients of the weights."""

import pytest
import torch
from torch import nn

from bitwright.methods import bi_real_net


@pytest.mark.parametrize(("gradient", "slopes"), [("code", [1, 1, 0, 1]), ("paper", [1.25, 0, 0, 1.25])])
def test_weight_gradient(gradient: str, slopes: list[float]) -> None:
    w = torch.tensor([[0.5, -1.0, 3.0, -0.5]], requires_grad=True)
    out = bi_real_net(gradient).weight(nn.Linear(1, 1))(w)
    out.sum().backward()
    assert out.tolist() == [[1.25, -1.25, 1.25, -1.25]]
    assert w.grad is not None and w.grad.tolist() == [slopes]


def test_unknown_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gradient: expected 'code' or 'paper', found 'mine'"):
        bi_real_net("mine")  # type: ignore[arg-type]
