from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trained import Net, outputs, train

import bitwright as bw
from bitwright.format.reader import read
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.lower import compare as comparing
from bitwright.lower import export, lower, pipeline
from bitwright.nn.quantize import Quantize

REAL_INPUTS = {"binary_connect"}  # whose layers are real ones to a graph
METHODS = {name: getattr(bw.methods, name) for name in bw.methods.__all__ if name not in REAL_INPUTS}
REAL_BETWEEN = {"dgrl", "elastic_link", "rbnn", "real_to_binary", "sd_bnn"}  # with real values between the signs
INTEGERS = ["xnor_net", "bi_real_net"]  # whose layers depend on one integer


def chain() -> nn.Module:
    """Odd channels, depthwise, strides 2 and 3, dilation, kernels 1, 2, 3 and 5, pools on both sides of norms."""

    def forward(m, x):
        x = m.bn1(m.conv1(x))
        x = m.prelu(m.bn2(m.conv2(x)))
        x = m.bn3(F.max_pool2d(m.conv3(x), 2))
        x = F.max_pool2d(F.hardtanh(m.bn4(m.conv4(x))), (2, 1), padding=(1, 0))
        x = m.bn5(m.conv5(x) * 0.5 - 0.1).flatten(1)
        x = F.leaky_relu(m.bn6(x), 0.1)
        return m.head(m.bn7(m.hidden(x)))

    return Net(
        forward,
        conv1=nn.Conv2d(3, 5, 3),
        bn1=nn.BatchNorm2d(5),
        conv2=nn.Conv2d(5, 7, 5, padding=2, bias=True),
        bn2=nn.BatchNorm2d(7),
        prelu=nn.PReLU(7, init=0.2),
        conv3=nn.Conv2d(7, 14, 3, groups=7, padding=2, dilation=2),
        bn3=nn.BatchNorm2d(14),
        conv4=nn.Conv2d(14, 13, 1, bias=False),
        bn4=nn.BatchNorm2d(13),
        conv5=nn.Conv2d(13, 6, 2, stride=(2, 3), padding=(0, 1)),
        bn5=nn.BatchNorm2d(6),
        bn6=nn.BatchNorm1d(6 * 6),
        hidden=nn.Linear(6 * 6, 11),
        bn7=nn.BatchNorm1d(11),
        head=nn.Linear(11, 4),
    )


def residual() -> nn.Module:
    """Shortcuts with and without a 1x1 convolution, both kinds of pools, a pad of channels and concatenation."""

    def forward(m, x):
        x = m.bn1(m.conv1(x))
        x = m.act(m.bn2(m.conv2(x)) + x)
        y = m.bn3(m.conv3(x))
        y += m.down(F.avg_pool2d(x, 2))
        y = F.relu6(m.bn4(m.conv4(y)).add_(y)) - 1
        z = F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 2, 1)) + m.conv5(y)
        z = torch.cat([z, F.max_pool2d(z, 3, 1, 1)], 1)
        return m.head(m.drop(z).mean((2, 3)))

    return Net(
        forward,
        conv1=nn.Conv2d(2, 6, 3, padding=1),
        bn1=nn.BatchNorm2d(6),
        conv2=nn.Conv2d(6, 6, 3, padding="same", groups=3),
        bn2=nn.BatchNorm2d(6),
        act=nn.PReLU(6),
        conv3=nn.Conv2d(6, 9, 3, 2, padding=1),
        bn3=nn.BatchNorm2d(9),
        down=nn.Sequential(nn.Conv2d(6, 9, 1), nn.BatchNorm2d(9)),
        conv4=nn.Conv2d(9, 9, 3, padding=1),
        bn4=nn.BatchNorm2d(9),
        conv5=nn.Conv2d(9, 12, 1, 2),
        drop=nn.Dropout(),
        head=nn.Linear(24, 5),
    )


def change(monkeypatch, kind, changed):
    """Let the file hold other ops of one kind than the network has."""
    writing = pipeline.writing

    def tampered(graph, path):
        new = tuple(changed(op) if isinstance(op, kind) else op for op in graph.ops)
        return writing(replace(graph, ops=new), path)

    monkeypatch.setattr(pipeline, "writing", tampered)


@pytest.mark.parametrize("method", METHODS)
def test_chain_equals_torch_in_every_accumulator_and_bit(method, tmp_path):
    x = torch.randn(6, 3, 21, 19)
    net = train(bw.binarize(chain(), METHODS[method]()), x)
    report = export(net, tmp_path / "net.bw", torch.randn(11, 3, 21, 19))
    assert report.differing == 0
    assert report.bits > 5000
    assert report.comparison.accumulators > 5000
    assert report.comparison.labels_differing == 0
    assert report.comparison.logits_relative < 1e-5
    first, *inner = report.comparison.signs
    assert not first.exact  # behind a real convolution
    assert all(sign.exact for sign in inner) == (method not in REAL_BETWEEN)


@pytest.mark.parametrize("method", INTEGERS)
def test_chain_has_only_integers_between_signs(method):
    x = torch.randn(6, 3, 21, 19)
    graph = lower(train(bw.binarize(chain(), METHODS[method]()), x), x)
    real = {type(op).__name__: op.name for op in graph.ops if type(op) is not ops.Binarize}
    assert [op.name for op in graph.ops if isinstance(op, ops.Binarize)] == ["conv2.input_binarizer"]
    assert sum(isinstance(op, ops.Threshold) for op in graph.ops) == 4
    assert not {"LevelSum", "PReLU", "Clamp", "Add", "AvgPool", "Mean"} & real.keys()


@pytest.mark.parametrize("method", METHODS)
def test_residual_network_agrees(method, tmp_path):
    x = torch.randn(6, 2, 16, 12)
    net = bw.binarize(residual(), METHODS[method](), where=["conv2", "conv3", "conv4", "conv5"])
    report = export(train(net, x), tmp_path / "net.bw", torch.randn(9, 2, 16, 12))
    assert report.differing <= report.bits / 1000
    assert report.comparison.logits_relative < 1e-4
    assert any("add" in reason or "sub" in reason for reason in report.real.values())  # RBNN takes the mean off a sum


@pytest.mark.parametrize("shortcut", [True, False])
def test_a_sign_behind_a_pool_that_others_read_too_compares_fewer_values(shortcut):
    """With a shortcut the pooled values are real anyway; without one, pooling bits is cheaper."""

    def forward(m, x):
        x = F.max_pool2d(m.norm(m.first(x)), 3, 2, 1)
        y = m.second(x)
        return m.head((y + x if shortcut else y).mean((2, 3)))

    net = Net(
        forward,
        first=nn.Conv2d(2, 6, 3),
        norm=nn.BatchNorm2d(6),
        second=nn.Conv2d(6, 6, 3, padding=1),
        head=nn.Linear(6, 3),
    )
    x = torch.randn(4, 2, 15, 15)
    net = bw.binarize(net, bw.methods.xnor_net(), where=["second"])
    with torch.no_grad():
        net(x)  # so that batch norm has seen something
    graph = lower(net.eval(), x)
    (sign,) = (op for op in graph.ops if isinstance(op, ops.Binarize))
    (pool,) = (op for op in graph.ops if isinstance(op, ops.MaxPool))
    assert sign.inputs[0] == (pool.name if shortcut else "first")
    assert pool.inputs[0] != sign.name if shortcut else pool.inputs[0] == sign.name
    expected, found = outputs(net, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_vectors(method, tmp_path):
    layers = [nn.Linear(7, 12), nn.BatchNorm1d(12), nn.Hardtanh(), nn.Linear(12, 9), nn.BatchNorm1d(9), nn.Linear(9, 3)]
    net = bw.binarize(nn.Sequential(*layers, nn.BatchNorm1d(3), nn.Linear(3, 3)), METHODS[method]())
    x = torch.randn(8, 7)
    report = export(train(net, x), tmp_path / "net.bw", x)
    assert report.differing == 0
    assert report.bits == 8 * 21


FLATTENED = {
    1: lambda y: y.mean((2, 3)),
    2: lambda y: y.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1),
    8: lambda y: y.flatten(2).mean(2),
    9: lambda y: F.adaptive_avg_pool2d(y, 1).view(y.size(0), -1),
}


@pytest.mark.parametrize("batch", FLATTENED)
def test_any_batch_and_any_way_to_flatten(batch):
    net = Net(
        lambda m, x: m.head(FLATTENED[batch](m.second(m.first(x)))),
        first=nn.Conv2d(2, 4, 3),
        second=nn.Conv2d(4, 4, 3),
        head=nn.Linear(4, 3),
    )
    expected, found = outputs(bw.binarize(net, bw.methods.xnor_net()), torch.randn(batch, 2, 7, 7))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_squeeze_of_one_sample():
    net = Net(lambda m, x: m.head(m.conv(x).mean((2, 3)).squeeze()), conv=nn.Conv2d(2, 4, 3), head=nn.Linear(4, 3))
    expected, found = outputs(net, torch.randn(1, 2, 7, 7))
    np.testing.assert_allclose(found, expected[None], rtol=1e-5, atol=1e-6)


def test_step_activations_give_bits():
    net = nn.Sequential(
        *[nn.Conv2d(3, 6, 3) for _ in range(1)], nn.BatchNorm2d(6), nn.Conv2d(6, 5, 3), nn.Conv2d(5, 4, 3)
    )
    net = bw.binarize(net, bw.methods.xnor_net(), where=["2", "3"])
    for name in ("2", "3"):
        net.get_submodule(name).input_binarizer = Net(lambda m, x: bw.core.estimators.step(x - 0.25))
    x = torch.randn(3, 3, 9, 9)
    graph = lower(net, x)
    assert {op.kind for op in graph.ops if isinstance(op, ops.Threshold | ops.Binarize)} == {ops.Kind.BIT}
    expected, found = outputs(net, x)
    np.testing.assert_array_equal(found, expected)


def test_sign_read_by_a_real_layer_is_decoded():
    net = Net(lambda m, x: m.conv(bw.core.estimators.sign(x)), conv=nn.Conv2d(3, 4, 3))
    x = torch.randn(2, 3, 5, 5)
    assert [type(op).__name__ for op in lower(net, x).ops] == ["Binarize", "Decode", "Conv"]
    expected, found = outputs(net, x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_layer_used_twice_and_many_parts_joined():
    net = Net(lambda m, x: torch.cat([m.b(m.b(m.a(x)))] * 6, 1), a=nn.Conv2d(2, 4, 3), b=nn.Conv2d(4, 4, 3, padding=1))
    expected, found = outputs(bw.binarize(net, bw.methods.bi_real_net(), where=["b"]), torch.randn(2, 2, 6, 6))
    np.testing.assert_array_equal(found, expected)
    names = [op.name for op in lower(net, torch.randn(2, 2, 6, 6)).ops]
    assert names == ["a", "b.input_binarizer", "b", "b.input_binarizer@2", "b@2", "b.scale@2", "cat", "cat@2"]


def test_tail_that_is_not_monotone_stays_real():
    net = Net(
        lambda m, x: m.last(m.act(m.norm(m.inner(m.first(x))))),
        first=nn.Conv2d(2, 4, 3),
        inner=nn.Conv2d(4, 6, 3),
        norm=nn.BatchNorm2d(6),
        act=nn.PReLU(6, init=-0.5),
        last=nn.Conv2d(6, 3, 3),
    )
    bw.binarize(net, bw.methods.bi_real_net(), where=["inner", "last"])
    net.last.input_binarizer = Net(lambda m, x: bw.core.estimators.sign(x - 0.2))
    x = torch.randn(3, 2, 9, 9)
    graph = lower(net, x)
    (binarize,) = [op for op in graph.ops if isinstance(op, ops.Binarize) and op.name.startswith("last")]
    assert "not monotone in channel" in binarize.note
    assert any(isinstance(op, ops.PReLU) for op in graph.ops)
    expected, found = outputs(net, x)
    np.testing.assert_array_equal(found, expected)


def test_pixels_and_labels(tmp_path):
    net = bw.binarize(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2)), bw.methods.sbnn()
    )
    pixels = ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    example = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    report = export(net, tmp_path / "net.bw", example, pixels=pixels, labels=["cat", "dog"])
    graph = read(tmp_path / "net.bw")
    assert graph.input_type.kind == ops.Kind.PIXEL
    assert graph.meta["labels"].split("\n") == ["cat", "dog"]
    assert graph.meta["producer"].startswith("bitwright ")
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in pixels)
    with torch.no_grad():
        expected = net.eval()(((example / 255.0 - mean) / std).float()).numpy()
    np.testing.assert_allclose(interpret(graph, example.numpy()), expected, rtol=1e-3, atol=1e-3)
    assert report.images == 3


def test_report_is_readable(tmp_path):
    net = bw.binarize(nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)]), bw.methods.xnor_net())
    report = export(net, tmp_path / "net.bw", torch.randn(5, 4))
    assert report.bytes == (tmp_path / "net.bw").stat().st_size
    assert "0 of 20 bits differ" in str(report)
    assert "5 samples" in str(report)


def test_network_is_left_as_it_was(tmp_path):
    net = bw.binarize(chain(), bw.methods.sbnn())
    x = torch.randn(2, 3, 21, 19)
    net(x).sum().backward()
    net.bn3.eval()
    seen = []
    net.conv2.register_forward_hook(lambda *_: seen.append(1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    export(net, tmp_path / "net.bw", x)
    assert net.training
    assert not net.bn3.training
    assert gradients
    assert all(torch.equal(dict(net.named_parameters())[name].grad, grad) for name, grad in gradients.items())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    count = len(seen)
    net(x)
    assert len(seen) == count + 1


def test_nothing_is_written_when_the_comparison_fails(tmp_path, monkeypatch):
    path = tmp_path / "net.bw"
    net = bw.binarize(nn.Sequential(*[nn.Linear(6, 6) for _ in range(4)]), bw.methods.xnor_net())
    export(net, path, torch.randn(4, 6))
    old = path.read_bytes()
    change(monkeypatch, ops.Threshold, lambda op: replace(op, threshold=op.threshold + 2))
    with pytest.raises(bw.LoweringError, match=r"2\.input_binarizer: \d+ of 24 bits differ"):
        export(net, path, torch.randn(4, 6))
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["net.bw"]


@pytest.mark.parametrize("pool", [nn.Identity(), nn.MaxPool2d(2)])
def test_bits_near_their_threshold_are_counted_once(pool, tmp_path, monkeypatch):
    """A threshold one rounding off changes the bits on it; what follows is compared on torch's bits."""
    net = nn.Sequential(nn.Conv2d(6, 6, 1), pool, *[nn.Conv2d(6, 6, 1) for _ in range(3)])
    bw.binarize(net, bw.methods.xnor_net())
    x = torch.randn(40, 6, 4, 4)
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(6).view(6, 6, 1, 1))
        net[0].bias.zero_()
    x[:5, 2, :2, :2] = 0.0
    change(monkeypatch, ops.Binarize, lambda op: replace(op, threshold=op.threshold + np.float32(1e-6)))
    report = export(net, tmp_path / "net.bw", x)
    count = 5 if isinstance(pool, nn.MaxPool2d) else 20
    assert [sign.differing for sign in report.comparison.signs] == [count, 0]
    assert 0 < report.comparison.signs[0].distance < comparing.NEAR
    assert f"{count} of" in str(report)


def test_bits_far_from_their_threshold_are_an_error(tmp_path, monkeypatch):
    net = bw.binarize(nn.Sequential(*[nn.Linear(6, 6) for _ in range(3)]), bw.methods.xnor_net())
    change(monkeypatch, ops.Binarize, lambda op: replace(op, threshold=op.threshold + np.float32(0.5)))
    with pytest.raises(bw.LoweringError, match=r"1\.input_binarizer: .* none farther than 0.0001"):
        export(net, tmp_path / "net.bw", torch.randn(50, 6))


def test_an_accumulator_that_differs_is_an_error(tmp_path, monkeypatch):
    net = bw.binarize(nn.Sequential(*[nn.Linear(6, 6) for _ in range(3)]), bw.methods.xnor_net())
    change(monkeypatch, ops.BinaryLinear, lambda op: replace(op, weight=~op.weight))
    with pytest.raises(bw.LoweringError, match=r"1: \d+ of 48 outputs of this binary layer differ"):
        export(net, tmp_path / "net.bw", torch.randn(10, 6))


def test_an_output_that_differs_is_an_error(tmp_path, monkeypatch):
    net = bw.binarize(nn.Sequential(*[nn.Linear(6, 6) for _ in range(3)]), bw.methods.xnor_net())
    change(monkeypatch, ops.Linear, lambda op: replace(op, bias=op.bias + np.float32(0.01)) if op.name == "2" else op)
    with pytest.raises(bw.LoweringError, match=r"output differs from torch's by 0\.0"):
        export(net, tmp_path / "net.bw", torch.randn(10, 6))


def levels_of_four_bits():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3), Quantize(4), nn.Conv2d(16, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(1568, 4)
    )
    bw.binarize(net, bw.methods.bi_real_net(), where=["2"])
    return train(net, torch.randn(8, 3, 18, 18)), torch.randn(64, 3, 18, 18)


def test_a_level_that_rounding_moves_is_counted_once(monkeypatch, tmp_path):
    net, x = levels_of_four_bits()
    change(monkeypatch, ops.Conv, lambda op: replace(op, bias=op.bias + np.float32(3e-6)))
    report = export(net, tmp_path / "net.bw", x)
    moved = [sign for sign in report.comparison.signs if sign.differing]
    assert 0 < moved[0].differing < 100
    assert moved[0].distance < comparing.NEAR


def test_a_level_far_from_its_threshold_is_refused(monkeypatch, tmp_path):
    net, x = levels_of_four_bits()
    change(monkeypatch, ops.Conv, lambda op: replace(op, bias=op.bias + np.float32(0.05)))
    with pytest.raises(bw.LoweringError, match=r"bits differ from torch.s, expected none farther than 0\.0001"):
        export(net, tmp_path / "net.bw", x)
