"""Losses between a student and a teacher: plain functions, means over the batch. No gradient reaches the teacher."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor
from torch.linalg import vector_norm


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy to a whole distribution: -sum_c target_c * log softmax(logits)_c.

    With target = (1 - e) * onehot(label) + e / classes it is the label-smoothed cross-entropy, which
    `torch.nn.functional.cross_entropy(..., label_smoothing=e)` computes from the labels.

    Shape:
        logits and target (N, classes), the rows of target summing to 1; the result is 0-d.
    """
    return -(target.detach() * F.log_softmax(logits, 1)).sum(1).mean()


def distributional_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """ReActNet's loss, in place of the cross-entropy with labels: -sum_c softmax(teacher)_c * log softmax(student)_c.

    Its gradient is that of the Kullback-Leibler divergence, from which it differs by the teacher's entropy.

    Shape:
        student and teacher (N, classes), logits; the result is 0-d.

    Reference: Liu et al., "ReActNet", ECCV 2020, as in the published code.
    """
    return soft_cross_entropy(student, teacher.softmax(1))


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """T^2 * KL(softmax(teacher / T) || softmax(student / T)); 0 where the logits differ by a constant a sample.

    The factor T^2 keeps the gradient's size whatever the temperature.

    Shape:
        student and teacher (N, classes), logits; the result is 0-d.

    Args:
        student: logits that learn.
        teacher: logits that are matched.
        temperature: T, above 0; high ones show the teacher's small probabilities.

    Raises:
        ValueError: the temperature is not above 0.

    Reference: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """
    if temperature <= 0:
        raise ValueError(f"temperature: expected a number above 0, found {temperature}")
    found, wanted = (F.log_softmax(logits / temperature, 1) for logits in (student, teacher.detach()))
    return F.kl_div(found, wanted, reduction="batchmean", log_target=True) * temperature**2


def attention_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """The distance of two networks' attention: sum_j ||Q_j / ||Q_j|| - R_j / ||R_j||||, Q = sum over channels of A^2.

    A are the features behind a block; Q and R, of student and teacher, are vectors over the pixels. The networks may
    differ in channels.

    Shape:
        features (N, C, H, W), of one size at each j; the result is 0-d.

    Args:
        student: its features, see `taps.tap`.
        teacher: as many.

    Raises:
        ValueError: the features differ in number or size, or there are none.

    Reference: Martinez et al., "Training Binary Neural Networks with Real-to-Binary Convolutions", ICLR 2020.
    """
    if not student or len(student) != len(teacher):
        raise ValueError(f"expected as many features of both, at least one, found {len(student)} and {len(teacher)}")
    total = student[0].new_zeros(())
    for index, (a, b) in enumerate(zip(student, teacher, strict=True)):
        if a.shape[2:] != b.shape[2:]:
            raise ValueError(f"features {index}: expected maps of one size, found {a.shape[2:]} and {b.shape[2:]}")
        total = total + vector_norm(_attention(a) - _attention(b.detach()), dim=1).mean()
    return total


def _attention(features: Tensor) -> Tensor:
    """(N, pixels), of length 1."""
    return F.normalize(features.square().sum(1).flatten(1), dim=1)
