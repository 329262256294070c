"""k nearest neighbours: what frozen features know, without any training."""

import torch
import torch.nn.functional as F
from torch import Tensor

_AT_ONCE = 1024  # queries compared with the whole bank


def vote_of_neighbours(
    queries: Tensor, bank: Tensor, labels: Tensor, classes: int, *, k: int = 200, temperature: float = 0.1
) -> Tensor:
    """Votes of the k most similar features of the bank: sum over them of exp((s - 1) / T), s the cosine, by class.

    Shape:
        queries (Q, D), bank (N, D), labels (N,) int64; result (Q, classes), whose largest entry is the prediction.

    Args:
        queries: features of the images to be classified.
        bank: features of images with labels.
        labels: of the bank, from 0.
        classes: how many there are.
        k: how many vote; all of the bank where it is smaller.
        temperature: T, above 0; low ones listen to the nearest.

    Raises:
        ValueError: k is less than 1, or the temperature is not above 0.

    Reference: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018, 3.4.
    """
    if k < 1 or temperature <= 0:
        raise ValueError(f"expected k of at least 1 and a temperature above 0, found k={k}, temperature={temperature}")
    bank = F.normalize(bank, dim=1)
    votes = []
    for some in F.normalize(queries, dim=1).split(_AT_ONCE):
        similar, places = (some @ bank.T).topk(min(k, len(bank)), dim=1)
        votes.append(torch.zeros(len(some), classes, device=bank.device, dtype=bank.dtype))
        votes[-1].scatter_add_(1, labels[places], ((similar - 1) / temperature).exp())
    return torch.cat(votes)
