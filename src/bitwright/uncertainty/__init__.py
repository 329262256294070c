"""How sure a packed network is: samples of its Bayesian layer, and measures of confidence, on NumPy alone."""

from bitwright.uncertainty.assess import Detection, Quality, assess, detect, scores
from bitwright.uncertainty.calibration import Reliability, brier_score, negative_log_likelihood, reliability
from bitwright.uncertainty.detection import auroc, average_precision, fpr_at
from bitwright.uncertainty.ensemble import Ensemble, load, predict
from bitwright.uncertainty.prediction import Prediction, softmax, summarize
from bitwright.uncertainty.selective import RiskCoverage, risk_coverage

__all__ = [
    "Detection",
    "Ensemble",
    "Prediction",
    "Quality",
    "Reliability",
    "RiskCoverage",
    "assess",
    "auroc",
    "average_precision",
    "brier_score",
    "detect",
    "fpr_at",
    "load",
    "negative_log_likelihood",
    "predict",
    "reliability",
    "risk_coverage",
    "scores",
    "softmax",
    "summarize",
]
