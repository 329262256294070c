"""Calibration: whether a network that says 80 % is right in 80 % of the cases.

Reference: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017; Brier, "Verification
of Forecasts Expressed in Terms of Probability", Monthly Weather Review 1950.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.ops import Array

_LEAST = np.finfo(np.float64).tiny  # of a probability whose logarithm is taken


@dataclass(frozen=True, eq=False)
class Reliability:
    """Images by the confidence of their predictions, in bins of equal width: (0, 1/B], ..., (1 - 1/B, 1].

    Attributes:
        images: (B,) How many a bin holds.
        confidence: (B,) Their mean confidence, NaN of an empty bin.
        accuracy: (B,) The share of them whose prediction is right, likewise.
    """

    images: Array
    confidence: Array
    accuracy: Array

    @property
    def error(self) -> float:
        """The expected calibration error: sum of n_b / N * |accuracy_b - confidence_b|."""
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((self.images * gaps).sum() / self.images.sum())

    @property
    def largest(self) -> float:
        """The maximum calibration error: the largest |accuracy_b - confidence_b|."""
        return float(np.nanmax(np.abs(self.accuracy - self.confidence)))


def reliability(p: Array, labels: Array, bins: int = 15) -> Reliability:
    """Confidence against accuracy.

    Shape:
        p: (N, K); labels: (N,).

    Args:
        p: Probabilities.
        labels: The truth.
        bins: B, 1 or more.

    Raises:
        ValueError: If shapes do not fit, there are no images, or bins is not positive.
    """
    _check(p, labels)
    if bins < 1:
        raise ValueError(f"bins: expected 1 or more, found {bins}.")
    confidence, right = p.max(1), p.argmax(1) == labels
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    images = np.bincount(number, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(number, weights=values, minlength=bins) / images for values in (confidence, right)]
    return Reliability(images, *means)


def brier_score(p: Array, labels: Array) -> float:
    """The mean over images of sum over classes of (p_k - [k is the label])^2, from 0 to 2.

    Shape:
        p: (N, K); labels: (N,).

    Args:
        p: Probabilities.
        labels: The truth.

    Raises:
        ValueError: If shapes do not fit, or there are no images.
    """
    _check(p, labels)
    truth = np.arange(p.shape[1]) == labels[:, None]
    return float(np.square(p - truth).sum(1).mean())


def negative_log_likelihood(p: Array, labels: Array) -> float:
    """The mean over images of -log p_label, in nats.

    Shape:
        p: (N, K); labels: (N,).

    Args:
        p: Probabilities.
        labels: The truth.

    Raises:
        ValueError: If shapes do not fit, or there are no images.
    """
    _check(p, labels)
    return float(-np.log(np.maximum(p[np.arange(len(p)), labels], _LEAST)).mean())


def _check(p: Array, labels: Array) -> None:
    if p.ndim != 2 or labels.shape != p.shape[:1] or not len(p):
        raise ValueError(f"expected probabilities (N, K) and labels (N,), found {p.shape} and {labels.shape}.")
    if labels.min() < 0 or labels.max() >= p.shape[1]:
        raise ValueError(
            f"labels: expected 0 to {p.shape[1] - 1}, one of the classes, found {labels.min()} to {labels.max()}."
        )
