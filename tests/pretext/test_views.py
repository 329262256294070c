"""Views of images: what each transformation keeps, and that images differ from each other in them."""

import colorsys
from typing import Any, cast

import numpy as np
import pytest
import torch

from bitwright.pretext import random_view
from bitwright.pretext.views import gaussian_blur, jitter_colours, random_crop


def photos(count=8, size=12, channels=3):
    smooth = torch.linspace(0, 250, size)
    images = (smooth[:, None, None] + smooth[None, :, None] * torch.tensor([1.0, 0.5, -0.5])[:channels]) / 2
    return images.clamp(0, 255).to(torch.uint8).expand(count, -1, -1, -1).clone()


def test_a_view_is_an_image_of_the_same_form_and_repeats_with_its_random_numbers():
    images = torch.randint(0, 256, (6, 10, 10, 3), dtype=torch.uint8)
    one, again, other = (random_view(images, np.random.default_rng(seed), blur=0.5) for seed in (1, 1, 2))
    assert one.shape == images.shape and one.dtype == torch.uint8
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_nothing_asked_is_nothing_done(rng):
    images = photos()
    assert torch.equal(random_view(images, rng, area=1, jitter=0, grey=0, blur=0), images)
    assert torch.equal(jitter_colours(images, rng, jitter=1, strength=0, grey=0), images)


def test_each_image_has_a_crop_of_its_own_inside_its_range(rng):
    images = photos(64)
    cropped = random_crop(images, 0.2, rng)
    assert len({image.numpy().tobytes() for image in cropped}) > 60
    spread = cropped.float().amax((1, 2)) - cropped.float().amin((1, 2))  # a part shows no more contrast than the whole
    whole = images[0].float().amax((0, 1)) - images[0].float().amin((0, 1))
    assert (spread <= whole).all() and spread[:, 0].mean() < 0.9 * whole[0]


def test_crops_of_a_gradient_show_their_share_of_the_area(rng):
    size = 64
    ramp = torch.arange(size, dtype=torch.float32) * 4
    across = ramp[None, None, :, None].expand(400, size, size, 1).to(torch.uint8)
    down = ramp[None, :, None, None].expand(400, size, size, 1).to(torch.uint8)
    seen = [random_crop(images, 0.25, np.random.default_rng(3)).float() for images in (across, down)]
    width, height = ((s.amax((1, 2, 3)) - s.amin((1, 2, 3))) / (4 * (size - 1)) for s in seen)
    area, ratio = width * height, width / height
    assert 0.22 < area.min() < 0.32 and area.max() > 0.9
    assert 0.7 < ratio.min() < 0.85 and 1.2 < ratio.max() < 1.45


def test_grey_images_keep_their_luma(rng):
    images = torch.randint(0, 256, (5, 4, 4, 3), dtype=torch.uint8)
    grey = jitter_colours(images, rng, jitter=0, grey=1).float()
    luma = (images.float() * torch.tensor([0.299, 0.587, 0.114])).sum(3)
    assert (grey - luma[..., None]).abs().max() <= 1


def test_shares_choose_as_many_images_as_they_say(rng):
    images = torch.randint(0, 256, (1000, 2, 2, 3), dtype=torch.uint8)
    grey = jitter_colours(images, rng, jitter=0, grey=0.3)
    assert (grey.amax(3) == grey.amin(3)).all((1, 2)).float().mean() == pytest.approx(0.3, abs=0.05)
    changed = (jitter_colours(images, rng, jitter=0.6, grey=0) != images).flatten(1).any(1)
    assert changed.float().mean() == pytest.approx(0.6, abs=0.05)


def test_the_hue_turns_and_the_luma_stays(rng):
    colour = torch.tensor([180, 90, 60], dtype=torch.uint8)

    class Fixed:
        """Half a turn of what is allowed, nothing else."""

        def random(self, count):
            return np.zeros(count)

        def uniform(self, low, high, size):
            return np.full(size, 0.2 if low < 0 else 1.0)

    turned = jitter_colours(colour.expand(1, 1, 1, 3), cast(Any, Fixed()), jitter=1, strength=1, grey=0)[0, 0, 0]
    before, after = (colorsys.rgb_to_yiq(*(c.float() / 255).tolist()) for c in (colour, turned))
    assert after[0] == pytest.approx(before[0], abs=0.01)
    angle = np.angle(complex(*after[1:]) / complex(*before[1:]))
    assert angle == pytest.approx(0.2 * 2 * np.pi, abs=0.1)


def test_images_of_one_channel_change_brightness_and_contrast(rng):
    images = torch.randint(60, 200, (4, 6, 6, 1), dtype=torch.uint8)
    seen = jitter_colours(images, rng, jitter=1, strength=0.3, grey=1)
    assert seen.shape == images.shape and (seen != images).flatten(1).any(1).all()


def test_blur_keeps_the_mean_and_lowers_the_contrast(rng):
    images = torch.randint(0, 256, (20, 40, 40, 3), dtype=torch.uint8)
    blurred = gaussian_blur(images, 0.5, rng)
    changed = (blurred != images).flatten(1).any(1)
    assert 4 <= changed.sum() <= 16
    assert (blurred[changed].float().var((1, 2)) <= images[changed].float().var((1, 2))).all()
    torch.testing.assert_close(blurred.float().mean((1, 2)), images.float().mean((1, 2)), atol=3.0, rtol=0)
    flat = torch.full((3, 8, 8, 3), 77, dtype=torch.uint8)
    assert torch.equal(gaussian_blur(flat, 1.0, rng), flat)
