"""Bi-Real Net: a closer surrogate of the sign, and weights whose gradient knows their magnitude.

The paper's third part, one shortcut around each convolution, is a matter of the network:
`zoo.resnet18(shortcut_every=1)`.

Deployed: one bit a weight, one real scale a filter, which folds into the batch norm behind.

Checked: numbers of the authors' code; gradient="paper" against the paper's equations only.

Reference: Liu et al., "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved Representational Capability
and Advanced Training Algorithm", ECCV 2018.
"""

from typing import Literal

from bitwright.core.binarizers import ScaledSign, Sign
from bitwright.core.estimators import approx_sign, ste, ste_open
from bitwright.core.method import Method


def bi_real_net(gradient: Literal["code", "paper"] = "code") -> Method:
    """Weights mean(abs(w)) * sign(w) per filter; activations sign with the slope max(0, 2 - 2*abs(x)), equation 3.

    Args:
        gradient: of the weights. "code": 1 where abs(w) <= 1, as published; "paper": the filter's mean(abs(w)) where
            abs(w) < 1, equations 6 and 7.

    Reference: Liu et al., ECCV 2018, sections 3.2 and 3.3.
    """
    if gradient not in ("code", "paper"):
        raise ValueError(f"gradient: expected 'code' or 'paper', found {gradient!r}")
    paper = gradient == "paper"
    return Method(
        weight=lambda layer: ScaledSign(ste_open if paper else ste, scale_gradient=paper),
        activation=lambda layer: Sign(approx_sign),
    )
