"""A supernet's training step: four of its networks on one batch, the largest one with real weights teaching the rest.

Reference: Lin et al., "NAS-BNN: Neural Architecture Search for Binary Neural Networks", 2024 (arXiv 2408.15484), and
the authors' code.
"""

from collections.abc import Callable
from random import Random

import torch
from torch import Tensor, nn

from bitwright.distill.losses import distributional_loss
from bitwright.methods.nas_bnn import weight_loss
from bitwright.nas.supernet import Supernet


class SupernetLesson:
    """The loss of four networks, all with weight 1, to be followed by one step of the optimizer.

    L = label loss(largest, real weights) + the sum over the smallest and two random networks, with binary weights, of
    -sum_c softmax(largest)_c * log softmax(network)_c; no gradient reaches the largest one through these. Where the
    supernet has a factor for it, its `weight_loss`, the weight losses of all convolutions of these three are added.

    The random networks are drawn from torch's generator, their channels do not fall.
    """

    networks = 2  # random ones

    def step(
        self, student: nn.Module, run: Callable[..., Tensor], x: Tensor, label_loss: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The logits of the smallest network of a batch, and the loss.

        Args:
            student: The supernet.
            run: Calls it.
            x: Its input, normalised.
            label_loss: The loss of logits by the labels.
        """
        assert isinstance(student, Supernet)
        random, space = Random(int(torch.randint(2**31, ()))), student.space
        teacher = run(x, space.largest(), real=True).float()
        smallest = run(x).float()
        drawn = [space.sample(random) for _ in range(self.networks)]
        logits = [smallest, *(run(x, candidate).float() for candidate in drawn)]
        losses = [distributional_loss(z, teacher) for z in logits]
        if student.weight_loss:
            binary = [v for candidate in (student.smallest, *drawn) for v in student.standardised(candidate)]
            losses += [student.weight_loss * weight_loss(v) for v in binary]
        return smallest, label_loss(teacher) + torch.stack(losses).sum()
