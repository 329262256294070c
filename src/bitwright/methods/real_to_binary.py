"""Real-to-Binary: the real input decides, channel by channel, how much of the output passes.

The block of the paper, batch norm, sign, convolution, scale, PReLU and then the sum with the shortcut, belongs to the
network, attention matching (`distill.losses.attention_loss`) to the loop. The paper trains in three stages, each
taught by the one before: a real network with tanh between the layers teaches one with binary activations and real
weights, which teaches the binary one (by its logits only).

Deployed: one bit a weight; a layer of C inputs needs their means over the pixels and 2*C*C/8 real multiplications for
its gate, and one for each output.

Checked: the paper's equations. Reconstructions: the gate's matrices have no bias, and the learned scale starts at the
filter's mean(abs(w)).

Reference: Martinez et al., "Training Binary Neural Networks with Real-to-Binary Convolutions", ICLR 2020.
"""

from typing import Literal

from torch import nn

from bitwright.core.binarizers import Sign
from bitwright.core.method import Method
from bitwright.nn.rescale import ChannelScale, Gate


def real_to_binary(reduction: int = 8, gate: bool = True, activations: Literal["sign", "tanh"] = "sign") -> Method:
    """Output conv(sign(x), sign(w)) * scale * G(x), with a learned scale per channel and the gate of `nn.rescale.Gate`.

    Both signs have slope 1 where the absolute value is at most 1.

    Args:
        reduction: the gate squeezes C input channels to C / reduction numbers.
        gate: False leaves G(x) out and keeps the scale: the paper's strong baseline.
        activations: "tanh" has tanh(x) for sign(x), for the first student, whose weights are real too: no network of
            bits, only what a later one starts from.

    Raises:
        ValueError: reduction is less than 1, or there are no such activations.

    Reference: Martinez et al., ICLR 2020.
    """
    if reduction < 1:
        raise ValueError(f"reduction: expected 1 or more, such as 8, found {reduction}")
    if activations not in ("sign", "tanh"):
        raise ValueError(f"activations: expected 'sign' or 'tanh', found {activations!r}")
    return Method(
        weight=lambda layer: Sign(),
        activation=lambda layer: Sign() if activations == "sign" else nn.Tanh(),
        rescale=(lambda layer: Gate(layer, reduction)) if gate else ChannelScale,
    )
