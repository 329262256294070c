"""Losses between a student and a teacher: plain functions, means over the batch. No gradient reaches the teacher."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

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


def distributional_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """-T^2 * sum_c softmax(teacher / T)_c * log softmax(student / T)_c: a cross-entropy with the teacher as label.

    Its gradient is that of `distillation_loss`, from which it differs by T^2 times the teacher's entropy.

    Shape:
        student and teacher (N, classes), logits; the result is 0-d.

    Args:
        student: logits that learn.
        teacher: logits that are matched.
        temperature: T, above 0; ReActNet has 1.

    Raises:
        ValueError: the temperature is not above 0.

    Reference: Liu et al., "ReActNet", ECCV 2020, as in the published code.
    """
    _check_temperature(temperature)
    return soft_cross_entropy(student / temperature, (teacher / temperature).softmax(1)) * temperature**2


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
    _check_temperature(temperature)
    found, wanted = (F.log_softmax(logits / temperature, 1) for logits in (student, teacher.detach()))
    return F.kl_div(found, wanted, reduction="batchmean", log_target=True) * temperature**2


def guided_loss(student: Tensor, teacher: Tensor, temperature: float = 0.2) -> Tensor:
    """-sum_j p_j * log q_j with p = softmax(t / T), q = softmax(s / T), of rows s and t scaled to length 1.

    The rows are projections, without labels: of the student, and of a network that learned without labels before it.
    Over T = 0.2, lengths of 1 keep all logits within 5 of 0. The gradient to s / T is (q - p) / N; it is 0, and the
    loss the entropy of p, where s = t. There is no factor T^2.

    Shape:
        student and teacher (N, D), of the same views; the result is 0-d.

    Args:
        student: projections that learn.
        teacher: projections that are matched.
        temperature: T, above 0.

    Raises:
        ValueError: the temperature is not above 0.

    Reference: Shen et al., "S2-BNN: Bridging the Gap Between Self-Supervised Real and 1-bit Neural Networks via Guided
    Distribution Calibration", CVPR 2021, as in the published code.
    """
    _check_temperature(temperature)
    found, wanted = (F.normalize(projections, dim=1) / temperature for projections in (student, teacher))
    return soft_cross_entropy(found, wanted.softmax(1))


def _check_temperature(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"temperature: expected a number above 0, found {temperature}")


Distance = Literal["mse", "cosine"]


def feature_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], distance: Distance = "mse") -> Tensor:
    """How far apart two networks' features are: sum_j D(Q_j, R_j), of features of one shape.

    "mse": D is the mean of (Q - R)^2 over all elements. "cosine": 1 - cos(Q, R) of each sample's features as one
    vector, which is half the squared distance of the vectors at length 1.

    Shape:
        features (N, ...), of one shape at each j; the result is 0-d.

    Args:
        student: its features, see `taps.tap`.
        teacher: as many.
        distance: D.

    Raises:
        ValueError: the features differ in number or shape, there are none, or there is no such distance.

    Reference: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015, equation 3, for "mse".
    """
    if distance not in get_args(Distance):
        raise ValueError(f"distance: expected 'mse' or 'cosine', found {distance!r}")
    return _sum_over_pairs(_mse if distance == "mse" else _cosine, student, teacher, first_axis=0, what="features")


def _mse(a: Tensor, b: Tensor) -> Tensor:
    return F.mse_loss(a, b)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    a, b = (F.normalize(features.flatten(1), dim=1) for features in (a, b))
    return (a - b).square().sum(1).mean() / 2


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
    return _sum_over_pairs(_attention_distance, student, teacher, first_axis=2, what="maps")


def _attention_distance(a: Tensor, b: Tensor) -> Tensor:
    a, b = (F.normalize(features.square().sum(1).flatten(1), dim=1) for features in (a, b))  # (N, pixels), of length 1
    return vector_norm(a - b, dim=1).mean()


def _sum_over_pairs(
    distance: Callable[[Tensor, Tensor], Tensor],
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    first_axis: int,
    what: str,
) -> Tensor:
    """The sum over features that fit from an axis on, those of the teacher as constants."""
    if not student or len(student) != len(teacher):
        raise ValueError(f"expected as many features of both, at least one, found {len(student)} and {len(teacher)}")
    total = student[0].new_zeros(())
    for index, (a, b) in enumerate(zip(student, teacher, strict=True)):
        found = tuple(a.shape[first_axis:]), tuple(b.shape[first_axis:])
        if found[0] != found[1]:
            raise ValueError(f"features {index}: expected {what} of one size, found {found[0]} and {found[1]}")
        total = total + distance(a, b.detach())
    return total
