"""FTBNN-style: plain signs, because the non-linear modules between the layers matter more than a small error.

The method here is the binarizers. The paper's ingredients belong to the network: the non-linearity
(`nn.activations.FPReLU`), fewer real-valued layers (`nn.blocks.purified_shortcut`) and group execution
(`nn.blocks.ChannelShuffle`, `nn.blocks.grouped_width`). `nn.linearity.linearity` measures what the paper warns of.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind.

Checked: against properties only. No more than the paper's abstract was at hand: estimators, scale and the form of each
ingredient are a reconstruction.

Reference: Su et al., "FTBNN: Rethinking Non-linearity for 1-bit CNNs and Going Beyond", preprint, 2020.
"""

from typing import Literal

from bitwright.core.binarizers import ScaledSign, Sign
from bitwright.core.estimators import approx_sign
from bitwright.core.method import Method


def ftbnn(scale: Literal["filter", "none"] = "filter") -> Method:
    """Weights mean(abs(w)) * sign(w), slope 1 where abs(w) <= 1; activations sign with the slope max(0, 2 - 2*abs(x)).

    Args:
        scale: "filter" is mean(abs(w)) per filter, a constant to the gradient; "none" leaves it to the batch norm.

    Raises:
        ValueError: scale is neither.

    Reference: Su et al., 2020; a reconstruction.
    """
    if scale not in ("filter", "none"):
        raise ValueError(f"scale: expected 'filter' or 'none', found {scale!r}")
    weight = ScaledSign if scale == "filter" else Sign
    return Method(weight=lambda layer: weight(), activation=lambda layer: Sign(approx_sign))
