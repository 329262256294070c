"""FracBNN: a second bit for each activation, which a convolution reads where the sum over the first one opens a gate.

The method here is the weights, the activations and the gates of convolutions; linear layers read both bits everywhere.
The rest belongs to the networks, `zoo.frac_bnn_resnet20` and `zoo.frac_bnn_mobilenet`: a thermometer of the pixels, so
that the first convolution is binary too (without a gate), and shortcuts of four bits. The paper trains in two steps:
activations of two bits with real weights first, then both from there, without weight decay. For ImageNet a teacher's
outputs take the place of the labels (`distill.losses.distillation_loss`). `nn.gated.average_bits` says what is
published as "1.4 bits": one more than the share of open gates. In training a gated convolution costs five convolutions,
not three.

Deployed: one bit a weight, two bits an activation; the sum over the second bits counts where that over the first
exceeds an integer, one for each output channel, and is left out where a channel's gates are all shut.

Checked: numbers of the authors' code, blocks, encoder, penalty and loss included.

Reference: Zhang et al., "FracBNN: Accurate and FPGA-Efficient Binary Neural Networks with Fractional Activations",
FPGA 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import Planes, Sign
from bitwright.core.estimators import sign
from bitwright.core.hooks import Penalized
from bitwright.core.method import Method
from bitwright.nn.gated import PlaneGate

STRENGTH = 1e-5  # of the penalty


def wide_ste(w: Tensor) -> Tensor:
    """Sign with a wider window: slope 1 where abs(w) <= 1.3, else 0."""
    return sign(w, slope=lambda w: w.abs().le_(1.3))


@dataclass(frozen=True)
class Pull:
    """The penalty 1/2 * 1e-5 * sum((threshold - target)^2), over all thresholds of the network."""

    target: float

    def __call__(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        """The penalty; `weights` are the thresholds of all layers."""
        return STRENGTH / 2 * (torch.cat([w.flatten() for w in weights]) - self.target).square().sum()


class PulledGate(PlaneGate, Penalized):
    """Open where the sum over the first bits, o = (2/3) conv(m, w), exceeds a learned threshold; one a channel.

    The output is o where the gate is shut, and o + (1/3) conv(l, w) where it is open, for activations (2m + l) / 3. Of
    the gate the backward pass sees sigmoid(5 (o - threshold)). A penalty pulls the thresholds to a target.

    Shape:
        o (N, out, H, W).

    Args:
        layer: the convolution.
        start: where the thresholds start.
        sparse: whether gradients reach thresholds, and o through the gate, only where the gate is open.
        penalty_term: the pull, shared by all layers.

    Reference: Zhang et al., FPGA 2021.
    """

    def __init__(self, layer: nn.Module, start: float, sparse: bool, penalty_term: Pull) -> None:
        super().__init__(layer, start, sparse)
        self._pull = penalty_term

    @property
    def penalty_term(self) -> Pull:
        """What holds all thresholds near the target."""
        return self._pull


def frac_bnn(gate_start: float = -1.0, gate_target: float = 0.0, sparse: bool = True) -> Method:
    """Weights sign(w), gradient 1 where abs(w) <= 1.3, without a scale; activations `Planes`, read through gates.

    Args:
        gate_start: where the thresholds of the gates start.
        gate_target: what the penalty pulls them to; a larger one shuts more gates. 0 is the published default, not
            necessarily that of the published results.
        sparse: gradients pass gates only where they are open, as published; otherwise everywhere.

    Reference: Zhang et al., FPGA 2021, and the authors' code.
    """
    pull = Pull(gate_target)
    return Method(
        weight=lambda layer: Sign(wide_ste),
        activation=lambda layer: Planes(),
        gate=lambda layer: PulledGate(layer, gate_start, sparse, pull),
    )
