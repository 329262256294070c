"""Selective prediction: how many errors remain if the network may keep silent where it is unsure.

Reference: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.ops import Array


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The share of errors among the images that are answered, the least uncertain first.

    Attributes:
        coverage: (N,) The share that is answered: 1/N, 2/N, ..., 1.
        risk: (N,) The share of errors among them. Of equally uncertain images, which come in no order, it is the mean
            over all orders.
    """

    coverage: Array
    risk: Array

    @property
    def area(self) -> float:
        """AURC: the mean risk over all coverages; less is better, and 0 is reached without errors only."""
        return float(self.risk.mean())


def risk_coverage(uncertainty: Array, wrong: Array) -> RiskCoverage:
    """Risk against coverage.

    Shape:
        uncertainty, wrong: (N,).

    Args:
        uncertainty: Of each prediction, such as an entropy: the larger, the sooner it is withheld.
        wrong: Whether the prediction is wrong.

    Raises:
        ValueError: If shapes do not fit, or there are no images.
    """
    if uncertainty.ndim != 1 or uncertainty.shape != wrong.shape or not len(wrong):
        raise ValueError(f"expected two vectors of N, found the shapes {uncertainty.shape} and {wrong.shape}.")
    _, group, sizes = np.unique(uncertainty, return_inverse=True, return_counts=True)
    share = np.bincount(group, weights=wrong) / sizes  # of errors among equally uncertain ones
    answered = np.arange(1, len(wrong) + 1)
    return RiskCoverage(answered / len(wrong), np.repeat(share, sizes).cumsum() / answered)
