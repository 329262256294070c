"""How uint8 pixels become real numbers: one pair of float32 constants a channel, the same in training and in a file."""

import numpy as np


def measure_pixels(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, with pixels from 0 to 1, to four decimals.

    Shape:
        images: (N, H, W, C) uint8.

    Args:
        images: The training images.
    """
    mean, std = [], []
    for channel in range(images.shape[3]):
        counts = np.bincount(images[..., channel].reshape(-1), minlength=256)
        share, value = counts / counts.sum(), np.arange(256) / 255
        middle = float(share @ value)
        mean.append(round(middle, 4))
        std.append(max(round(float(share @ (value - middle) ** 2) ** 0.5, 4), 1e-4))  # a blank channel has none
    return tuple(mean), tuple(std)


def pixel_affine(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The constants of x * scale + shift = (x / 255 - mean) / std, rounded to float32 once.

    Shape:
        output: scale and shift, (C,) float32 each.

    Args:
        mean: Of each channel, with pixels from 0 to 1.
        std: Standard deviation of each channel, likewise.
    """
    centre, spread = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    return (1 / (255 * spread)).astype(np.float32), (-centre / spread).astype(np.float32)
