"""Rotations and contrast: labels, partners, and the loss against its formula."""

import pytest
import torch
import torch.nn.functional as F

from bitwright.pretext import four_rotations, partners, projection_head, similarity_logits


def test_four_copies_are_turned_by_their_labels():
    images = torch.randint(0, 256, (5, 6, 6, 3), dtype=torch.uint8)
    turned, labels = four_rotations(images)
    assert turned.shape == (20, 6, 6, 3) and labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert torch.equal(turned[:5], images)
    for index, quarters in enumerate(labels.tolist()):
        back = torch.rot90(turned[index], -quarters, (0, 1))
        assert torch.equal(back, images[index % 5])


def test_four_quarter_turns_are_none():
    images = torch.randint(0, 256, (3, 4, 4, 1), dtype=torch.uint8)
    quarter = images
    for _ in range(4):
        quarter = four_rotations(quarter)[0][3:6]
    assert torch.equal(quarter, images)


def test_oblong_images_are_refused():
    with pytest.raises(ValueError, match="expected squares"):
        four_rotations(torch.zeros(1, 4, 5, 3, dtype=torch.uint8))


def test_the_cross_entropy_of_similarities_is_nt_xent():
    z, count, temperature = torch.randn(8, 5), 4, 0.3
    unit = z / z.norm(dim=1, keepdim=True)
    expected = 0.0
    for i in range(8):
        j = (i + count) % 8
        others = sum(torch.exp(unit[i] @ unit[k] / temperature) for k in range(8) if k != i)
        expected = expected - torch.log(torch.exp(unit[i] @ unit[j] / temperature) / others) / 8
    found = F.cross_entropy(similarity_logits(z, temperature), partners(count))
    torch.testing.assert_close(found, expected)


def test_equal_views_find_each_other_whatever_their_length():
    view = torch.randn(16, 8)
    z = torch.cat([view, 3 * view])
    logits = similarity_logits(z)
    assert logits.shape == (32, 31)
    assert torch.equal(logits.argmax(1), partners(16))
    assert logits.max() <= 1 / 0.5 + 1e-5
    with pytest.raises(ValueError, match="temperature: expected"):
        similarity_logits(z, 0.0)


def test_a_projection_reads_features_and_returns_its_outputs():
    head = projection_head(12, hidden=20, outputs=7)
    assert head(torch.randn(3, 12)).shape == (3, 7) and head[0].out_features == 20
    assert projection_head(12)[0].out_features == 12
