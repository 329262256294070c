"""Learning from a teacher: losses between two networks, features by module name, and blocks that learn each alone."""

from bitwright.distill.blocks import run_alone
from bitwright.distill.losses import (
    attention_loss,
    distillation_loss,
    distributional_loss,
    feature_loss,
    guided_loss,
    soft_cross_entropy,
)
from bitwright.distill.taps import tap

__all__ = [
    "attention_loss",
    "distillation_loss",
    "distributional_loss",
    "feature_loss",
    "guided_loss",
    "run_alone",
    "soft_cross_entropy",
    "tap",
]
