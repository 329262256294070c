"""RBNN: what the rotations keep and gain, when they are fitted, and what the gradients see of them."""

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bitwright as bw
from bitwright.core.hooks import after_step, set_progress
from bitwright.core.standardise import standardise
from bitwright.format.reader import read
from bitwright.ir.ops import BinaryConv
from bitwright.lower import export
from bitwright.methods import rbnn
from bitwright.methods.rbnn import TrainingAwareSign, factorise, fit_rotations
from bitwright.nn.convert import binarize

CONV = nn.Conv2d(4, 8, 3)


def orthogonal(size: int) -> Tensor:
    return nn.init.orthogonal_(torch.empty(size, size, dtype=torch.float64))


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Between filters, in radians."""
    return F.cosine_similarity(a.flatten(1), b.flatten(1)).clamp(-1, 1).acos()


def learn(net: nn.Module, steps: range, total: int) -> None:
    """Train on what is drawn for each step alone."""
    for step in steps:
        torch.manual_seed(step)
        set_progress(net, step / total)
        net.zero_grad()
        net(torch.randn(8, 4, 6, 6)).square().mean().backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= 0.1 * parameter.grad  # no momentum to be resumed
        after_step(net)


def test_the_slope_is_that_of_the_table() -> None:
    binarizer = TrainingAwareSign()
    binarizer.t, binarizer.k = 1.0, 1.0
    assert binarizer.slope(torch.tensor([0.0, 0.5, -1.0, 2.0])).tolist() == pytest.approx(
        [1.414, 0.914, 0.414, 0.0], abs=5e-4
    )


@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_the_area_under_the_slope_is_2k(progress: float) -> None:
    binarizer = TrainingAwareSign(0.01, 10.0)
    binarizer.set_progress(progress)
    x = torch.linspace(-2 / binarizer.t, 2 / binarizer.t, 20001, dtype=torch.float64)
    assert torch.trapezoid(binarizer.slope(x), x).item() == pytest.approx(2 * binarizer.k, rel=1e-4)


@pytest.mark.parametrize(("n", "factors"), [(1, (1, 1)), (7, (1, 7)), (36, (6, 6)), (72, (8, 9)), (4608, (64, 72))])
def test_factors_are_the_nearest(n: int, factors: tuple[int, int]) -> None:
    assert factorise(n) == factors


def test_rotations_are_orthogonal_and_the_sum_of_magnitudes_never_falls() -> None:
    x, left, right = torch.randn(12, 4, 5, dtype=torch.float64), orthogonal(4), orthogonal(5)
    sums = []
    for _ in range(4):
        sums.append((left.T @ x @ right).abs().sum())
        left, right = fit_rotations(x, left, right)
        for matrix in (left, right):
            torch.testing.assert_close(matrix.T @ matrix, torch.eye(len(matrix), dtype=torch.float64))
    assert all(after >= before - 1e-9 for before, after in pairwise(sums))
    assert sums[1] > 1.02 * sums[0]


def test_signs_that_were_turned_a_little_are_found_again() -> None:
    signs = torch.randint(0, 2, (30, 4, 6)).double() * 2 - 1
    turn = [torch.linalg.matrix_exp(0.05 * (m - m.T)) for m in (torch.randn(4, 4).double(), torch.randn(6, 6).double())]
    x = turn[0] @ signs @ turn[1].T
    left, right = torch.eye(4, dtype=torch.float64), torch.eye(6, dtype=torch.float64)
    for _ in range(10):
        left, right = fit_rotations(x, left, right)
    torch.testing.assert_close(left.T @ x @ right, signs)


def test_filters_are_nearer_to_their_bits_than_before_their_rotation() -> None:
    binarizer: Any = rbnn().weight(CONV)
    w = torch.randn(40, 4, 3, 3)
    binarizer.after_step(w)
    v = binarizer.standardised(w)
    rotated = binarizer.left.T @ v @ binarizer.right
    assert angle(rotated, rotated.sign()).mean() < angle(v, v.sign()).mean() - 0.01
    torch.testing.assert_close(rotated.flatten(1).norm(dim=1), v.flatten(1).norm(dim=1))


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_the_weight_is_the_formula(mix: float) -> None:
    binarizer: Any = rbnn(mix=mix).weight(CONV)
    w = torch.randn(8, 4, 3, 3)
    v = (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True)
    turned = (v.flatten(1) @ torch.kron(binarizer.left, binarizer.right)).view_as(v)  # one rotation of whole filters
    mixed = (1 - mix) * v + mix * turned
    sure = mixed.abs() > 1e-4
    assert torch.equal(binarizer(w)[sure], mixed.sign()[sure])


@pytest.mark.parametrize("mix", [0.3, 1.0])
@pytest.mark.parametrize("code_compat", [False, True])
def test_gradients_are_those_of_the_formula(mix: float, code_compat: bool) -> None:
    binarizer: Any = rbnn(1e-6, 1e-6, mix=mix, code_compat=code_compat).weight(CONV).double()
    w, g = (torch.randn(8, 4, 3, 3, dtype=torch.float64) for _ in range(2))
    found = torch.autograd.grad(binarizer(w.requires_grad_()), [w, binarizer.angle], g)
    share = binarizer.angle.sin().abs()
    v = standardise(w, 35, 1e-12)[0].view(8, 6, 6)
    turned = binarizer.left.T @ v @ binarizer.right
    v, turned = v.view_as(w), turned.view_as(w)
    mixed = v + share * ((turned.detach() if code_compat else turned) - v)
    slope = 2**0.5  # k * t * sqrt(2), the same everywhere while t is small
    for one, other in zip(found, torch.autograd.grad(mixed, [w, binarizer.angle], slope * g), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_the_published_gradient_vanishes_at_the_first_angle() -> None:
    w = torch.randn(8, 4, 3, 3, requires_grad=True)
    rbnn(code_compat=True).weight(CONV)(w).backward(torch.randn_like(w))
    assert w.grad is not None and not w.grad.any()


def test_rotations_are_fitted_as_often_as_asked_and_in_no_other_step() -> None:
    binarizer: Any = rbnn(updates=20).weight(CONV)
    fitted = []
    for step in range(200):
        binarizer.set_progress(step / 200)
        before = binarizer.left.clone()
        binarizer.after_step(torch.randn(8, 4, 3, 3))
        fitted += [] if torch.equal(binarizer.left, before) else [step]
    assert fitted == list(range(0, 200, 10))


def test_one_progress_an_epoch_fits_once_an_epoch() -> None:
    binarizer: Any = rbnn(updates=100).weight(CONV)
    parts = []
    for epoch in range(100):
        binarizer.set_progress(epoch / 100)
        parts.append(binarizer.part)
    assert parts == list(range(100))


def test_the_rotations_stay_between_updates_and_in_eval_mode() -> None:
    layer: Any = binarize(nn.Conv2d(4, 8, 3), rbnn(updates=2), where=[""])
    learn(layer, range(1), 8)
    state = {name: value.clone() for name, value in layer.weight_binarizer.named_buffers()}
    layer.eval()(torch.randn(2, 4, 5, 5))
    learn(layer.train(), range(1, 4), 8)
    for name, value in layer.weight_binarizer.named_buffers():
        assert torch.equal(value, state[name])
    learn(layer, range(4, 5), 8)
    assert not torch.equal(layer.weight_binarizer.left, state["left"])


def test_a_resumed_training_is_the_same() -> None:
    whole = binarize(nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 6, 3)), rbnn(updates=3), where=["0", "1"])
    first = copy.deepcopy(whole)
    learn(whole, range(12), 12)
    learn(first, range(6), 12)  # stops within a part
    second = binarize(nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 6, 3)), rbnn(updates=3), where=["0", "1"])
    second.load_state_dict(first.state_dict())
    learn(second, range(6, 12), 12)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("mode", [True, False])
def test_an_activation_is_compared_with_the_mean_of_its_sample(mode: bool) -> None:
    binarizer = rbnn().activation(CONV).train(mode)
    x = torch.randint(-64, 64, (3, 4, 4, 4)) / 64  # whose means are exact
    out = binarizer(x)
    assert torch.equal(out > 0, x >= x.mean((1, 2, 3), keepdim=True))
    assert torch.equal(binarizer(4 * x + torch.tensor([-2.0, 8, 0.5]).view(3, 1, 1, 1)), out)
    assert torch.equal(binarizer(x[1]), out[1])
    rows = x.flatten(2)[:, 0]
    assert torch.equal(rbnn().activation(nn.Linear(16, 2))(rows) > 0, rows >= rows.mean(1, keepdim=True))


@pytest.mark.parametrize("progress", [0.0, 0.9])
def test_activation_gradients_are_those_of_the_standardised_input(progress: float) -> None:
    binarizer: Any = rbnn().activation(CONV)
    binarizer.set_progress(progress)
    x, g = torch.randn(3, 4, 5, 5).double().requires_grad_(), torch.randn(3, 4, 5, 5).double()
    (found,) = torch.autograd.grad(binarizer(x), x, g)
    v = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
    assert binarizer.k == 1 and binarizer.t == pytest.approx(max(1.0, 0.01 * 1000**progress))
    (expected,) = torch.autograd.grad(v, x, g * binarizer.slope(v.detach()))
    torch.testing.assert_close(found, expected)


def test_equal_values_have_finite_gradients() -> None:
    layer: Any = binarize(nn.Conv2d(4, 3, 1, bias=False), rbnn(), where=[""])
    layer.weight.data[0] = 0.5
    x = torch.ones(2, 4, 3, 3, requires_grad=True)
    layer(x).sum().backward()
    assert layer.input_binarizer(x).eq(1).all()
    assert all(p.grad.isfinite().all() for p in (x, *layer.parameters()))


def test_a_scale_starts_at_the_mean_magnitude_of_its_filter() -> None:
    for layer in (nn.Conv2d(4, 3, 2), nn.Linear(5, 3)):
        expected = layer.weight.detach().flatten(1).abs().mean(1)
        binarize(layer, rbnn(), where=[""])
        assert torch.equal(layer.rescale.alpha.flatten(), expected)


def test_the_file_holds_the_bits_of_the_rotated_weights_alone(tmp_path) -> None:
    layers = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 16, 3))
    binarize(net, rbnn(updates=2), where=["2"])
    for step in range(4):
        set_progress(net, step / 4)
        net.zero_grad()
        net(torch.randn(8, 2, 6, 6)).square().mean().backward()
        after_step(net)
    x = torch.randn(5, 2, 6, 6)
    report = export(net, tmp_path / "net.bw", x)
    assert report.differing == 0 and report.comparison.labels_differing == 0
    (conv,) = (op for op in read(tmp_path / "net.bw").ops if isinstance(op, BinaryConv))
    assert np.array_equal(conv.weight, (net[2].binarized_weight() > 0).numpy())
    found = torch.from_numpy(bw.load(tmp_path / "net.bw")(x.numpy()))
    torch.testing.assert_close(found, net.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"t_min": 0.0}, "t_min, t_max: expected 0 < t_min <= t_max, found 0.0 and 10.0"),
        ({"updates": 0}, "updates: expected 1 or more, found 0"),
        ({"mix": 1.5}, "mix: expected a share from 0 to 1, found 1.5"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rbnn(**arguments)
