"""Learning from a teacher: losses between two networks, and features by module name."""

from bitwright.distill.losses import attention_loss, distillation_loss, distributional_loss, soft_cross_entropy
from bitwright.distill.taps import tap

__all__ = ["attention_loss", "distillation_loss", "distributional_loss", "soft_cross_entropy", "tap"]
