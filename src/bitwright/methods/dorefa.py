"""DoReFa-Net at one bit: one scale for all filters of a layer, and activations of 0 and 1.

Gradients stay real, the paper's setting of 32 bits.

Deployed: one bit a weight and one real scale a layer, which folds into the batch norm behind; sums by AND, not XNOR.

Checked: the paper's equations only; activations of -1 and +1 are what later papers compare with as DoReFa.

Reference: Zhou et al., "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
arXiv 2016.
"""

from typing import Literal

from torch import Tensor, nn

from bitwright.core.binarizers import Sign, Step
from bitwright.core.custom_ops import sign
from bitwright.core.estimators import ste, straight_through
from bitwright.core.method import Method


class LayerScaledSign(nn.Module):
    """mean(abs(w)) * sign(w), the mean over the whole layer; the gradient is the identity.

    Shape:
        w (out, ...), unchanged.

    Reference: Zhou et al., arXiv 2016, equations 7 and 8.
    """

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        latent = w.detach()
        return straight_through(latent.abs().mean() * sign(latent), w)


def unit_window(x: Tensor) -> Tensor:
    """The slope of clamp(x, 0, 1), given x - 1/2: 1 where abs(x - 1/2) <= 1/2, else 0."""
    return x.abs().le_(0.5)


def dorefa(activations: Literal["zero_one", "plus_minus"] = "zero_one") -> Method:
    """Weights mean(abs(w)) * sign(w) with one mean a layer; activations round(clamp(x, 0, 1)), slope 1 on [0, 1].

    Exactly 1/2 becomes 1.

    Args:
        activations: "plus_minus" takes sign(x) with slope 1 on [-1, 1] instead.

    Reference: Zhou et al., arXiv 2016, sections 2.3 and 2.4.
    """
    if activations not in ("zero_one", "plus_minus"):
        raise ValueError(f"activations: expected 'zero_one' or 'plus_minus', found {activations!r}")
    zero_one = activations == "zero_one"
    return Method(
        weight=lambda layer: LayerScaledSign(),
        activation=lambda layer: Step(0.5, unit_window) if zero_one else Sign(ste),
    )
