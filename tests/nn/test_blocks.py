"""Shuffles, groups and shortcuts without real weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright.methods import bi_real_net
from bitwright.nn.blocks import AddedConv, ChannelShuffle, grouped_width, purified_shortcut
from bitwright.nn.convert import binarize
from bitwright.nn.layers import BinaryConv2d


def test_shuffle_deals_each_group_out_to_all() -> None:
    x = torch.randn(2, 12, 3, 3)
    shuffle = ChannelShuffle(12, 3)
    assert torch.equal(shuffle(x), nn.ChannelShuffle(3)(x))
    assert torch.equal(ChannelShuffle(12, 4)(shuffle(x)), x)
    assert not shuffle.state_dict()
    with pytest.raises(ValueError, match=r"groups: expected a divisor of 12 channels, found 5"):
        ChannelShuffle(12, 5)


@pytest.mark.parametrize(("width", "groups"), [(64, 4), (64, 16), (48, 2), (100, 3)])
def test_widening_keeps_the_work(width: int, groups: int) -> None:
    wide = grouped_width(width, groups)
    assert wide % groups == 0
    work = wide * wide // groups
    assert abs(work / width**2 - 1) < (0.01 if round(groups**0.5) ** 2 == groups else 0.05)


def test_grouped_convolution_is_the_block_diagonal_one() -> None:
    layer = binarize(nn.Conv2d(8, 12, 3, padding=1, groups=4, bias=False), bi_real_net(), where=[""]).eval()
    x = torch.randn(2, 8, 5, 5)
    dense = torch.zeros(12, 8, 3, 3)
    for g in range(4):
        dense[3 * g : 3 * g + 3, 2 * g : 2 * g + 2] = layer.binarized_weight()[3 * g : 3 * g + 3]
    torch.testing.assert_close(layer(x), F.conv2d(torch.where(x >= 0, 1.0, -1.0), dense, padding=1))


def test_purified_shortcuts_keep_the_shape_and_have_no_real_convolution() -> None:
    x = torch.randn(2, 6, 8, 8)
    expected = nn.Conv2d(6, 12, 1, 2)(x).shape
    copies, added = purified_shortcut(6, 12, 2), purified_shortcut(6, 12, 2, kind="binary")
    assert copies(x).shape == added(x).shape == expected
    assert not list(copies.parameters())
    pooled = F.avg_pool2d(x, 2)
    assert torch.equal(copies(x), torch.cat([pooled, pooled], 1))

    binarize(added, bi_real_net(), where=["conv"])
    assert isinstance(added, AddedConv) and isinstance(added.conv, BinaryConv2d)
    added.bn.weight.data.zero_()
    assert torch.equal(added(x), copies(x))
    with pytest.raises(ValueError, match=r"kind: expected 'copies' or 'binary', found 'conv'"):
        purified_shortcut(6, 12, 2, kind="conv")  # type: ignore[arg-type]
