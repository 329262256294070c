"""Elastic-Link-style: the real input is added to each binary layer's output, whatever their sizes.

Every binary layer gets a link, 1x1 convolutions included; a shortcut of the network's own stays.

Deployed: one bit a weight, one real scale a filter, and gamma; the input is kept in real numbers until the sum. Fewer
outputs than inputs cost one addition for each input left over, more outputs cost none, a stride costs an average pool,
input_scale a box filter over the input.

Checked: against properties only. The paper's text was not at hand, so the exact form is a reconstruction: where gamma
sits, how channels are squeezed and expanded, the pooling and the estimators.

Reference: Hu et al., "Elastic-Link for Binarized Neural Networks", AAAI 2022.
"""

from typing import Literal

from torch import Tensor, nn

from bitwright.core.binarizers import ScaledSign, Sign
from bitwright.core.estimators import Estimator, ste
from bitwright.core.method import Method
from bitwright.nn.rescale import ElasticLink


class TrainedScale(nn.Module):
    """mean(abs(w)) * sign(w) per filter, in which the mean passes a gradient too, by the product rule.

    Shape:
        w (out, ...), unchanged.
    """

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        return w.abs().mean(tuple(range(1, w.dim())), keepdim=True) * ste(w)


def elastic_link(
    el_norm: Literal["inside", "outside"] = "inside",
    gamma: Literal["channel", "layer"] = "channel",
    squeeze: Literal["sum", "mean"] = "sum",
    scale_grad: bool = False,
    input_scale: bool = False,
    estimator: Estimator = ste,
) -> Method:
    """Output gamma * B(x) + T(x), with B(x) = conv(sign(x), mean(abs(w)) * sign(w)) and T of `nn.resize.MatchSize`.

    Args:
        el_norm: "inside": the network's batch norm follows the sum, and gamma is a parameter of its own. "outside": a
            batch norm of the link's own comes before the sum, bn(B(x)) + T(x), and its weight is gamma.
        gamma: one for each output "channel" or one for the "layer"; only with el_norm="inside".
        squeeze: chunks of channels are joined by "sum" or "mean".
        scale_grad: whether mean(abs(w)) passes a gradient to w; otherwise it is a constant.
        input_scale: whether B(x) has XNOR-Net's factor K too, the mean of abs(x) over each window, a constant to the
            gradient. The paper is said to leave it out where that works better.
        estimator: of the activations; `approx_sign` where the link joins ReActNet or Bi-Real Net.

    Raises:
        ValueError: an argument is none of its choices.

    Reference: Hu et al., AAAI 2022; a reconstruction.
    """
    choices = {"el_norm": (el_norm, "inside", "outside"), "gamma": (gamma, "channel", "layer")}
    for name, (value, *allowed) in choices.items():
        if value not in allowed:
            raise ValueError(f"{name}: expected {allowed[0]!r} or {allowed[1]!r}, found {value!r}")
    return Method(
        weight=lambda layer: TrainedScale() if scale_grad else ScaledSign(),
        activation=lambda layer: Sign(estimator),
        rescale=lambda layer: ElasticLink(layer, gamma, el_norm == "outside", squeeze, input_scale),
    )
