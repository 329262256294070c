import numpy as np
import pytest
import torch

from bitwright.data.pixels import pixel_affine
from bitwright.train.batches import EvaluationBatches, Normalize, TrainingBatches
from bitwright.train.config import Augmentation, Data

CPU = torch.device("cpu")
GREY = Data("x", mean=(0.25,), std=(0.5,))


def _batches(augmentation=Augmentation(crop=1, flip=True, rotation=10.0, mixup=1.0), seed=3, count=20, batch=8):  # noqa: B008
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 6, 6, 1), dtype=np.uint8)
    return TrainingBatches(images, np.arange(count), GREY, augmentation, batch=batch, seed=seed, device=CPU)


def _epoch(batches, epoch):
    batches.epoch = epoch
    return list(batches)


def test_a_batch_depends_on_seed_epoch_and_index_alone():
    one, two = _batches(), _batches()
    _epoch(two, 0)  # what was drawn before leaves no trace
    torch.rand(5)
    for (x, targets), (other, other_targets) in zip(_epoch(one, 4), _epoch(two, 4), strict=True):
        assert torch.equal(x, other) and torch.equal(targets.labels, other_targets.labels)
        assert targets.weight == other_targets.weight
    assert not torch.equal(_epoch(one, 4)[0][0], _epoch(one, 5)[0][0])
    assert not torch.equal(_epoch(one, 4)[0][0], _epoch(_batches(seed=4), 4)[0][0])


def test_each_image_comes_once_and_the_rest_is_left_out():
    batches = _batches(Augmentation())
    epoch = _epoch(batches, 0)
    labels = torch.cat([targets.labels for _, targets in epoch]).tolist()
    assert len(batches) == len(epoch) == 2 and len(labels) == len(set(labels)) == 16
    assert labels != sorted(labels)


def test_a_batch_larger_than_the_set_takes_it_all():
    assert [len(x) for x, _ in _epoch(_batches(count=5), 0)] == [5]


def test_evaluation_keeps_order_and_every_image():
    images = np.arange(20, dtype=np.uint8).reshape(5, 2, 2, 1)
    batches = EvaluationBatches(images, np.arange(5), GREY, batch=2, device=CPU)
    x = torch.cat([x for x, _ in batches])
    assert len(batches) == 3 and [len(x) for x, _ in batches] == [2, 2, 1]
    assert x.numpy() == pytest.approx((images.transpose(0, 3, 1, 2) / 255 - 0.25) / 0.5, abs=1e-6)


def test_normalize_rounds_as_the_packed_file_does():
    data = Data("x", mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.201))
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    scale, shift = pixel_affine(data.mean, data.std)
    expected = (images.astype(np.float32) * scale).astype(np.float32) + shift
    assert np.array_equal(Normalize(data, CPU)(torch.from_numpy(images)).numpy(), expected.transpose(0, 3, 1, 2))
