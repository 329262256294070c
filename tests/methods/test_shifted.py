"""Shifted thresholds: equivalence to the base and to a batch norm's bias, both windows, learned shifts, export."""

import pytest
import torch
from torch import Tensor, nn

from bitwright.core.binarizers import LevelPair, Sign
from bitwright.core.estimators import approx_sign, identity, ste
from bitwright.core.method import Method
from bitwright.lower import export
from bitwright.methods import bi_real_net, sbnn, shifted, si_bnn, xnor_net
from bitwright.methods.shifted import ShiftedInput
from bitwright.nn.convert import binarize

LINEAR = nn.Linear(6, 4)


def slopes(binarizer: nn.Module, values: list[float]) -> list[float]:
    x = torch.tensor(values).requires_grad_()
    (gradient,) = torch.autograd.grad(binarizer(x).sum(), x)
    return gradient.tolist()


@pytest.mark.parametrize("base", [bi_real_net(), xnor_net(), sbnn(), si_bnn(0.2)], ids=lambda method: "")
@pytest.mark.parametrize("window", ["moves", "stays"])
def test_no_shift_is_the_base(base: Method, window: str) -> None:
    x = torch.randn(50, 6, requires_grad=True)
    up = torch.randn(50, 6)
    results = []
    for method in (base, shifted(base, 0.0, window=window)):
        y = method.activation(LINEAR)(x)
        results.append((y, *torch.autograd.grad(y, x, up)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert torch.equal(shifted(base).weight(LINEAR)(LINEAR.weight), base.weight(LINEAR)(LINEAR.weight))


def test_the_default_base_is_bi_real_net() -> None:
    x = torch.randn(50, 6, requires_grad=True)
    found, expected = shifted(shift=0.0).activation(LINEAR)(x), bi_real_net().activation(LINEAR)(x)
    up = torch.randn(50, 6)
    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(y, x, up)[0] for y in (found, expected)))
    w = torch.randn(4, 6, requires_grad=True)
    found, expected = shifted().weight(LINEAR)(w), bi_real_net().weight(LINEAR)(w)
    up = torch.randn(4, 6)
    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(y, w, up)[0] for y in (found, expected)))


def test_a_batch_norm_can_take_the_shift_over() -> None:
    x = torch.randn(64, 6, dtype=torch.float64, requires_grad=True)
    up = torch.randn(64, 6, dtype=torch.float64)
    results = []
    for bias, shift in ((0.3, 0.5), (-0.2, 0.0)):
        bn = nn.BatchNorm1d(6, dtype=torch.float64)
        nn.init.constant_(bn.bias, bias)
        y = ShiftedInput(Sign(approx_sign), shift).double()(bn(x))
        results.append((y, *torch.autograd.grad(y, x, up)))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


def test_the_window_moves_with_the_threshold() -> None:
    assert slopes(ShiftedInput(Sign(ste), 0.5), [1.4, -0.6, -0.4]) == [1, 0, 1]
    quadratic = slopes(ShiftedInput(Sign(approx_sign), 0.5), [0.5, 0.0, 1.0, -0.5, 1.5])
    assert quadratic == [2, 1, 1, 0, 0]


def test_the_window_stays() -> None:
    binarizer = ShiftedInput(Sign(ste), 0.5, window="stays")
    assert slopes(binarizer, [1.4, -0.6, -0.4]) == [0, 1, 1]
    x = torch.randn(100)
    assert torch.equal(binarizer(x) > 0, x >= 0.5)


SHARES = {-1.0: 0.841, -0.5: 0.692, -0.25: 0.599, 0.0: 0.5, 0.25: 0.401, 0.5: 0.309, 1.0: 0.159}


@pytest.mark.parametrize(("shift", "share"), SHARES.items())
def test_share_of_plus_one(shift: float, share: float) -> None:
    y = shifted(shift=shift).activation(LINEAR)(torch.randn(30_000, 6))
    assert (y > 0).float().mean().item() == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("window", ["moves", "stays"])
@pytest.mark.parametrize("learned", ["layer", "channel"])
def test_a_learned_shift_takes_the_inputs_gradient_negated(learned: str, window: str) -> None:
    binarizer = shifted(shift=0.3, learned=learned, window=window).activation(nn.Conv2d(4, 2, 3))
    x = torch.randn(3, 4, 5, 5, requires_grad=True)
    y = binarizer(x)
    assert torch.equal(y > 0, x >= 0.3)
    to_x, to_shift = torch.autograd.grad(y, [x, binarizer.shift], torch.randn(3, 4, 5, 5))
    assert to_x.any()
    torch.testing.assert_close(to_shift, -to_x.sum() if learned == "layer" else -to_x.sum((0, 2, 3)))


def test_a_shift_for_each_layer() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 12), nn.Linear(12, 4), nn.Linear(4, 2))
    binarize(net, shifted(shift=lambda layer: 1 / layer.in_features))
    assert [layer.input_binarizer.shift.item() for layer in net[1:3]] == [0.125, pytest.approx(1 / 12)]
    assert "1.input_binarizer.shift" in net.state_dict()


def test_the_base_rescales_by_the_unshifted_input() -> None:
    class InputMean(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return y * x.mean()

    base = Method(weight=lambda layer: Sign(), activation=lambda layer: Sign(), rescale=lambda layer: InputMean())
    layer = binarize(nn.Linear(6, 4, bias=False), shifted(base, 0.5), where=[""])
    x = torch.randn(3, 6)
    expected = torch.where(x >= 0.5, 1.0, -1.0) @ torch.where(layer.weight >= 0, 1.0, -1.0).T * x.mean()
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("learned", [None, "channel"])
@pytest.mark.parametrize("window", ["moves", "stays"])
def test_shifts_fold_exactly(learned: str | None, window: str, tmp_path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(72, 3),
    )  # fmt: skip
    binarize(net, shifted(shift=0.3, learned=learned, window=window), where=["2", "4"])
    net(torch.randn(16, 3, 9, 9))  # statistics
    with torch.no_grad():
        for bn in (net[1], net[3]):
            bn.weight.copy_(torch.randn(len(bn.weight)))
    report = export(net.eval(), tmp_path / "net.bw", torch.randn(8, 3, 9, 9))
    assert report.bits > 0 and report.differing == 0


class Pair(LevelPair):
    def codes(self, x: Tensor) -> Tensor:
        return identity(x)


@pytest.mark.parametrize("inner", [nn.Identity, Pair])
def test_bases_without_a_plain_threshold_are_refused(inner: type[nn.Module]) -> None:
    base = Method(weight=bi_real_net().weight, activation=lambda layer: inner())
    with pytest.raises(ValueError, match=rf"base: expected activations -1/\+1 or 0/1, found {inner.__name__}"):
        shifted(base).activation(LINEAR)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learned": "pixel"}, "learned: expected None, 'layer' or 'channel', found 'pixel'"),
        ({"window": "grows"}, "window: expected 'moves' or 'stays', found 'grows'"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shifted(**arguments)


def test_a_function_for_a_base_is_refused() -> None:
    with pytest.raises(TypeError, match=r"base: expected a Method, such as bw.methods.xnor_net\(\), found function"):
        shifted(xnor_net)  # type: ignore[arg-type]
