import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bitwright.train.augment import Targets, crop_and_flip, mix, rotate
from bitwright.train.config import Loss


def _coordinates(count, height, width):
    """Images whose two channels are the row and the column of each pixel, counted from 1: 0 is the border."""
    rows, columns = torch.meshgrid(torch.arange(1, height + 1), torch.arange(1, width + 1), indexing="ij")
    return torch.stack([rows, columns], dim=-1).to(torch.uint8).repeat(count, 1, 1, 1)


def test_crop_shifts_and_fills_with_black(rng):
    images = _coordinates(200, 6, 8)
    out = crop_and_flip(images, 2, False, rng)
    assert out.dtype == torch.uint8 and out.shape == images.shape
    seen = set()
    for image in out.numpy():
        inside = image[..., 0] > 0
        top, left = np.argwhere(inside)[0]
        dy, dx = int(image[top, left, 0]) - 1 - top, int(image[top, left, 1]) - 1 - left
        seen.add((dy, dx))
        rows, columns = np.mgrid[:6, :8]
        expected = (rows + dy >= 0) & (rows + dy < 6) & (columns + dx >= 0) & (columns + dx < 8)
        assert np.array_equal(inside, expected)
        assert np.array_equal(image[..., 1][inside], (columns + dx + 1)[inside])
    assert seen == {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}


def test_flip_mirrors_about_half(rng):
    images = _coordinates(400, 3, 5)
    out = crop_and_flip(images, 0, True, rng)
    mirrored = [torch.equal(image, images[0].flip(1)) for image in out]
    same = [torch.equal(image, images[0]) for image in out]
    assert all(a != b for a, b in zip(mirrored, same, strict=True)) and 140 < sum(mirrored) < 260


class _Fixed:
    """A generator whose angles are all the same."""

    def __init__(self, angle):
        self.angle = angle

    def uniform(self, low, high, count):
        return np.full(count, self.angle)


@pytest.mark.parametrize("angle", [90, -90])
def test_a_quarter_turn_is_exact(angle):
    images = _coordinates(2, 6, 6)
    turned = rotate(images, 90, _Fixed(angle))
    assert any(torch.equal(turned, images.rot90(k, (1, 2))) for k in (1, 3))


def test_turning_there_and_back_returns_the_middle():
    images = _coordinates(1, 9, 15)
    there = rotate(images, 30, _Fixed(30.0))
    back = rotate(there, 30, _Fixed(-30.0))
    assert not torch.equal(there, images)
    middle = (back - images)[:, 3:6, 6:9].abs()
    assert int(torch.minimum(middle, 256 - middle.int()).max()) <= 1


def test_mixup_mixes_inputs_and_loss(rng):
    x, labels = torch.randn(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    mixed, targets = mix(x, labels, 1.0, rng)
    assert targets.others is not None and 0 < targets.weight < 1
    order = [int((labels == other).nonzero()[0]) for other in targets.others]
    assert torch.equal(labels[order], targets.others)
    logits = torch.randn(6, 3)
    one_hot = targets.weight * F.one_hot(labels, 3) + (1 - targets.weight) * F.one_hot(targets.others, 3)
    assert targets.loss(logits) == pytest.approx(F.cross_entropy(logits, one_hot).item(), rel=1e-5)
    assert mixed.mean().item() == pytest.approx(x.mean().item(), abs=1e-5)


def test_plain_targets_are_cross_entropy():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    smooth = Loss(label_smoothing=0.1)
    assert torch.equal(Targets(labels).loss(logits, smooth), F.cross_entropy(logits, labels, label_smoothing=0.1))


def test_squared_hinge():
    logits = torch.tensor([[0.5, 2.0, -3.0], [-1.0, 0.0, 1.0]])
    hinge = Loss("squared_hinge")
    assert Targets(torch.tensor([0, 1])).loss(logits, hinge) == pytest.approx((0.25 + 9 + 0 + 0 + 1 + 4) / 6)
    mixed = Targets(torch.tensor([0, 1]), torch.tensor([1, 1]), 0.5).loss(logits, hinge)
    assert mixed == pytest.approx(0.5 * 14.25 / 6 + 0.5 * (2.25 + 0 + 0 + 0 + 1 + 4) / 6)
