"""Branches of squeezed inputs: their formula, rank, size, and what they do not depend on."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.nn.interaction import Interaction, SqueezeInteraction, branch_size, choose_rank


def conv(inputs: int = 6, outputs: int = 8, kernel: int = 3, **geometry) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=False, **geometry)


def trained(layer: nn.Conv2d, **settings) -> SqueezeInteraction:
    made = SqueezeInteraction(layer, **settings)
    for branch in made.branches:
        nn.init.normal_(branch.excite.weight)
    return made.double()


def alone(made: SqueezeInteraction, x: Tensor, layer: nn.Conv2d) -> Tensor:
    """The sum of the branches."""
    return made(x, torch.zeros_like(F.conv2d(x, layer.weight.double(), None, layer.stride, layer.padding)))


@pytest.mark.parametrize("rank", [0, 2])
def test_a_branch_is_the_outer_product_of_the_two_squeezed_inputs(rank: int) -> None:
    layer = conv(stride=2, padding=1)
    made = trained(layer, rank=rank)
    (branch,) = made.branches
    x = torch.randn(3, 6, 7, 9, dtype=torch.float64)
    matrix = branch.excite.weight @ branch.squeeze.weight if rank else branch.excite.weight
    found = alone(made, x, layer)
    assert found.shape == (3, 8, 4, 5)
    for image, b in zip(x, found, strict=True):
        t = matrix @ image.flatten(1).max(1).values
        u = F.conv2d(image.max(0).values[None], branch.window.weight, stride=2, padding=1)[0]
        torch.testing.assert_close(b, t[:, None, None] * u)


def test_a_new_branch_adds_nothing_and_can_learn() -> None:
    layer = conv()
    x, y = torch.randn(2, 6, 5, 5), torch.randn(2, 8, 3, 3)
    for rank in (0, 3):
        made = SqueezeInteraction(layer, branches=2, rank=rank)
        assert torch.equal(made(x, y), y)
        made(x, y).square().sum().backward()
        assert all(branch.excite.weight.grad.any() for branch in made.branches)
    normal = SqueezeInteraction(layer, normalize=True)(x, y)
    torch.testing.assert_close(normal, F.batch_norm(y, None, None, training=True))


@pytest.mark.parametrize("branches", [1, 3])
def test_the_rank_over_channels_and_pixels_is_the_number_of_branches(branches: int) -> None:
    layer = conv(padding=1)
    x = torch.randn(4, 6, 5, 7, dtype=torch.float64)
    found = alone(trained(layer, branches=branches, rank=4), x, layer).detach().flatten(2)
    assert torch.linalg.matrix_rank(found).tolist() == [branches] * 4


def test_what_is_squeezed_is_not_seen() -> None:
    """The factor of each channel does not depend on where the pixels are, the map not on which channel is which."""
    layer = conv(padding=1)
    made = trained(layer)
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    pixels, channels = torch.randperm(35), torch.randperm(6)
    moved = x.flatten(2)[..., pixels].view_as(x)
    with torch.no_grad():
        found, of_pixels, of_channels = (alone(made, y, layer) for y in (x, moved, x[:, channels]))
    scale = [b / b.abs().amax((1, 2, 3), keepdim=True) for b in (found, of_pixels, of_channels)]
    shares = [b.abs().amax((2, 3)) for b in scale]
    torch.testing.assert_close(shares[0], shares[1])
    maps = [b.abs().amax(1) for b in scale]
    torch.testing.assert_close(maps[0], maps[2])
    assert not torch.allclose(maps[0], maps[1]) and not torch.allclose(shares[0], shares[2])


@pytest.mark.parametrize("geometry", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": "same"}])
@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (6, 12), (8, 3)])
def test_branches_have_the_shape_of_the_convolution(inputs: int, outputs: int, geometry) -> None:
    layer = conv(inputs, outputs, **geometry)
    x = torch.randn(2, inputs, 8, 9)
    assert SqueezeInteraction(layer)(x, layer(x)).shape == layer(x).shape


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_sizes_are_what_the_parameters_say(rank: int) -> None:
    for layer in (conv(), conv(4, 9, (1, 5))):
        held = sum(p.numel() for p in Interaction(layer, rank).parameters())
        assert held == branch_size(layer, rank)
    assert branch_size(conv(), 0) == 6 * 8 + 9
    assert branch_size(conv(), 5) == 5 * (6 + 8) + 9


@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize(("inputs", "outputs", "kernel"), [(64, 64, 3), (16, 32, 3), (64, 128, 1), (512, 512, 3)])
def test_the_largest_rank_is_the_last_within_the_limit(branches: int, inputs: int, outputs: int, kernel: int) -> None:
    layer = conv(inputs, outputs, kernel)
    rank = choose_rank(layer, branches, "largest", 0.1)
    room = 0.1 * layer.weight.numel()
    assert rank and branches * branch_size(layer, rank) <= room < branches * branch_size(layer, rank + 1)


def test_whole_matrices_where_there_is_room_and_none_where_there_is_not() -> None:
    assert choose_rank(conv(64, 64), 1, "largest", 0.12) == 0
    assert choose_rank(conv(64, 64), 1, "full", 0.12) == 0
    assert choose_rank(nn.Conv2d(32, 32, 3, groups=32), 1, "largest", 0.1) is None


def test_what_exceeds_the_limit_is_refused() -> None:
    message = (
        r"Conv2d\(64, 64.*1 branches of rank full add 4105 parameters, expected at most 10.0% of its 36864 weights"
    )
    with pytest.raises(ValueError, match=message):
        choose_rank(conv(64, 64), 1, "full", 0.1)
    assert choose_rank(conv(64, 64), 1, 28, 0.1) == 28
    with pytest.raises(ValueError, match=r"2 branches of rank 28 add 7186 parameters"):
        choose_rank(conv(64, 64), 2, 28, 0.1)


def test_of_equal_maxima_the_first_has_the_gradient() -> None:
    made = trained(conv(1, 1, 1))
    made.branches[0].excite.weight.data.fill_(1)
    made.branches[0].window.weight.data.fill_(1)
    x = torch.tensor([[[[2.0, 2.0], [1.0, 0.0]]]], dtype=torch.float64, requires_grad=True)
    made(x, torch.zeros(1, 1, 2, 2, dtype=torch.float64)).sum().backward()
    # b = max(x) * x: 5, the sum of the map, for the maximum, and 2, the maximum, for each pixel of the map
    assert x.grad is not None and x.grad.flatten().tolist() == [7.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("rank", [0, 2])
def test_compiled_in_one_graph(rank: int) -> None:
    made, x, y = SqueezeInteraction(conv(), 2, rank), torch.randn(2, 6, 5, 5), torch.randn(2, 8, 3, 3)
    nn.init.normal_(made.branches[0].excite.weight)
    torch.testing.assert_close(torch.compile(made, fullgraph=True, backend="aot_eager")(x, y), made(x, y))
