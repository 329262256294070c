"""What each criterion keeps: its share, its scope, its groups."""

import pytest
import torch
from nets import binary_net, float_net
from torch import nn
from torch.nn.utils import prune as torch_prune

from bitwright.sparse import (
    Constant,
    CubicRamp,
    Filters,
    Kernels,
    Magnitude,
    NOfM,
    Random,
    TorchCriterion,
    density_of,
    masks_of,
    permute_masks,
    prune,
    set_masks,
    take_torch_masks,
)

SHAPES = [(8, 4, 3, 3), (12, 8, 3, 3), (6, 12)]
SIZES = [288, 864, 72]
DENSITIES = [0.005, 0.1, 1 / 3, 0.5, 0.97, 1.0]
FREE = [
    Magnitude("layer"),
    Magnitude("global"),
    Random("layer"),
    Random("global"),
    TorchCriterion(torch_prune.L1Unstructured),
]


def layers(*scales: float) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    torch.manual_seed(0)
    weights = [torch.randn(shape) * scale for shape, scale in zip(SHAPES, scales or (1, 1, 1), strict=True)]
    return weights, [torch.ones_like(w, dtype=torch.bool) for w in weights]


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("criterion", FREE)
def test_the_share_is_exact(criterion, density):
    masks = criterion(*layers(), density)
    counts = [int(m.sum()) for m in masks]
    if criterion.scope == "layer":
        assert counts == [round(density * n) for n in SIZES]
    else:
        assert sum(counts) == round(density * sum(SIZES))


@pytest.mark.parametrize("criterion", [*FREE, Filters(), Filters("global"), Kernels(), Kernels("global"), NOfM(1, 4)])
def test_masks_of_falling_density_are_nested(criterion):
    weights, kept = layers()
    for density in reversed(DENSITIES):
        weights = [w + 0.3 * torch.randn_like(w) for w in weights]
        masks = criterion(weights, kept, density)
        assert all((m <= k).all() for m, k in zip(masks, kept, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(criterion(weights, masks, density), masks, strict=True))
        kept = masks


def test_a_global_threshold_takes_from_the_layer_of_small_weights():
    weights, kept = layers(1, 1, 1e-6)
    every, each = Magnitude("global")(weights, kept, 0.95), Magnitude("layer")(weights, kept, 0.95)
    assert [int((~m).sum()) for m in every] == [0, 0, sum(SIZES) - round(0.95 * sum(SIZES))]
    assert [int((~m).sum()) for m in each] == [14, 43, 4]


def test_layers_that_are_alike_do_not_care_for_scope():
    w = torch.randn(8, 4, 3, 3)
    weights, kept = [w, w.clone()], [torch.ones_like(w, dtype=torch.bool)] * 2
    same = zip(Magnitude("global")(weights, kept, 0.25), Magnitude("layer")(weights, kept, 0.25), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def test_magnitude_keeps_the_largest():
    weights, kept = layers()
    for w, m in zip(weights, Magnitude("layer")(weights, kept, 0.3), strict=True):
        assert w[m].abs().min() > w[~m].abs().max()


def test_seeds_decide_what_is_random():
    same = Random(seed=1)(*layers(), 0.5), Random(seed=1)(*layers(), 0.5)
    assert all(torch.equal(a, b) for a, b in zip(*same, strict=True))
    assert not torch.equal(same[0][0], Random(seed=2)(*layers(), 0.5)[0])


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_permuted_masks_keep_their_counts(scope):
    masks = {str(i): m for i, m in enumerate(Magnitude("global")(*layers(1, 2, 3), 0.4))}
    moved = permute_masks(masks, scope=scope)
    counts, after = ([int(m.sum()) for m in some.values()] for some in (masks, moved))
    assert sum(counts) == sum(after)
    assert (counts == after) == (scope == "layer")
    assert any(not torch.equal(masks[n], moved[n]) for n in masks)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_random_pruning_may_come_after_weights_that_are_zero_by_themselves(scope):
    weights, _ = layers()
    weights = [torch.where(torch.rand(w.shape) < 0.4, 0.0, w) for w in weights]
    nonzero = [w != 0 for w in weights]
    masks = Random(scope)(weights, nonzero, 0.5)
    assert all((m <= k).all() for m, k in zip(masks, nonzero, strict=True))
    counts = [int(m.sum()) for m in masks]
    assert counts == [round(0.5 * n) for n in SIZES] or (scope == "global" and sum(counts) == round(0.5 * sum(SIZES)))


def test_filters_go_as_a_whole():
    weights, kept = layers()
    for w, m in zip(weights, Filters()(weights, kept, 0.5), strict=True):
        rows = m.flatten(1)
        assert (rows.all(1) == rows.any(1)).all() and int(rows.all(1).sum()) == len(w) // 2
        norm = w.abs().flatten(1).mean(1)
        assert norm[rows.all(1)].min() > norm[~rows.all(1)].max()
    assert [int(m.flatten(1).any(1).sum()) for m in Filters()(weights, kept, 0.0)] == [1, 1, 1]
    alive = [int(m.flatten(1).any(1).sum()) for m in Filters("global")(*layers(1, 1, 0.01), 20 / 26)]
    assert alive == [8, 12, 0]


def test_kernels_go_as_a_whole():
    (first, *_), kept = layers()
    (mask,) = Kernels()([first], kept[:1], 0.25)
    taps = mask.flatten(2)
    assert (taps.all(2) == taps.any(2)).all() and int(taps.all(2).sum()) == 8


@pytest.mark.parametrize(("n", "m"), [(1, 4), (2, 4), (4, 4)])
def test_n_of_each_m_input_channels(n, m):
    weights, kept = layers()
    for w, mask in zip(weights, NOfM(n, m)(weights, kept, n / m), strict=True):
        groups, sizes = mask.unflatten(1, (-1, m)), w.abs().unflatten(1, (-1, m))
        assert (groups.sum(2) == n).all()
        assert ((sizes.masked_fill(~groups, torch.inf).amin(2)) >= sizes.masked_fill(groups, 0).amax(2)).all()
    counts = [mask.unflatten(1, (-1, 4)).sum(2).unique().tolist() for mask in NOfM(1, 4)(weights, kept, 0.6)]
    assert counts == [[3], [3], [3]]


def test_n_of_m_needs_whole_groups():
    with pytest.raises(ValueError, match="multiple of 5, found 4"):
        NOfM(2, 5)(*layers(), 0.4)
    with pytest.raises(ValueError, match="1 <= n <= m"):
        NOfM(5, 4)


def test_structured_criteria_of_torch():
    weights, kept = layers()
    masks = TorchCriterion(torch_prune.LnStructured, n=1, dim=0)(weights, kept, 0.5)
    ours = Filters()(weights, kept, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(masks, ours, strict=True))
    fewer = TorchCriterion(torch_prune.LnStructured, n=1, dim=1)(weights, masks, 0.25)
    assert [int(m.transpose(0, 1).flatten(1).any(1).sum()) for m in fewer] == [1, 2, 3]
    with pytest.raises(ValueError, match="prunes channels"):
        TorchCriterion(torch_prune.LnStructured, "global")


def test_criteria_of_torch_rank_all_layers_together():
    weights, kept = layers(1, 2, 3)
    ours = Magnitude("global")(weights, kept, 0.3)
    theirs = TorchCriterion(torch_prune.L1Unstructured, "global")(weights, kept, 0.3)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert density_of(prune(binary_net(), TorchCriterion(torch_prune.RandomUnstructured, "global"), 0.5)) == 0.5


def test_masks_of_torch_are_taken_over():
    net = float_net()
    torch_prune.l1_unstructured(net[2], "weight", 0.5)
    torch_prune.ln_structured(net[4], "weight", 0.25, n=1, dim=0)
    expected = {"2": net[2].weight_mask != 0, "4": net[4].weight_mask != 0}
    masks = take_torch_masks(net)
    assert isinstance(net[2].weight, nn.Parameter) and not net[2]._forward_pre_hooks
    set_masks(net, masks)
    assert all(torch.equal(mask, expected[name]) for name, mask in masks_of(net).items())
    assert not net[2].weight[~expected["2"]].any()


def test_cubic_ramp():
    ramp = CubicRamp(0.1, start=0.2, end=0.6, initial=0.9)
    assert [ramp(p) for p in (0, 0.2)] == [0.9, 0.9]
    assert ramp(0.4) == pytest.approx(0.1 + 0.8 / 8)
    assert [ramp(p) for p in (0.6, 1)] == [pytest.approx(0.1)] * 2
    assert Constant(0.3)(0.7) == 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CubicRamp(0.5, start=0.5, end=0.5), "start < end"),
        (lambda: CubicRamp(0.5, initial=0.4), "at least the density"),
        (lambda: CubicRamp(-1), "density: expected"),
        (lambda: Random("all"), "'layer' or 'global'"),
        (lambda: permute_masks({}, scope="all"), "'layer' or 'global'"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
