"""DGRL-style: light real-valued branches add what a binary convolution misses; its blocks learn from a real twin.

The branches are this method; the other half of the paper, the distillation of each block's feature map from the same
network with real weights and activations, belongs to the loop: `distill.feature_loss`, over blocks that
`distill.run_alone` cuts from each other, or `maps` and `inputs` in a recipe's `[teacher]`. The recipe trains the twin
first; the student starts from its weights.

Deployed: one bit a weight, one real scale a filter; for each branch of rank r two maxima over the input, the r*(C + C')
real multiplications of T, a one-channel convolution, and a product and a sum for each output. A real number of the
branches takes 32 times the memory of a weight, so that 10 % more parameters are 320 % more bits.

Checked: against properties only. No code is published and the equations were not at hand: the abstract has the 10 %
of parameters, a list of symbols the two maxima, T, omega and the limit. How they are wired, the rank of T, the distance
between feature maps, its weight and all schedules are reconstructions.

Reference: Ye, Zhang and Wang, "Distillation Guided Residual Learning for Binary Convolutional Neural Networks", IEEE
TNNLS 2021 (arXiv 2007.05223).
"""

from torch import nn

from bitwright.core.binarizers import ScaledSign, Sign
from bitwright.core.estimators import Estimator, approx_sign
from bitwright.core.method import Method
from bitwright.nn.interaction import Rank, SqueezeInteraction, choose_rank


def dgrl(
    branches: int = 1,
    limit: float = 0.1,
    rank: Rank = "largest",
    normalize: bool = False,
    estimator: Estimator = approx_sign,
) -> Method:
    """Output conv(sign(x), mean(abs(w)) * sign(w)) + the sum of K branches b(x), of `nn.interaction`.

    Linear layers, and convolutions beside which the limit leaves no room, have no branch.

    Args:
        branches: how many each convolution has, K.
        limit: the share of a layer's weights that its branches' parameters may add.
        rank: of each T: a number; "full" for a whole matrix; "largest" for what the limit allows.
        normalize: whether a batch norm of its own comes between the convolution and the sum. The network's batch norm
            follows the sum either way.
        estimator: of the activations.

    Raises:
        ValueError: there are no branches, the limit is not above 0, or the rank is no such choice. Making a layer
            binary raises it where a rank that is given exceeds the limit.

    Reference: Ye et al., IEEE TNNLS 2021; a reconstruction.
    """
    if branches < 1:
        raise ValueError(f"branches: expected 1 or more, found {branches}")
    if limit <= 0:
        raise ValueError(f"limit: expected a share above 0, such as 0.1, found {limit}")
    if rank not in ("largest", "full") and not (isinstance(rank, int) and rank >= 1):
        raise ValueError(f"rank: expected 'largest', 'full' or a number from 1 on, found {rank!r}")

    def rescale(layer: nn.Module) -> nn.Module | None:
        chosen = choose_rank(layer, branches, rank, limit) if isinstance(layer, nn.Conv2d) else None
        if chosen is None or not isinstance(layer, nn.Conv2d):
            return None
        return SqueezeInteraction(layer, branches, chosen, normalize)

    return Method(weight=lambda layer: ScaledSign(), activation=lambda layer: Sign(estimator), rescale=rescale)
