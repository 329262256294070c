"""BinaryConnect: one-bit weights under real activations.

Deployed: as real layers, whose weights the file holds as one bit each, and two levels a filter; only binary inputs make
a packed sum.

Checked: the published rules of forward, gradient and update, on worked numbers.

Reference: Courbariaux, Bengio and David, "BinaryConnect: Training Deep Neural Networks with binary weights during
propagations", NeurIPS 2015.
"""

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ClampedSign
from bitwright.core.custom_ops import sign
from bitwright.core.estimators import straight_through
from bitwright.core.method import Method


class StochasticSign(ClampedSign):
    """In training +1 with the probability clamp((w + 1)/2, 0, 1), else -1; in `eval()` w itself.

    Shape:
        w (out, in, ...), unchanged.
    """

    def forward(self, w: Tensor) -> Tensor:
        """Draw a sign for each weight."""
        deterministic = super().forward(w)
        if not self.training:
            return w
        with torch.no_grad():
            drawn = sign(((w + 1) / 2).clamp(0, 1) + torch.rand_like(w) - 1)
        return straight_through(drawn, deterministic)


def binary_connect(stochastic: bool = False, glorot_step: bool = True) -> Method:
    """Weights sign(w) with slope 1; w is clamped to [-1, 1] after each step. Activations stay real.

    Args:
        stochastic: draw the signs anew in each training pass; the trained network then keeps its real weights, as
            published.
        glorot_step: multiply each step of a weight by sqrt((fan_in + fan_out) / 1.5), as the published code does.

    Reference: Courbariaux et al., NeurIPS 2015, sections 2.2 to 2.4 and 2.6.
    """
    kind = StochasticSign if stochastic else ClampedSign
    return Method(weight=lambda layer: kind(glorot_step), activation=lambda layer: nn.Identity())
