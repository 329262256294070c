"""Detection: whether a score tells images of another kind from those that the network was trained for.

Scores are uncertainties: those of foreign images should be the larger ones.

Reference: Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural
Networks", ICLR 2017.
"""

import numpy as np

from bitwright.ir.ops import Array


def auroc(known: Array, foreign: Array) -> float:
    """The probability that a foreign image has a larger score than a known one; a tie counts half.

    Shape:
        known: (N,); foreign: (M,).

    Args:
        known: Scores of images of the kind that was trained.
        foreign: Scores of others.

    Raises:
        ValueError: If there are none of either.
    """
    _check(known, foreign)
    ascending = np.sort(known)
    below = np.searchsorted(ascending, foreign, "left") + np.searchsorted(ascending, foreign, "right")
    return float(below.mean() / (2 * len(known)))


def fpr_at(known: Array, foreign: Array, accepted: float = 0.95) -> float:
    """The share of foreign images that pass for known ones at the least threshold that so many known ones pass; FPR95.

    Shape:
        known: (N,); foreign: (M,).

    Args:
        known: Scores of images of the kind that was trained.
        foreign: Scores of others.
        accepted: The share of known images that must pass, above 0, at most 1.

    Raises:
        ValueError: If there are none of either, or the share is out of range.
    """
    _check(known, foreign)
    if not 0 < accepted <= 1:
        raise ValueError(f"accepted: expected a share above 0, at most 1, found {accepted}.")
    passing = int(np.ceil(round(accepted * len(known), 9)))  # 0.95 * 20 is 19 images, not 20
    threshold = np.sort(known)[max(passing, 1) - 1]
    return float((foreign <= threshold).mean())


def average_precision(known: Array, foreign: Array) -> float:
    """The area under precision over recall, foreign images being the ones to find: AUPR.

    The sum over descending thresholds of (recall - recall before) * precision; equal scores share one threshold.

    Shape:
        known: (N,); foreign: (M,).

    Args:
        known: Scores of images of the kind that was trained.
        foreign: Scores of others.

    Raises:
        ValueError: If there are none of either.
    """
    _check(known, foreign)
    scores = np.concatenate([known, foreign])
    _, group = np.unique(-scores, return_inverse=True)  # groups of equal scores, the largest first
    found = np.bincount(group[len(known) :], minlength=group.max() + 1)
    seen = np.bincount(group)
    precision = found.cumsum() / seen.cumsum()
    return float((found / len(foreign) * precision).sum())


def _check(known: Array, foreign: Array) -> None:
    if known.ndim != 1 or foreign.ndim != 1 or not len(known) or not len(foreign):
        raise ValueError(f"expected scores (N,) and (M,), one or more each, found {known.shape} and {foreign.shape}.")
