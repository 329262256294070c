"""What is asked of a network, batch by batch, and what its answers are worth: a loss to learn by, a figure to judge by.

A question adds up over the batches since its last `reset`, on the device until it is read.
"""

from abc import ABC, abstractmethod
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from bitwright.detection import Detections, decode_boxes, detection_loss, mean_precision
from bitwright.pretext.momentum import MomentumNetwork, queue_logits
from bitwright.train.augment import Targets
from bitwright.train.config import Loss, Recipe
from bitwright.train.detection import take_apart
from bitwright.train.optional_tables import Detection, Pretext
from bitwright.train.pretext import make_momentum, read_logits


class Question(ABC):
    """What all questions have in common. `figure` is what `value` is called."""

    figure: str

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.images = 0
        self._loss: Tensor | float = 0.0

    def show(self, net: nn.Module, x: Tensor, targets: Targets) -> tuple[Tensor, Targets | None]:
        """What the network sees of a training batch, and what is right; None where nothing asked could be.

        Args:
            net: The network, which the question may have to follow.
            x: The batch, normalised.
            targets: Its labels.
        """
        return x, targets

    @abstractmethod
    def loss(self, outputs: Any, targets: Targets) -> Tensor:
        """The loss, mean over the batch.

        Args:
            outputs: What the network returns.
            targets: What is right.
        """

    def count(self, outputs: Any, targets: Targets | None, loss: Tensor) -> None:
        """Add a batch that was answered.

        Args:
            outputs: What the network returned.
            targets: What was right.
            loss: Of the batch.
        """
        images = len(outputs if isinstance(outputs, Tensor) else next(iter(outputs.values())))
        self.images += images
        self._loss = self._loss + loss.detach() * images

    @property
    def mean_loss(self) -> float:
        """Over the images."""
        return float(self._loss) / max(self.images, 1)

    @property
    @abstractmethod
    def value(self) -> float:
        """How good the answers are, from 0 to 1; not a number where that is not looked at."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        assert not state  # what others keep, others read


class Classes(Question):
    """Which class? Or which of a pretext's answers? Judged by accuracy.

    Args:
        pretext: The recipe's table.
        settings: Its loss.
    """

    figure = "accuracy"

    def __init__(self, pretext: Pretext, settings: Loss) -> None:
        self.pretext = pretext
        self.settings = settings
        super().__init__()

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self._right: Tensor | float = 0.0

    def logits(self, outputs: Tensor) -> Tensor:
        """Logits of the answers, (N, answers), from what the network returns."""
        return read_logits(self.pretext, outputs.float())

    def loss(self, outputs: Tensor, targets: Targets) -> Tensor:
        """See `Targets.loss`."""
        return targets.loss(self.logits(outputs), self.settings)

    def count(self, outputs: Tensor, targets: Targets | None, loss: Tensor) -> None:
        """Add a batch; of mixed images the first label counts."""
        super().count(outputs, targets, loss)
        right = nan if targets is None else (self.logits(outputs.detach()).argmax(1) == targets.labels).sum()
        self._right = self._right + right

    @property
    def value(self) -> float:
        """Share of images whose highest logit is the label's."""
        return float(self._right) / max(self.images, 1)


class SecondViews(Classes):
    """Moco's: which key belongs to this view? Where a teacher alone knows what is right, nothing is asked.

    Args:
        pretext: The recipe's table.
        settings: Its loss.
        momentum: What makes the keys, or None.
    """

    def __init__(self, pretext: Pretext, settings: Loss, momentum: MomentumNetwork | None) -> None:
        super().__init__(pretext, settings)
        self.momentum = momentum

    def show(self, net: nn.Module, x: Tensor, targets: Targets) -> tuple[Tensor, Targets | None]:
        """The first views; the slow copy sees the second ones."""
        x, others = x.chunk(2)
        if self.momentum is None:
            return x, None
        self._queue, self._keys = self.momentum.queue.to(x.device), self.momentum.answer(net, others)
        return x, Targets(torch.zeros(len(x), dtype=torch.int64, device=x.device))

    def logits(self, outputs: Tensor) -> Tensor:
        """The view's own key comes first."""
        return queue_logits(outputs.float(), self._keys, self._queue, self.pretext.temperature)

    def state(self) -> dict[str, Any]:
        """Copy and queue."""
        return {} if self.momentum is None else self.momentum.state()

    def load(self, state: dict[str, Any]) -> None:
        """Go on with them."""
        if self.momentum is not None:
            self.momentum.load(state)


class Boxes(Question):
    """What is where? Judged by average precision, mean over the classes.

    Args:
        settings: The recipe's table.
        judging: Whether the boxes are found and compared, or the loss is all.
    """

    figure = "mean AP at IoU 0.5"

    def __init__(self, settings: Detection, judging: bool) -> None:
        self.size = (settings.size, settings.size)
        self.judging = judging
        super().__init__()

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self._found: list[Detections] = []
        self._there: list[Tensor] = []

    def loss(self, outputs: dict[str, Tensor], targets: Targets) -> Tensor:
        """See `detection_loss`."""
        boxes, classes = take_apart(targets.labels)
        return detection_loss(outputs, boxes, classes, self.size)

    def count(self, outputs: dict[str, Tensor], targets: Targets | None, loss: Tensor) -> None:
        """Add a batch."""
        super().count(outputs, targets, loss)
        if self.judging and targets is not None:
            self._found += decode_boxes(
                {name: value.float().cpu().numpy() for name, value in outputs.items()}, self.size
            )
            self._there.append(targets.labels.cpu())

    @property
    def value(self) -> float:
        """See `mean_precision`."""
        if not self._there:
            return nan
        boxes, classes = take_apart(torch.cat(self._there))
        return mean_precision(self._found, boxes.numpy(), classes.numpy())


def asked_in_training(recipe: Recipe, net: nn.Module) -> Question:
    """What the network learns by.

    Args:
        recipe: The recipe, resolved.
        net: The network.
    """
    if recipe.detection.size:
        return Boxes(recipe.detection, judging=False)
    if recipe.pretext.name == "moco":
        momentum = make_momentum(recipe.pretext, recipe.teacher, net, recipe.seed)
        return SecondViews(recipe.pretext, recipe.loss, momentum)
    return Classes(recipe.pretext, recipe.loss)


def asked_in_judging(recipe: Recipe) -> Question:
    """What it is judged by; labels are not smoothed then.

    Args:
        recipe: The recipe, resolved.
    """
    if recipe.detection.size:
        return Boxes(recipe.detection, judging=True)
    return Classes(recipe.pretext, Loss(recipe.loss.name))
