"""ReActNet: learned thresholds before each sign, learned shifts around each PReLU, a loss on the whole distribution.

The method here is RSign and the weights. RPReLU and the blocks belong to the network (`nn.activations.RPReLU`), the
loss to the loop (`distill.losses.distributional_loss`, in place of the cross-entropy). The paper trains in two steps:
binary activations with real weights first, then both from there.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind; the learned thresholds of
RSign join the comparison.

Checked: numbers of the authors' code, blocks and loss included.

Reference: Liu et al., "ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions",
ECCV 2020.
"""

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ScaledSign
from bitwright.core.estimators import approx_sign
from bitwright.core.method import Method
from bitwright.nn.shapes import per_input


class RSign(nn.Module):
    """sign(x + bias) per channel, with the slope max(0, 2 - 2*abs(x + bias)) for x and bias.

    In the letters of the paper alpha = -bias, which starts at 0. The paper has x = alpha at -1; here it is at +1, like
    every sign of 0.

    Shape:
        x (N, *shape), unchanged; bias as given.

    Args:
        shape: of the bias, one number a channel.

    Reference: Liu et al., ECCV 2020.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Binarize x."""
        return approx_sign(x + self.bias)

    def extra_repr(self) -> str:
        """How many channels."""
        return f"{self.bias.numel()}"


def react_net() -> Method:
    """Weights mean(abs(w)) * sign(w) per filter, gradient 1 where abs(w) <= 1; activations `RSign`.

    Reference: Liu et al., ECCV 2020.
    """
    return Method(
        weight=lambda layer: ScaledSign(scale_gradient=False), activation=lambda layer: RSign(per_input(layer))
    )
