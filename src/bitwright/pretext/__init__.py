"""Learning without labels: pretext tasks, and what the features that they teach are worth."""

from bitwright.pretext.contrast import partners, projection_head, similarity_logits
from bitwright.pretext.heads import body_features, head_name, replace_head
from bitwright.pretext.linear import fit_linear
from bitwright.pretext.momentum import MomentumNetwork, queue_logits
from bitwright.pretext.neighbours import vote_of_neighbours
from bitwright.pretext.rotations import four_rotations
from bitwright.pretext.views import random_view

__all__ = [
    "MomentumNetwork",
    "body_features",
    "fit_linear",
    "four_rotations",
    "head_name",
    "partners",
    "projection_head",
    "queue_logits",
    "random_view",
    "replace_head",
    "similarity_logits",
    "vote_of_neighbours",
]
