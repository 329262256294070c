"""BNN: the sign of weights and activations, without any scale.

Deployed: one bit a weight, nothing else: the batch norm behind becomes one integer threshold a channel.

Checked: numbers of the authors' PyTorch code; `glorot_step` is a rule of their first code, on worked numbers.

Reference: Hubara, Courbariaux, Soudry, El-Yaniv and Bengio, "Binarized Neural Networks", NeurIPS 2016.
"""

from bitwright.core.binarizers import ClampedSign, Sign
from bitwright.core.estimators import identity, ste_open
from bitwright.core.method import Method


def bnn(window: bool = True, glorot_step: bool = True) -> Method:
    """Weights sign(w), slope 1, clamped to [-1, 1] after each step; activations sign(x), slope 1 where -1 < x < 1.

    Args:
        window: False gives activations slope 1 everywhere, as the PyTorch code does, where an nn.Hardtanh before each
            binary layer makes the window.
        glorot_step: multiply each step of a weight by sqrt((fan_in + fan_out) / 1.5), as the first published code does
            and the PyTorch code does not.

    Reference: Hubara et al., NeurIPS 2016, sections 1.1 to 1.3 and algorithm 1.
    """
    estimator = ste_open if window else identity
    return Method(weight=lambda layer: ClampedSign(glorot_step), activation=lambda layer: Sign(estimator))
