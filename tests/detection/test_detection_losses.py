"""Assignment of cells to boxes, and the loss."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitwright.detection import assign_cells, box_overlaps, decode_boxes, detection_loss, focal_loss, overlap_loss
from bitwright.detection.cells import cell_grid

SIZE, SIDES = (64, 64), [(16, 16), (8, 8)]
CENTRES, STRIDES = (torch.from_numpy(part) for part in cell_grid(SIDES, SIZE))


def random_boxes(seed, count, least=8):
    """Boxes in cells of a coarse grid, so that none overlaps another's centre; labels of three classes."""
    random = np.random.default_rng(seed)
    chosen = random.permutation(4)[:count]
    middles = np.stack([chosen % 2, chosen // 2], 1) * 32 + 16 + random.uniform(-3, 3, (count, 2))
    half = random.uniform(least / 2, 13, (count, 2))
    boxes = np.concatenate([middles - half, middles + half], 1).astype(np.float32)
    return torch.from_numpy(boxes)[None], torch.from_numpy(random.integers(0, 3, (1, count)))


def perfect(boxes, labels, sure=40.0):
    """Outputs of a detector that is right: of the boxes' own cells, from the assignment."""
    (owners,) = assign_cells(boxes, labels, CENTRES, STRIDES)
    logits, distances = torch.full((3, len(CENTRES)), -sure), torch.zeros(4, len(CENTRES))
    for cell in (owners >= 0).nonzero()[:, 0]:
        box = boxes[0, owners[cell]]
        logits[labels[0, owners[cell]], cell] = sure
        reach = torch.cat([CENTRES[cell] - box[:2], box[2:] - CENTRES[cell]])
        distances[:, cell] = (reach / STRIDES[cell]).log()
    maps, start = {}, 0
    for level, (height, width) in enumerate(SIDES):
        stop = start + height * width
        maps[f"classes{level}"] = logits[:, start:stop].reshape(1, 3, height, width)
        maps[f"boxes{level}"] = distances[:, start:stop].reshape(1, 4, height, width)
        start = stop
    return maps


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_every_box_that_fits_has_a_cell_and_the_targets_give_the_boxes_back(seed, count):
    boxes, labels = random_boxes(seed, count)
    (owners,) = assign_cells(boxes, labels, CENTRES, STRIDES)
    assert set(owners[owners >= 0].tolist()) == set(range(count))
    for cell in (owners >= 0).nonzero()[:, 0]:
        x0, y0, x1, y1 = boxes[0, owners[cell]].tolist()
        x, y = CENTRES[cell].tolist()
        assert x0 < x < x1 and y0 < y < y1
        assert max(abs(x - (x0 + x1) / 2), abs(y - (y0 + y1) / 2)) < 1.5 * STRIDES[cell]
        assert STRIDES[cell] == (4 if max(x1 - x0, y1 - y0) <= 32 else 8)
    (found,) = decode_boxes({name: value.numpy() for name, value in perfect(boxes, labels).items()}, SIZE)
    overlaps = box_overlaps(boxes[0].numpy(), found.boxes)
    assert len(found.boxes) == count and (overlaps.max(1) > 0.999).all()
    assert (found.classes[overlaps.argmax(1)] == labels[0].numpy()).all()


def test_large_boxes_are_the_next_levels_and_the_last_one_takes_the_rest():
    boxes = torch.tensor([[[0, 0, 32, 20], [0, 0, 33, 20], [0, 0, 64, 64]]], dtype=torch.float32)
    for which, stride in ((0, 4), (1, 8), (2, 8)):
        owners = assign_cells(boxes[:, [which]], torch.zeros(1, 1, dtype=torch.int64), CENTRES, STRIDES)[0]
        assert set(STRIDES[owners >= 0].tolist()) == {stride}


def test_the_smaller_box_takes_the_cell_and_no_box_takes_none():
    boxes = torch.tensor([[[8, 8, 32, 32], [16, 16, 24, 24], [40, 40, 60, 60]]], dtype=torch.float32)
    (owners,) = assign_cells(boxes, torch.tensor([[0, 1, -1]]), CENTRES, STRIDES)
    inside = ((CENTRES > 16) & (CENTRES < 24)).all(1) & (STRIDES == 4)
    assert (owners[inside] == 1).all() and 2 not in owners
    assert (assign_cells(boxes[:, :0], torch.zeros(1, 0, dtype=torch.int64), CENTRES, STRIDES) == -1).all()


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_loss_of_a_perfect_detector_is_nothing_and_of_others_more(seed, count):
    boxes, labels = random_boxes(seed, count)
    maps = perfect(boxes, labels)
    assert float(detection_loss(maps, boxes, labels, SIZE)) < 1e-4
    moved = {name: value + 0.3 * name.startswith("boxes") for name, value in maps.items()}
    assert float(detection_loss(moved, boxes, labels, SIZE)) > 0.05
    assert float(detection_loss(maps, boxes, (labels + 1) % 3, SIZE)) > 1


def test_an_image_without_boxes_asks_for_nothing_to_be_found():
    maps = perfect(*random_boxes(0, 3))
    none = torch.zeros(1, 2, 4), torch.full((1, 2), -1)
    assert float(detection_loss(maps, *none, SIZE)) > 1
    silent = {
        name: torch.full_like(value, -40.0) if name.startswith("classes") else value for name, value in maps.items()
    }
    assert float(detection_loss(silent, *none, SIZE)) < 1e-6


def test_focal_loss_is_the_cross_entropy_that_forgets_what_is_right():
    logits, targets = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 1.0, 0.0])
    p = logits.sigmoid()
    q = torch.where(targets > 0, p, 1 - p)
    a = torch.where(targets > 0, 0.25, 0.75)
    torch.testing.assert_close(focal_loss(logits, targets), (-a * (1 - q) ** 2 * q.log()).sum())
    torch.testing.assert_close(focal_loss(logits, targets, 0.5, 0.0), -0.5 * q.log().sum())


def test_the_loss_of_overlap_tells_how_far_apart_boxes_are():
    a = torch.tensor([[0.0, 0, 2, 2]]).expand(4, 4)
    b = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [6, 0, 8, 2]])
    # IoU 1, 1/3, 0, 0; the box around is filled by 1, 1, 1, 1/2
    torch.testing.assert_close(overlap_loss(a, b), torch.tensor([0.0, 1 - 1 / 3, 1.0, 1.5]))


def test_gradients_reach_every_output_and_stay_finite():
    boxes, labels = random_boxes(1, 3)
    maps = {name: torch.randn_like(value).requires_grad_() for name, value in perfect(boxes, labels).items()}
    maps["boxes1"] = (maps["boxes1"].detach() + 50).requires_grad_()
    detection_loss(maps, boxes, labels, SIZE).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in maps.values())
    assert all(maps[name].grad.abs().sum() > 0 for name in ("classes0", "classes1", "boxes0"))


def test_maps_that_do_not_divide_the_image_are_named():
    with pytest.raises(ValueError, match="16x16 cells does not divide an image of 60x60"):
        detection_loss(perfect(*random_boxes(0, 1)), *random_boxes(0, 1), (60, 60))
