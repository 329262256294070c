"""SD-BNN: what the two shifts can and cannot do."""

import pytest
import torch
from torch import nn

from bitwright.core.binarizers import ErrorDecay, Sign
from bitwright.core.estimators import approx_sign, identity, ste
from bitwright.methods import sd_bnn
from bitwright.methods.sd_bnn import DynamicShift, ShiftedWeight
from bitwright.nn.convert import binarize

CONV = nn.Conv2d(32, 8, 3)


def test_the_dynamic_shift_only_adds_ones() -> None:
    x = torch.randn(4, 32, 5, 5)
    shifted = DynamicShift(CONV, Sign())(x)
    assert (shifted >= Sign()(x)).all()
    assert (shifted[x < -1] == -1).all()


@pytest.mark.parametrize("name", ["reduce", "expand"])
def test_without_weights_the_threshold_is_minus_one_half(name: str) -> None:
    binarizer = DynamicShift(CONV, Sign())
    nn.init.zeros_(binarizer.get_parameter(name))
    x = torch.randn(4, 32, 5, 5)
    assert torch.equal(binarizer(x) == 1, x >= -0.5)


def test_the_dynamic_shift_sees_channel_means_only() -> None:
    x = torch.randint(-64, 64, (4, 32, 5, 5)) / 64  # whose means are exact in any order
    order = torch.randperm(25)
    binarizer = DynamicShift(CONV, Sign())
    permuted = binarizer(x.flatten(2)[:, :, order].unflatten(2, (5, 5)))
    assert torch.equal(permuted, binarizer(x).flatten(2)[:, :, order].unflatten(2, (5, 5)))


def test_samples_are_shifted_on_their_own() -> None:
    binarizer = DynamicShift(CONV, Sign())
    x = torch.randn(4, 32, 5, 5)
    assert torch.equal(binarizer(x)[2], binarizer(x[2]))


def test_the_gradient_takes_both_paths() -> None:
    binarizer = DynamicShift(nn.Linear(6, 2), Sign(identity), reduction=2).double()
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    up = torch.randn(3, 6, dtype=torch.float64)
    parameters = [x, binarizer.reduce, binarizer.expand]
    found = torch.autograd.grad(binarizer(x), parameters, up)
    beta = ((x @ binarizer.reduce.T).clamp(min=0) @ binarizer.expand.T).sigmoid()
    for one, other in zip(found, torch.autograd.grad(x + beta, parameters, up), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("channels", "hidden"), [(4, 1), (16, 1), (40, 2)])
def test_narrow_layers_keep_a_hidden_unit(channels: int, hidden: int) -> None:
    binarizer = sd_bnn().activation(nn.Conv2d(channels, 4, 1))
    assert binarizer.reduce.shape == (hidden, channels) and binarizer.expand.shape == (channels, hidden)
    assert sd_bnn(reduction=1).activation(nn.Conv2d(channels, 4, 1)).reduce.shape == (channels, channels)


def test_the_weight_shift_is_a_share_of_a_hundredth_of_the_mean() -> None:
    w = torch.full((3, 4), 100.0)
    w[:, 0] = torch.tensor([-0.2, -0.5, -0.9])
    binarizer = ShiftedWeight(3, Sign())
    for alpha, signs in ((0.0, [1, -1, -1]), (50.0, [1, 1, -1]), (-50.0, [-1, -1, -1])):
        binarizer.alpha.data.fill_(alpha)
        assert binarizer(w)[:, 0].tolist() == signs  # shifts of 0.374, 0.748 and 0


def test_filters_of_mean_zero_are_not_shifted() -> None:
    w = torch.randint(-64, 64, (3, 8)) / 64
    w = torch.cat([w, -w], 1).requires_grad_()
    binarizer = ShiftedWeight(3, Sign())
    binarizer.alpha.data.fill_(2.0)
    out = binarizer(w)
    assert torch.equal(out > 0, w >= 0)
    out.backward(torch.randn(3, 16))
    assert binarizer.alpha.grad is not None and not binarizer.alpha.grad.any()


def test_gradients_of_the_weight_shift() -> None:
    w = torch.rand(3, 4, 2, 2, requires_grad=True)
    binarizer, up = ShiftedWeight(3, Sign(identity)), torch.randn(3, 4, 2, 2)
    binarizer(w).backward(up)
    assert torch.equal(w.grad, up)  # nothing through the mean
    expected = 0.25 * 0.01 * w.detach().mean((1, 2, 3)) * up.sum((1, 2, 3))
    torch.testing.assert_close(binarizer.alpha.grad, expected)


def test_outputs_are_integers_of_the_parity_of_the_taps() -> None:
    layer = binarize(nn.Conv2d(5, 4, 3, bias=False), sd_bnn(), where=[""]).eval()
    y = layer(torch.randn(2, 5, 6, 6))
    assert torch.equal(y % 2, torch.ones_like(y)) and y.abs().max() <= 45


def test_the_published_set_ups() -> None:
    cifar, imagenet = sd_bnn(t_min=0.1), sd_bnn("imagenet")
    for part in (cifar.weight(CONV).sign, cifar.activation(CONV).sign):
        assert isinstance(part, ErrorDecay) and part.t == pytest.approx(0.1)
    assert imagenet.weight(CONV).sign.estimator is ste
    assert imagenet.activation(CONV).sign.estimator is approx_sign
    assert len(cifar.activation(CONV).reduce) == 2 and len(imagenet.activation(CONV).reduce) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"setup": "mnist"}, "setup: expected one of cifar10, imagenet, found 'mnist'"),
        ({"reduction": 0}, "reduction: expected 1 or more, found 0"),
        ({"t_min": 0}, "t_min: expected more than 0 and at most 10"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sd_bnn(**arguments)
