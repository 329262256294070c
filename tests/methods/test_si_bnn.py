"""Si-BNN: the window on worked numbers, the rewritten gradient, and what the packed network makes of it."""

import pytest
import torch
from torch import Tensor, nn

from bitwright.core.hooks import after_step
from bitwright.lower import export
from bitwright.methods import si_bnn
from bitwright.methods.si_bnn import ClampedWeight, WindowedStep, rewritten_gradient
from bitwright.nn.convert import binarize


def window(threshold: float = 0.0, scale: float = 1.0, **options: float) -> WindowedStep:
    return WindowedStep(nn.Linear(1, 1), threshold, scale, **options)


def slopes(binarizer: WindowedStep, values: list[float]) -> Tensor:
    x = torch.tensor(values).view(-1, 1).requires_grad_()
    binarizer(x).sum().backward()
    assert x.grad is not None
    return x.grad.flatten()


def test_the_window_of_the_defaults() -> None:
    assert slopes(window(), [-0.31, -0.30, -0.29, 0.0, 0.99, 1.0]).tolist() == [0, 0, 1, 1, 1, 0]


def test_threshold_and_scale_move_the_window_and_learn_from_it() -> None:
    binarizer = window(0.4, 2.0)
    inside = [0.26, 0.4, 0.89]
    assert slopes(binarizer, [0.24, *inside, 0.91]).tolist() == [0, 2, 2, 2, 0]
    assert binarizer.threshold.grad is not None and binarizer.threshold.grad.tolist() == [-6.0]
    assert binarizer.scale.grad is not None
    assert binarizer.scale.grad.item() == pytest.approx(sum(x - 0.4 for x in inside))


def test_rho_is_the_share_of_the_window_below() -> None:
    assert slopes(window(rho=0.0), [-0.01, 0.0, 0.01]).tolist() == [0, 0, 1]
    assert slopes(window(rho=1.0), [-1.0, -0.99, 0.99]).tolist() == [0, 1, 1]


def test_the_scale_has_no_part_in_the_forward_pass_but_its_sign() -> None:
    x = torch.randn(200, 1)
    y = window(0.2)(x)
    assert y.unique().tolist() == [0.0, 1.0] and torch.equal(y == 1, x >= 0.2)
    assert torch.equal(window(0.2, 7.0)(x), y)
    assert torch.equal(window(0.2, -7.0)(x), 1 - y)


@pytest.mark.parametrize(("threshold", "share"), [(0.0, 0.5), (0.5, 0.3085)])
def test_sparsity_of_normal_inputs(threshold: float, share: float) -> None:
    assert window(threshold)(torch.randn(200_000, 1)).mean().item() == pytest.approx(share, abs=0.005)


def test_gradients_are_summed_for_each_channel_or_for_the_layer() -> None:
    x, up = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    layer = nn.Conv2d(4, 2, 3)
    each, one = si_bnn().activation(layer), si_bnn(per_channel=False).activation(layer)
    for binarizer in (each, one):
        binarizer(x).backward(up)
    assert each.threshold.grad.shape == (4,) and one.threshold.grad.shape == ()
    torch.testing.assert_close(each.threshold.grad.sum(), one.threshold.grad)
    torch.testing.assert_close(each.scale.grad.sum(), one.scale.grad)


def test_the_rewritten_gradient_of_the_worked_example() -> None:
    w = torch.tensor([[0.2, -0.2, 0.4, -0.4]], requires_grad=True)
    grad = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert rewritten_gradient(w, grad).tolist() == [[1.0, -0.25, 0.25, -0.25]]
    out = ClampedWeight()(w)
    torch.testing.assert_close(out, torch.tensor([[0.3, -0.3, 0.3, -0.3]]))
    out.backward(grad)
    assert w.grad is not None and w.grad.tolist() == [[1.0, -0.25, 0.25, -0.25]]


def test_weights_beyond_one_count_as_one_and_are_clamped_after_a_step() -> None:
    layer = binarize(nn.Linear(4, 2, bias=False), si_bnn(), where=[""])
    layer.weight.data = torch.tensor([[3.0, -0.5, 0.5, 0.0], [-2.0, -2.0, -2.0, -2.0]])
    assert layer.binarized_weight().tolist() == [[0.5, -0.5, 0.5, 0.5], [-1.0] * 4]
    after_step(layer)
    assert layer.weight.tolist() == [[1.0, -0.5, 0.5, 0.0], [-1.0] * 4]


def test_zero_padding_is_a_legal_code() -> None:
    conv = binarize(nn.Conv2d(5, 4, 3, padding=1, bias=False), si_bnn(), where=[""])
    x = torch.randn(2, 5, 6, 6)
    scale = conv.binarized_weight()[:, 0, 0, 0].abs().view(-1, 1, 1)
    sums = conv.eval()(x) / scale
    active = nn.functional.conv2d((x >= 0).float(), torch.ones(1, 5, 3, 3), padding=1)
    torch.testing.assert_close(sums, sums.round())
    assert (sums.abs() <= active + 1e-3).all()
    assert torch.equal(sums.round() % 2, (active % 2).expand_as(sums))
    torch.testing.assert_close(conv.train()(x), conv.eval()(x))


def test_thresholds_scales_and_batch_norms_of_both_signs_fold_exactly(tmp_path) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(72, 3),
    )  # fmt: skip
    binarize(net, si_bnn(), where=["2", "4"])
    net(torch.randn(16, 3, 9, 9))  # statistics
    with torch.no_grad():
        for layer in (net[1], net[3], net[5]):
            layer.weight.copy_(torch.randn(len(layer.weight)))
            layer.bias.copy_(torch.randn(len(layer.bias)))
        for layer in (net[2], net[4]):
            layer.input_binarizer.threshold.copy_(torch.randn(layer.in_channels) / 2)
            layer.input_binarizer.scale.copy_(torch.randn(layer.in_channels))
    report = export(net.eval(), tmp_path / "net.bw", torch.randn(8, 3, 9, 9))
    assert report.bits > 0 and report.differing == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"rho": 1.5}, "rho: expected a share from 0 to 1, found 1.5"), ({"scale": 0}, "scale: expected more than 0")],
)
def test_bad_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        si_bnn(**arguments)
