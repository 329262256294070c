"""MatchSize: a layer's input in the shape of its output."""

import pytest
import torch
from torch import nn

from bitwright.nn.resize import MatchSize, match_channels

CONVS = [
    nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 4, 1), nn.Conv2d(6, 12, 3, 2, 1), nn.Conv2d(6, 7, 3),
    nn.Conv2d(6, 4, (1, 5), (2, 1)), nn.Conv2d(6, 6, 2, dilation=3), nn.Conv2d(6, 3, 3, padding="same", groups=3),
    nn.Conv2d(6, 2, 3, padding="valid"), nn.Conv2d(6, 8, 1, 2, padding=1), nn.Conv2d(6, 6, 4, 3, 2),
]  # fmt: skip


@pytest.mark.parametrize("conv", CONVS, ids=str)
@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_shape_is_that_of_the_output(conv: nn.Conv2d, size: tuple[int, int]) -> None:
    x = torch.randn(2, 6, *size)
    match = MatchSize(conv)
    assert match(x).shape == conv(x).shape
    assert match(x[0]).shape == conv(x).shape[1:]
    assert not list(match.parameters())


def test_pixels_stay_under_the_centres_of_their_windows() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert torch.equal(MatchSize(nn.Conv2d(1, 1, 3, padding=1))(x), x)
    assert torch.equal(MatchSize(nn.Conv2d(1, 1, 3))(x), x[:, :, 1:-1, 1:-1])
    pooled = MatchSize(nn.Conv2d(1, 1, 3, 2, 1))(x[:, :, :5, :5])
    assert pooled[0, 0, 0, 0] == (0 + 1 + 6 + 7) / 4 and pooled[0, 0, 2, 2] == 28  # the last window has one pixel


def test_channels_by_chunks() -> None:
    x = torch.tensor([[1.0, 2, 4, 8, 16]])
    assert torch.equal(match_channels(x, 5), x)
    assert match_channels(x[:, :4], 2).tolist() == [[1 + 4, 2 + 8]]
    assert match_channels(x[:, :4], 2, mean=True).tolist() == [[2.5, 5]]
    assert match_channels(x[:, :2], 6).tolist() == [[1, 2, 1, 2, 1, 2]]
    assert match_channels(x[:, :2], 5).tolist() == [[1, 2, 1, 2, 1]]
    assert match_channels(x, 2).tolist() == [[1 + 4 + 16, 2 + 8]]
    assert match_channels(x[:, :, None, None], 2, axis=-3)[:, :, 0, 0].tolist() == [[21, 10]]


def test_squeeze_undoes_expand() -> None:
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(match_channels(match_channels(x, 8), 4, mean=True), x)
    torch.testing.assert_close(match_channels(match_channels(x, 12), 4), 3 * x)


def test_an_unknown_squeeze_is_refused() -> None:
    with pytest.raises(ValueError, match=r"squeeze: expected 'sum' or 'mean', found 'max'"):
        MatchSize(nn.Linear(4, 2), "max")  # type: ignore[arg-type]
