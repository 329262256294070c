"""LNS: the corrected loss, the mapping, and what is left of both after training."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bitwright.core.hooks import penalty
from bitwright.core.levels import read_levels
from bitwright.methods import noisy_supervision
from bitwright.methods.noisy_supervision import corrected_loss
from bitwright.nn.convert import binarize

REALS = st.floats(-4, 4)
RATES = st.floats(0, 0.49)


def loss_at(q: float, label: float, rate: float) -> float:
    return corrected_loss(torch.tensor(q, dtype=torch.float64), torch.tensor(label, dtype=torch.float64), rate).item()


@given(REALS, RATES, st.sampled_from([-1.0, 1.0]))
def test_its_mean_over_flipped_labels_is_the_clean_loss(q: float, rate: float, true: float) -> None:
    mean = (1 - rate) * loss_at(q, true, rate) + rate * loss_at(q, -true, rate)
    assert mean == pytest.approx((q - true) ** 2, abs=1e-7)
    assert loss_at(q, true, rate) == loss_at(-q, -true, rate)


def test_published_values() -> None:
    assert loss_at(1, 1, 0.005) == pytest.approx(-0.020202, abs=1e-6)
    assert loss_at(1, -1, 0.005) == pytest.approx(4.020202, abs=1e-6)
    assert loss_at(0, 1, 0.005) == loss_at(0, -1, 0.005) == pytest.approx(1)


@pytest.mark.parametrize(("q", "slope"), [(1.0, -0.020202), (0.0, -2.020202), (-1.0, -4.020202)])
def test_published_gradients(q: float, slope: float) -> None:
    value = torch.tensor(q, requires_grad=True)
    corrected_loss(value, torch.tensor(1.0), 0.005).backward()
    assert value.grad is not None and value.grad.item() == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("rate", [0.005, 0.2])
def test_the_best_prediction_of_one_label_lies_beyond_it(rate: float) -> None:
    best = 1 / (1 - 2 * rate)
    assert loss_at(best, 1, rate) < min(loss_at(best - 0.01, 1, rate), loss_at(best + 0.01, 1, rate))


def layer_of(**options) -> nn.Module:
    return binarize(nn.Conv2d(4, 6, 3), noisy_supervision(**options), where=[""])


@pytest.mark.parametrize(("kernel", "expected"), [(3, 3), (1, 1)])
def test_the_mapping_keeps_the_shape(kernel: int, expected: int) -> None:
    conv = nn.Conv2d(4, 6, kernel)
    binarizer = noisy_supervision().weight(conv)
    shapes = [tuple(m.weight.shape) for m in binarizer.mapping if isinstance(m, nn.Conv2d)]
    assert shapes == [(8, 4, expected, expected), (8, 8, expected, expected), (4, 8, expected, expected)]
    assert binarizer(conv.weight).shape == conv.weight.shape
    assert noisy_supervision().weight(nn.Linear(5, 3))(torch.randn(3, 5)).shape == (3, 5)


def test_filters_may_change_places() -> None:
    binarizer = noisy_supervision(scale="none").weight(nn.Conv2d(4, 6, 3)).eval()
    w, order = torch.randn(6, 4, 3, 3), torch.randperm(6)
    torch.testing.assert_close(binarizer._map(w[order]), binarizer._map(w)[order])


def test_bits_are_the_signs_of_the_mapping_in_both_modes() -> None:
    layer = layer_of()
    trained = layer.binarized_weight()
    q = layer.weight_binarizer._map(layer.weight)
    scale = layer.weight.abs().mean()
    assert torch.equal(trained, torch.where(q >= 0, scale, -scale))
    assert torch.equal(layer.eval().binarized_weight(), trained)
    assert torch.equal(read_levels(trained).bits, q >= 0)
    assert layer_of(scale="none").binarized_weight().unique().tolist() == [-1, 1]


@pytest.mark.parametrize("supervised", ["real", "binary"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_penalty_is_the_loss_of_every_layer(supervised, reduction) -> None:
    options = {"alpha": 0.5, "flip_rate": 0.1, "supervised": supervised, "reduction": reduction}
    net = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 3, 1))
    binarize(net, noisy_supervision(**options), where=["0", "1"])
    expected = 0.0
    for layer in net:
        q = layer.weight_binarizer._map(layer.weight)
        q = torch.where(q >= 0, 1.0, -1.0) if supervised == "binary" else q
        each = corrected_loss(q, torch.where(layer.weight >= 0, 1.0, -1.0), 0.1)
        expected += 0.5 * getattr(each, reduction)().item()
    for forward_first in (False, True):
        if forward_first:
            net(torch.randn(2, 4, 5, 5))
        term = penalty(net)
        assert term.item() == pytest.approx(expected, rel=1e-5)
    term.backward()
    assert all(p.grad is not None and p.grad.any() for n, p in net.named_parameters() if "bias" not in n)


def test_the_mapping_runs_once_a_step() -> None:
    layer = layer_of()
    calls = []
    layer.weight_binarizer.mapping.register_forward_hook(lambda *a: calls.append(1))
    (layer(torch.randn(2, 4, 5, 5)).square().sum() + penalty(layer)).backward()
    assert len(calls) == 1
    layer.weight_binarizer.forward(layer.weight)
    penalty(layer)
    penalty(layer)
    assert len(calls) == 3


def test_a_layer_in_the_middle_of_a_step_can_be_copied() -> None:
    layer = layer_of()
    layer(torch.randn(2, 4, 5, 5))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert penalty(twin).item() == pytest.approx(penalty(layer).item())
        assert twin.weight_binarizer.penalty_term.binarizer is twin.weight_binarizer


def test_gradient_values_are_clipped() -> None:
    binarizer = noisy_supervision(scale="none").weight(nn.Linear(1, 2))
    w = torch.randn(2, 1, requires_grad=True)
    seen = []
    binarizer.mapping.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append(grad_out[0]))
    binarizer(w).backward(torch.tensor([[5.0], [-0.25]]))
    assert seen[0].flatten().tolist() == [1.0, -0.25]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip_rate": 0.5}, r"flip_rate: expected a share from 0 to less than 0\.5"),
        ({"supervised": "both"}, r"supervised: expected 'real' or 'binary', found 'both'"),
        ({"reduction": "max"}, r"reduction: expected 'sum' or 'mean', found 'max'"),
        ({"scale": "filter"}, r"scale: expected 'layer' or 'none', found 'filter'"),
    ],
)
def test_wrong_settings_are_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noisy_supervision(**options)
