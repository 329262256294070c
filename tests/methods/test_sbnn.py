"""SBNN: the closed form, the penalty and the schedules against worked numbers and brute force."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bitwright.core.binarizers import ScaledSign, Sign
from bitwright.core.budget import ConnectionBudget, penalty_weight
from bitwright.core.hooks import after_step, penalty, set_progress
from bitwright.methods import sbnn
from bitwright.methods.sbnn import (
    GeneralDomain,
    domain_of_density,
    optimal_domain,
    published_gamma,
    split_domain,
    symmetric_error,
)
from bitwright.nn.convert import binarize

EXAMPLE = torch.tensor([-0.9, -0.5, -0.4, -0.2, -0.1, 0.1, 0.3, 1.3], dtype=torch.float64)


def squared_error(w: Tensor, low: Tensor, high: Tensor, bits: Tensor) -> float:
    return (w.double() - torch.where(bits, high, low)).square().sum().item()


def test_worked_example() -> None:
    signs = split_domain(EXAMPLE, EXAMPLE >= 0)
    assert [v.item() for v in signs] == pytest.approx([-0.42, 0.566667, 3, 1.214667], abs=1e-6)
    assert symmetric_error(EXAMPLE).item() == pytest.approx(1.255)
    best = optimal_domain(EXAMPLE)
    assert [v.item() for v in best] == pytest.approx([-0.242857, 1.3, 1, 0.957143], abs=1e-6)
    assert domain_of_density(EXAMPLE, 3) == signs
    assert domain_of_density(EXAMPLE, 1) == best


weights = st.lists(st.integers(-20, 20), min_size=2, max_size=9).map(lambda v: torch.tensor(v, dtype=torch.float64) / 8)


@given(weights)
def test_scan_equals_brute_force_over_all_assignments(w: Tensor) -> None:
    best = optimal_domain(w)
    errors = []
    for assignment in itertools.product([False, True], repeat=len(w)):
        bits = torch.tensor(assignment)
        domain = split_domain(w, bits)
        errors.append(squared_error(w, domain.low, domain.high, bits))
        assert domain.error.item() == pytest.approx(errors[-1], abs=1e-9)
    assert best.error.item() == pytest.approx(min(errors), abs=1e-9)
    bits = w > (best.low + best.high) / 2
    if best.ones > 0:  # the threshold it implies is the midpoint
        assert bits.sum() == best.ones
        assert squared_error(w, best.low, best.high, bits) == pytest.approx(best.error.item(), abs=1e-9)


@given(weights)
def test_gain_over_the_symmetric_domain(w: Tensor) -> None:
    bits = w >= 0
    domain = split_domain(w, bits)
    n1 = domain.ones.item()
    gain = n1 * (len(w) - n1) / len(w) * (domain.low + domain.high).item() ** 2
    if 0 < n1 < len(w):
        assert (symmetric_error(w) - domain.error).item() == pytest.approx(gain, abs=1e-9)


@given(weights.filter(lambda w: bool((w != 0).all())))
def test_negation_swaps_and_negates_the_levels(w: Tensor) -> None:
    domain, mirrored = split_domain(w, w >= 0), split_domain(-w, -w >= 0)
    assert mirrored.low.item() == pytest.approx(-domain.high.item())
    assert mirrored.high.item() == pytest.approx(-domain.low.item())
    assert mirrored.error.item() == pytest.approx(domain.error.item(), abs=1e-9)


def test_an_empty_side_mirrors_the_other() -> None:
    assert split_domain(torch.tensor([-1.0, -3.0]), torch.tensor([False, False]))[:2] == (-2, 2)
    assert split_domain(torch.tensor([1.0, 3.0]), torch.tensor([True, True]))[:2] == (-2, 2)
    assert optimal_domain(torch.tensor([0.5, 0.5])).error == 0


def test_prescribed_number_of_ones_lies_within_the_weights() -> None:
    assert domain_of_density(EXAMPLE, 0).ones == 0 and domain_of_density(EXAMPLE, 8).ones == 8
    with pytest.raises(ValueError, match=r"ones: expected 0 to 8"):
        domain_of_density(EXAMPLE, 9)


def test_penalty_of_the_worked_example() -> None:
    w = torch.full((1000,), -0.5)
    w[:300] = 0.5
    w.requires_grad_()
    loss = torch.tensor(2.0)
    budget = ConnectionBudget(density=0.05, gamma=0.05)
    assert penalty_weight(torch.tensor(0.25), loss, 0.05, 1e-4).item() == pytest.approx(0.421053, abs=1e-6)
    total = loss + budget([w[:400], w[400:]], loss)
    assert total.item() == pytest.approx(2.105263, abs=1e-6)
    total.backward()
    assert w.grad is not None
    torch.testing.assert_close(w.grad, torch.full_like(w, 2.10526e-4), rtol=1e-5, atol=0)


@pytest.mark.parametrize("ones", [0, 50])
def test_no_penalty_within_the_budget(ones: int) -> None:
    w = torch.full((1000,), -0.5)
    w[:ones] = 0.0  # sign(0) = +1 counts as one
    w.requires_grad_()
    budget = ConnectionBudget(0.05, 0.05)
    assert budget.share([w]).item() == ones / 1000
    term = budget([w], torch.tensor(2.0))
    term.backward()
    assert term.item() == 0 and w.grad is not None and not w.grad.any()


@pytest.mark.parametrize(("estimator", "slope"), [("cifar10", 0.5), ("cifar100", 0.5), ("imagenet", 1.0)])
def test_setups_count_with_their_slope(estimator: str, slope: float) -> None:
    layer = binarize(nn.Linear(10, 10), sbnn(gamma=0.5, estimator=estimator), where=[""])
    layer.weight.data.fill_(1.0)
    penalty(layer).backward()
    torch.testing.assert_close(layer.weight.grad, torch.full((10, 10), slope / 0.95 / 100))


@pytest.mark.parametrize(("estimator", "limit"), [("cifar10", 1.5), ("cifar100", 1.5), ("imagenet", 7.0)])
def test_latent_weights_are_clamped_as_published(estimator: str, limit: float) -> None:
    layer = binarize(nn.Linear(3, 3), sbnn(estimator=estimator), where=[""])
    layer.weight.data.fill_(-7.0)
    after_step(layer)
    assert (layer.weight == -limit).all()


def test_published_gammas_are_interpolated() -> None:
    assert [published_gamma(d) for d in (0.5, 0.25, 0.1, 0.05, 0.01)] == pytest.approx([0, 0.02, 0.04, 0.07, 0.10])
    assert published_gamma(0.075) == pytest.approx(0.055)
    assert published_gamma(0.9) == 0 and published_gamma(0.001) == pytest.approx(0.10)
    assert published_gamma(0.05, "cifar100") == pytest.approx(0.05)
    assert published_gamma(0.1, "imagenet") == pytest.approx(0.02)
    assert sbnn(0.99).weight(nn.Linear(1, 1)).penalty_term.gamma == pytest.approx(0.10)


def test_symmetric_case_is_the_scaled_sign() -> None:
    w = torch.randn(1, 6, 3, 3)
    binarizer = GeneralDomain(Sign(), ConnectionBudget(0.05, 0.07))
    binarizer.load_state_dict({"tau": w.abs().mean(), "phi": torch.tensor(0.0)})
    torch.testing.assert_close(binarizer(w), ScaledSign()(w))
    symmetric = GeneralDomain(Sign(), ConnectionBudget(0.05, 0.07), "symmetric")
    torch.testing.assert_close(symmetric(w), ScaledSign()(w))


@pytest.mark.parametrize("tau", [0.7, -0.7])
def test_deployed_symbols_equal_tau_and_phi(tau: float) -> None:
    w, phi = torch.randn(4, 6), 0.2
    binarizer = GeneralDomain(Sign(), ConnectionBudget(0.05, 0.07))
    binarizer.load_state_dict({"tau": torch.tensor(tau), "phi": torch.tensor(phi)})
    torch.testing.assert_close(binarizer(w), (phi - tau) + 2 * tau * (w >= 0))


def test_closed_form_follows_the_weights_without_a_gradient_of_its_own() -> None:
    binarizer = sbnn(levels="closed_form", estimator="imagenet").weight(nn.Linear(1, 1))
    assert not list(binarizer.parameters())
    w = EXAMPLE.float().requires_grad_()
    out = binarizer(w)
    torch.testing.assert_close(out, torch.where(w >= 0, 0.566667, -0.42), rtol=1e-5, atol=1e-6)
    out.sum().backward()
    tau = (0.566667 + 0.42) / 2
    torch.testing.assert_close(w.grad, torch.tensor([tau] * 7 + [0.0]), rtol=1e-5, atol=1e-6)


def test_learned_levels_may_start_from_the_closed_form() -> None:
    layer = nn.Linear(8, 4)
    domain = split_domain(layer.weight, layer.weight >= 0)
    binarize(layer, sbnn(fit=True), where=[""])
    values = layer.binarized_weight().unique()
    torch.testing.assert_close(values.double(), torch.stack([domain.low, domain.high]), rtol=1e-5, atol=1e-6)


def test_training_ends_within_the_budget() -> None:
    net = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.Linear(32, 2))
    binarize(net, sbnn(0.9, gamma=0.8, ramp=0.6, dead_zone=0.01), where=["1"])
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    x = torch.randn(64, 8)
    target = (x[:, 0] > 0).long()
    for step in range(200):
        set_progress(net, step / 200)
        loss = nn.functional.cross_entropy(net(x), target)
        optimizer.zero_grad()
        (loss + penalty(net, loss)).backward()
        optimizer.step()
        after_step(net)
    layer = net[1]
    assert layer.weight_binarizer.penalty_term.share([layer.weight]) <= 0.1 + 0.01
    assert loss.item() < 0.4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": 1.0}, "sparsity: expected a share from 0 to less than 1"),
        ({"sparsity": 95}, "sparsity: .* found 95"),
        ({"gamma": 1.0}, "gamma: expected"),
        ({"ramp": 1.5}, "ramp: expected a share of training"),
        ({"dead_zone": -0.1}, "dead_zone: expected a share"),
        ({"estimator": "mnist"}, "estimator: expected one of cifar10, cifar100, imagenet"),
        ({"levels": "fixed"}, "levels: expected 'learned'"),
        ({"levels": "closed_form", "fit": True}, "fit: only learned levels"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sbnn(**arguments)


def test_a_ramp_tightens_the_budget() -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 2, 3))
    binarize(net, sbnn(0.9, gamma=0.1, ramp=0.5), where=["1"])
    budget = net[1].weight_binarizer.budget
    assert budget.allowed == pytest.approx(0.1)
    allowed = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        set_progress(net, progress)
        allowed.append(budget.allowed)
    assert allowed == pytest.approx([0.5, 0.1 + 0.4 / 8, 0.1, 0.1])
    with torch.no_grad():
        net[1].weight.fill_(-1.0)
        net[1].weight[:2] = 1.0  # half of the weights are high
    assert penalty(net) > 0
    set_progress(net, 0.0)
    assert penalty(net) == 0
