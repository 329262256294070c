"""Prediction: what the samples of a network say together, and how far they disagree.

All logarithms are natural. Where all samples are equal, mean and entropies are exactly those of one sample, and the
mutual information is exactly 0.
"""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.ops import Array

_ROOM = 1 << 20  # logits that are worked on at a time


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predictive distribution of N images over K classes, and its uncertainties, in nats.

    Attributes:
        mean: (N, K) p = mean over the samples of p_s = softmax(logits_s).
        entropy: (N,) H[p], the whole uncertainty.
        expected_entropy: (N,) mean of H[p_s], which more data of this kind would not remove (aleatoric).
        mutual_information: (N,) mean of KL(p_s || p) = H[p] - mean of H[p_s], from 0 to log S: how far the samples
            disagree (epistemic).
    """

    mean: Array
    entropy: Array
    expected_entropy: Array
    mutual_information: Array

    @property
    def labels(self) -> Array:
        """(N,) The likeliest class of each image."""
        return self.mean.argmax(1)

    @property
    def confidence(self) -> Array:
        """(N,) The probability of that class."""
        return self.mean.max(1)


def summarize(logits: Array) -> Prediction:
    """The prediction of several samples.

    Shape:
        logits: (S, N, K) of S samples, or (N, K) of one network.

    Args:
        logits: What the networks returned.

    Raises:
        ValueError: If the shape is another one.
    """
    if logits.ndim not in (2, 3) or 0 in logits.shape:
        raise ValueError(f"logits: expected the shape (S, N, K) or (N, K), found {logits.shape}.")
    samples = logits if logits.ndim == 3 else logits[None]
    at_once = max(1, _ROOM // samples[:, 0].size)
    parts = [_summarize(samples[:, start : start + at_once]) for start in range(0, samples.shape[1], at_once)]
    return Prediction(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _summarize(logits: Array) -> tuple[Array, Array, Array, Array]:
    """The fields of a prediction, from logits (S, N, K)."""
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    mean = _mean(p)
    with np.errstate(divide="ignore"):
        log_mean = np.log(mean)
    log_mean = np.where((p == p[:1]).all(0), log_p[0], log_mean)  # equal samples: the very same logarithm
    disagreement = _mean((p * np.where(p > 0, log_p - log_mean, 0)).sum(2))
    return mean, entropy_of(mean, log_mean), _mean(entropy_of(p, log_p)), np.maximum(disagreement, 0)


def softmax(logits: Array) -> Array:
    """Probabilities, float64.

    Shape:
        logits and output: (..., K).

    Args:
        logits: Finite numbers.
    """
    return np.exp(log_softmax(logits))


def log_softmax(logits: Array) -> Array:
    """Their logarithms: x - max - log(sum(exp(x - max))), float64.

    Shape:
        logits and output: (..., K).

    Args:
        logits: Finite numbers.
    """
    x = logits.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def entropy_of(p: Array, log_p: Array) -> Array:
    """H = -sum p log p, where 0 log 0 is 0.

    Shape:
        p, log_p: (..., K); output: (...).

    Args:
        p: Probabilities.
        log_p: Their logarithms.
    """
    return -(p * np.where(p > 0, log_p, 0)).sum(-1)


def _mean(values: Array) -> Array:
    """The mean along the first axis; of equal values this very value, whatever their number."""
    return values[0] + (values - values[0]).mean(0)
