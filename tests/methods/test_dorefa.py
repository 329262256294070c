"""DoReFa-Net: one scale a layer, activations of 0 and 1, and the slopes of both."""

import pytest
import torch
from torch import nn

from bitwright.core.levels import read_levels
from bitwright.methods import dorefa
from bitwright.nn.convert import binarize


def test_the_layer_has_one_scale() -> None:
    layer = binarize(nn.Conv2d(4, 6, 3), dorefa(), where=[""])
    levels = read_levels(layer.binarized_weight())
    assert levels.kind == "symmetric"
    torch.testing.assert_close(levels.scale, layer.weight.detach().abs().mean().expand(6))


def test_weight_gradient_passes_unchanged() -> None:
    w, up = torch.tensor([[0.5, -3.0], [0.0, 0.5]], requires_grad=True), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    out = dorefa().weight(nn.Linear(1, 1))(w)
    out.backward(up)
    assert out.tolist() == [[1, -1], [1, 1]]
    assert w.grad is not None and torch.equal(w.grad, up)


@pytest.mark.parametrize(
    ("activations", "values", "slopes"),
    [
        ("zero_one", [0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1, 0]),
        ("plus_minus", [-1, -1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 0]),
    ],
)
def test_activation(activations: str, values: list[float], slopes: list[float]) -> None:
    x = torch.tensor([-2.0, -0.25, 0.0, 0.25, 0.5, 1.0, 1.25], requires_grad=True)
    out = dorefa(activations).activation(nn.Linear(1, 1))(x)
    out.sum().backward()
    assert out.tolist() == values
    assert x.grad is not None and x.grad.tolist() == slopes


def test_other_activations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"activations: expected 'zero_one' or 'plus_minus', found 'ternary'"):
        dorefa("ternary")  # type: ignore[arg-type]
