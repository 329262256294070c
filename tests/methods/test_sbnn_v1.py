"""SBNN v1: sums over the ones, SBNN's numbers at equal levels, and budgets that follow from a device."""

from math import log2

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bitwright.core.hooks import after_step, penalty, set_progress
from bitwright.core.levels import read_levels
from bitwright.methods import sbnn, sbnn_v1
from bitwright.methods.sbnn_v1 import density_of_memory, density_of_operations
from bitwright.nn.convert import binarize


@given(st.lists(st.tuples(st.sampled_from([-1, 1]), st.sampled_from([0, 1])), max_size=40))
def test_a_zero_one_sum_and_a_signed_one_differ_by_the_sum_of_the_inputs(pairs) -> None:
    assert 2 * sum(x * b for x, b in pairs) - sum(x for x, _ in pairs) == sum(x * (2 * b - 1) for x, b in pairs)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("levels", ["zero_one", "learned"])
def test_the_deployed_layer_is_the_convolution(padding: int, levels) -> None:
    layer = binarize(nn.Conv2d(7, 5, 3, 2, padding, bias=False), sbnn_v1(levels=levels), where=[""])
    with torch.no_grad():
        layer.weight[0], layer.weight[1] = -0.5, 0.5
    x = torch.randn(2, 7, 8, 8)
    codes = torch.where(x >= 0, 1.0, -1.0)
    y = layer.eval()(x)
    assert torch.equal(y, F.conv2d(codes, (layer.weight >= 0).float(), stride=2, padding=padding))
    assert not y[:, 0].any()
    assert torch.equal(y[:, 1], F.conv2d(codes, torch.ones(1, 7, 3, 3), stride=2, padding=padding)[:, 0])


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_it_is_the_general_domain_at_one_half(learned: bool, progress: float) -> None:
    layer = nn.Conv2d(6, 8, 3)
    general, own = sbnn().weight(layer), sbnn_v1(levels="learned" if learned else "zero_one").weight(layer)
    general.load_state_dict({"tau": torch.tensor(0.5), "phi": torch.tensor(0.5)})
    upstream = torch.randn(8, 6, 3, 3)
    found = []
    for binarizer in (general, own):
        set_progress(binarizer, progress)
        w = layer.weight.detach().clone().requires_grad_()
        out = binarizer(w)
        out.backward(upstream)
        found.append((out, w.grad, *(p.grad for p in binarizer.parameters())))
    assert len(found[1]) == (4 if learned else 2)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=False))
    assert read_levels(found[1][0]).kind == "zero_one"


def test_both_thresholds() -> None:
    w = torch.tensor([[-2.0, -0.1, 0.0, 0.3, 0.5, 0.6, 3.0]])
    layer = nn.Linear(7, 1)
    nearest = sbnn_v1(threshold=0.5).weight(layer)
    assert sbnn_v1().weight(layer)(w).tolist() == [[0, 0, 1, 1, 1, 1, 1]]
    assert nearest(w).tolist() == [[0, 0, 0, 0, 1, 1, 1]]
    assert nearest.penalty_term.share([nearest.penalized(w)]).item() == pytest.approx(3 / 7)
    best = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 7)  # every assignment
    assert (best - w).square().sum(1).min() == (nearest(w) - w).square().sum()


@pytest.mark.parametrize(("estimator", "clip", "slope"), [("ede", 1.5, 0.5), ("ste", 1.0, 0.5)])
def test_estimators(estimator, clip: float, slope: float) -> None:
    layer = binarize(nn.Linear(4, 3), sbnn_v1(estimator=estimator), where=[""])
    layer.binarized_weight().sum().backward()
    assert layer.weight.grad.mean().item() == pytest.approx(slope, abs=0.01)
    layer.weight.data.mul_(100)
    after_step(layer)
    assert layer.weight.abs().max() == clip


def test_training_ends_within_the_budget() -> None:
    net = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 10))
    binarize(net, sbnn_v1(0.9, gamma=0.8, ramp=0.5, dead_zone=0.01), where=["0", "1"])
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(200):
        set_progress(net, step / 200)
        x = torch.randn(32, 20)
        loss = F.cross_entropy(net(x), x[:, :10].argmax(1))
        optimizer.zero_grad()
        (loss + penalty(net, loss)).backward()
        optimizer.step()
        after_step(net)
    ones = sum((layer.binarized_weight() == 1).sum().item() for layer in net)
    assert ones / 900 <= 0.1 + 0.02


def test_no_budget_is_enforced_up_to_one_half() -> None:
    layer = binarize(nn.Linear(4, 3), sbnn_v1(0.5), where=[""])
    layer.weight.data.fill_(1.0)
    assert penalty(layer).item() == 0


def test_densities_that_a_device_affords() -> None:
    assert density_of_operations(3e6, 60e6) == pytest.approx(0.05)
    assert density_of_operations(80e6, 60e6) == 1
    for density in (0.005, 0.05, 0.25, 0.4):
        bits = -1000 * (density * log2(density) + (1 - density) * log2(1 - density))
        assert density_of_memory(bits, 1000) == pytest.approx(density, rel=1e-6)
    assert density_of_memory(1000, 1000) == 0.5 and density_of_memory(0, 1000) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1}, "sparsity: expected a share from 0 to less than 1, found 1"),
        ({"levels": "closed_form"}, "levels: expected 'zero_one' or 'learned', found 'closed_form'"),
        ({"estimator": "identity"}, "estimator: expected 'ede' or 'ste', found 'identity'"),
        ({"gamma": 1.5}, "gamma: expected a share from 0 to less than 1, found 1.5"),
        ({"ramp": -1}, "ramp: expected a share of training from 0 to 1, found -1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sbnn_v1(**arguments)
