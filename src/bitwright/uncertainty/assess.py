"""Assess: the figures that one network, or its samples together, are compared by."""

from dataclasses import dataclass

from bitwright.ir.ops import Array
from bitwright.uncertainty.calibration import brier_score, negative_log_likelihood, reliability
from bitwright.uncertainty.detection import auroc, average_precision, fpr_at
from bitwright.uncertainty.prediction import Prediction
from bitwright.uncertainty.selective import risk_coverage


@dataclass(frozen=True)
class Quality:
    """How good predictions are, and how honest.

    Attributes:
        accuracy: Share of images whose likeliest class is the label.
        nll: Mean of -log p of the label, nats.
        brier: Brier score, from 0 to 2.
        ece: Expected calibration error.
        aurc: Area under risk over coverage, the least confident predictions being withheld first.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    aurc: float


@dataclass(frozen=True)
class Detection:
    """How well a score tells foreign images from known ones.

    Attributes:
        auroc: The probability that a foreign image has the larger score; 0.5 is chance.
        fpr95: The share of foreign images that pass where 95 % of the known ones do.
        aupr: Average precision of finding the foreign ones; their share among all is chance.
    """

    auroc: float
    fpr95: float
    aupr: float


def assess(prediction: Prediction, labels: Array, bins: int = 15) -> Quality:
    """The quality of predictions.

    Shape:
        labels: (N,).

    Args:
        prediction: Of N images.
        labels: The truth.
        bins: Of the calibration error.

    Raises:
        ValueError: If the labels do not fit, or bins is not positive.
    """
    p, wrong = prediction.mean, prediction.labels != labels
    return Quality(
        accuracy=float(1 - wrong.mean()),
        nll=negative_log_likelihood(p, labels),
        brier=brier_score(p, labels),
        ece=reliability(p, labels, bins).error,
        aurc=risk_coverage(1 - prediction.confidence, wrong).area,
    )


def scores(prediction: Prediction) -> dict[str, Array]:
    """Each uncertainty by its name: (N,), larger where the network is less sure.

    Args:
        prediction: Of N images.
    """
    return {
        "confidence": 1 - prediction.confidence,
        "entropy": prediction.entropy,
        "mutual information": prediction.mutual_information,
    }


def detect(known: Prediction, foreign: Prediction) -> dict[str, Detection]:
    """How well each uncertainty finds foreign images, by its name.

    Args:
        known: Of images of the kind that was trained.
        foreign: Of others.
    """
    pairs = zip(scores(known).items(), scores(foreign).values(), strict=True)
    return {name: Detection(auroc(a, b), fpr_at(a, b), average_precision(a, b)) for (name, a), b in pairs}
