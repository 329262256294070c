"""Batches from a data set that lives in memory as uint8 tensors, on the device that trains."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bitwright.data.pixels import pixel_affine
from bitwright.train.augment import Targets, mix
from bitwright.train.config import Augmentation, Data
from bitwright.train.optional_tables import LABELS, Pretext
from bitwright.train.pretext import pose

AS_THEY_ARE = Augmentation()


class Normalize:
    """Pixels to what the network reads: x * scale + shift per channel, in this order, in float32.

    Shape:
        input: (N, H, W, C) uint8; output: (N, C, H, W) float32.

    Args:
        data: Holds mean and standard deviation of each channel.
        device: Where the images are.
    """

    def __init__(self, data: Data, device: torch.device) -> None:
        scale, shift = pixel_affine(data.mean, data.std)
        self.scale = torch.from_numpy(scale).to(device)[:, None, None]
        self.shift = torch.from_numpy(shift).to(device)[:, None, None]

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize a batch."""
        return images.permute(0, 3, 1, 2).float().contiguous() * self.scale + self.shift


class TrainingBatches:
    """Shuffled, augmented batches; what is in them depends on (seed, epoch, batch index) and on nothing else.

    So a run that resumes at an epoch's start sees what an uninterrupted one would have seen. The last batch is left
    out when it is not full, unless it is the only one.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N,) int64, or of scenes (N, objects, 5) float32, see `detection.as_scenes`.
        data: Normalisation.
        augmentation: What happens to the images.
        batch: Images in a batch.
        seed: Seed of the run.
        device: Where the images are kept.
        pretext: What is asked in place of the labels.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        data: Data,
        augmentation: Augmentation,
        *,
        batch: int,
        seed: int,
        device: torch.device,
        pretext: Pretext = LABELS,
    ) -> None:
        self.images = torch.from_numpy(images).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        self.normalize = Normalize(data, device)
        self.augmentation = augmentation
        self.pretext = pretext
        self.batch = min(batch, len(images))
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.images) // self.batch

    def __iter__(self) -> Iterator[tuple[Tensor, Targets]]:
        epoch = self.epoch
        shuffled = np.random.default_rng((self.seed, epoch, 0)).permutation(len(self.images))
        order = torch.from_numpy(shuffled).to(self.images.device)
        for index in range(len(self)):
            chosen = order[index * self.batch : (index + 1) * self.batch]
            yield self._make(chosen, np.random.default_rng((self.seed, epoch, 1 + index)))

    def _make(self, chosen: Tensor, random: np.random.Generator) -> tuple[Tensor, Targets]:
        images, labels = pose(self.pretext, self.images[chosen], self.labels[chosen], self.augmentation, random)
        x = self.normalize(images)
        if self.augmentation.mixup:
            return mix(x, labels, self.augmentation.mixup, random)
        return x, Targets(labels)


class EvaluationBatches:
    """All images in order, as they are, the last batch as small as it comes out.

    Of a pretext its views, the same ones each time.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N,) int64, or of scenes (N, objects, 5) float32, see `detection.as_scenes`.
        data: Normalisation.
        batch: Images in a batch.
        device: Where the images are kept.
        pretext: What is asked in place of the labels.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        data: Data,
        *,
        batch: int = 256,
        device: torch.device,
        pretext: Pretext = LABELS,
    ) -> None:
        self.images = torch.from_numpy(images).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        self.normalize = Normalize(data, device)
        self.batch = batch
        self.pretext = pretext

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Targets]]:
        for start in range(0, len(self.images), self.batch):
            chosen = slice(start, start + self.batch)
            random = np.random.default_rng(start)
            images, labels = pose(self.pretext, self.images[chosen], self.labels[chosen], AS_THEY_ARE, random)
            yield self.normalize(images), Targets(labels)
