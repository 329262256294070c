"""Samples of a packed network: each is the network exported with these weights, bit for bit."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import bitwright as bw
from bitwright.errors import BitwrightError, FormatError, LoweringError
from bitwright.format.posterior import read_posterior, to_text
from bitwright.format.reader import read
from bitwright.format.writer import write
from bitwright.nn.bayesian import Divergence, make_bayesian
from bitwright.uncertainty import Ensemble, load, predict, summarize
from bitwright.uncertainty import ensemble as module

PIXELS = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


def network(groups: int = 1, bias: bool = False) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, groups=groups, bias=bias), nn.BatchNorm2d(6), nn.Hardtanh(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardtanh(),
        nn.Conv2d(8, 8, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 4),
    )  # fmt: skip


def bayesian(net: nn.Module, share: float = 0.3) -> nn.Module:
    """Binary inside, with statistics that differ by channel."""
    bw.binarize(net, bw.methods.bi_real_net())
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(16, 3, 8, 8))
    return bw.methods.stf_bnn(net, images=100, deviation=share)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return bayesian(network())


@pytest.fixture(scope="module")
def path(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "net.bw"
    bw.export(net, path, torch.from_numpy(images(4)), pixels=PIXELS, labels=list("abcd"))
    return path


def test_the_file_holds_means_and_deviations(net, path):
    posterior = read_posterior(read(path))
    assert posterior is not None and posterior.op.name == "0"
    assert np.array_equal(posterior.op.weight, net[0].weight.detach().numpy())
    assert np.array_equal(posterior.deviation, net[0].deviation.detach().numpy())


def test_without_samples_it_is_the_deterministic_network(net, path, tmp_path):
    plain = copy.deepcopy(net)
    plain[0].__class__ = nn.Conv2d
    bw.export(plain, tmp_path / "plain.bw", torch.from_numpy(images(4)), pixels=PIXELS, labels=list("abcd"))
    assert np.array_equal(bw.load(path)(images(9)), bw.load(tmp_path / "plain.bw")(images(9)))


def with_weights(graph, weights):
    """A graph whose first layer has other weights."""
    (first,) = (op for op in graph.ops if op.name == "0")
    return replace(graph, ops=tuple(replace(op, weight=weights) if op is first else op for op in graph.ops))


@pytest.mark.parametrize(("groups", "bias"), [(1, False), (3, True)])
def test_each_sample_is_the_packed_network_with_its_weights(groups, bias, tmp_path):
    net, x = bayesian(network(groups, bias)), images(7)
    bw.export(net, tmp_path / "net.bw", torch.from_numpy(x), pixels=PIXELS)
    found = Ensemble(tmp_path / "net.bw", samples=4, seed=11)
    logits = found.logits(x)
    assert logits.shape == (4, 7, 4) and logits.dtype == np.float32
    for weights, expected in zip(found.weights, logits, strict=True):
        write(with_weights(read(tmp_path / "net.bw"), weights), tmp_path / "sample.bw")
        assert np.array_equal(bw.load(tmp_path / "sample.bw")(x), expected)
    assert not np.array_equal(logits[0], logits[1])
    assert np.array_equal(Ensemble(tmp_path / "net.bw", samples=4, seed=11, engine="numpy").logits(x), logits)


def test_a_sample_is_the_network_exported_with_its_weights(net, path, tmp_path):
    twin, found, x = copy.deepcopy(net), load(path, samples=2), images(7)
    with torch.no_grad():
        twin[0].weight.copy_(torch.from_numpy(found.weights[1]))
    bw.export(twin, tmp_path / "sample.bw", torch.from_numpy(x), pixels=PIXELS)
    assert np.array_equal(bw.load(tmp_path / "sample.bw")(x), found.logits(x)[1])


def test_a_linear_first_layer_on_real_inputs(tmp_path):
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.Linear(12, 3))
    bw.methods.stf_bnn(bw.binarize(net, bw.methods.bi_real_net()), images=10, deviation=0.5)
    x = torch.randn(5, 6)
    bw.export(net, tmp_path / "net.bw", x)
    found = load(tmp_path / "net.bw", samples=4)
    with torch.no_grad():
        net[0].weight.copy_(torch.from_numpy(found.weights[2]))
        expected = net.eval()(x)
    torch.testing.assert_close(torch.from_numpy(found.logits(x.numpy())[2]), expected, rtol=1e-5, atol=1e-5)


def test_a_seed_gives_the_same_samples_and_the_first_of_many_are_those_of_few(path):
    x = images(4)
    few, many = load(path, samples=3, seed=1).logits(x), load(path, samples=8, seed=1).logits(x)
    assert np.array_equal(few, load(path, samples=3, seed=1).logits(x))
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(few, load(path, samples=3, seed=2).logits(x))
    one = predict(path, x, samples=3, seed=1)
    assert np.array_equal(one.mean, summarize(few).mean)


@pytest.mark.parametrize("room", [1, 6 * 64 * 2, 6 * 64 * 7])
def test_how_the_work_is_cut_up_changes_nothing(path, monkeypatch, room):
    whole = load(path, samples=5).logits(images(7))
    monkeypatch.setattr(module, "ROOM", room)
    assert np.array_equal(load(path, samples=5, threads=2).logits(images(7)), whole)


def test_draws_have_the_posterior_as_their_distribution(path):
    posterior = read_posterior(read(path))
    weights = load(path, samples=3000).weights
    z = (weights - posterior.op.weight) / posterior.deviation
    assert np.abs(z.mean(0)).max() < 5 / np.sqrt(3000)
    assert np.abs(z.var(0) - 1).max() < 5 * np.sqrt(2 / 3000)


def test_without_deviation_all_samples_are_the_packed_network(net, path, tmp_path):
    still = copy.deepcopy(net)
    with torch.no_grad():
        still[0].rho.fill_(-300)
    bw.export(still, tmp_path / "still.bw", torch.from_numpy(images(4)), pixels=PIXELS)
    logits = bw.load(path)(images(9))
    found = load(tmp_path / "still.bw", samples=7)
    assert all(np.array_equal(sample, logits) for sample in found.logits(images(9)))
    prediction, alone = found(images(9)), summarize(logits)
    for name in ("mean", "entropy", "expected_entropy"):
        assert np.array_equal(getattr(prediction, name), getattr(alone, name))
    assert (prediction.mutual_information == 0).all()


def test_another_layer_may_be_bayesian(tmp_path):
    net = bw.binarize(network(), bw.methods.bi_real_net(), where=["6"])
    net(torch.randn(16, 3, 8, 8))
    bw.methods.stf_bnn(net, images=100, layer="3", deviation=0.4)
    x = torch.from_numpy(images(4))
    bw.export(net, tmp_path / "net.bw", x, pixels=PIXELS)
    assert read_posterior(read(tmp_path / "net.bw")).op.name == "3"
    found = load(tmp_path / "net.bw", samples=2).logits(x.numpy())
    assert found.shape == (2, 4, 4) and not np.array_equal(found[0], found[1])


class Around(nn.Module):
    """A shortcut that passes by the Bayesian layer."""

    def __init__(self):
        super().__init__()
        self.first, self.inner = make_bayesian(nn.Conv2d(3, 3, 1), Divergence(9)), nn.Conv2d(3, 3, 1)
        self.last = nn.Linear(3, 2)

    def forward(self, x):
        y = x + self.inner(self.first(x))
        return self.last(y.mean((2, 3)))


def test_what_passes_by_the_layer_is_named(tmp_path):
    net = bw.binarize(Around(), bw.methods.bi_real_net(), where=["inner"])
    bw.export(net, tmp_path / "net.bw", torch.randn(2, 3, 4, 4))
    with pytest.raises(BitwrightError, match=r"first: expected a Bayesian layer .* nothing passes by; found add"):
        load(tmp_path / "net.bw")


def test_a_file_without_a_posterior_says_how_to_make_one(path, tmp_path):
    graph = read(path)
    del graph.meta["posterior"]
    write(graph, tmp_path / "net.bw")
    with pytest.raises(BitwrightError, match=r"holds no posterior .* bw.methods.stf_bnn"):
        load(tmp_path / "net.bw")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (to_text("nowhere", np.zeros(3, np.float32)), "'nowhere', which is nothing"),
        (to_text("normalize", np.zeros(3, np.float32)), "'normalize', which is Affine"),
        ("0\n###", "in base 64, found other text"),
        ("0", "expected 648 bytes for 0, found 0"),
        (to_text("0", np.zeros(161, np.float32)), "expected 648 bytes for 0, found 644"),
        (to_text("0", np.full(162, -1e-3, np.float32)), "deviations of 0 or more"),
        (to_text("0", np.full(162, np.nan, np.float32)), "expected finite deviations"),
    ],
)
def test_a_posterior_that_does_not_fit_is_refused(path, tmp_path, text, message):
    graph = read(path)
    graph.meta["posterior"] = text
    write(graph, tmp_path / "net.bw")
    with pytest.raises(FormatError, match=message):
        load(tmp_path / "net.bw")


def test_settings_and_inputs_out_of_range_are_refused(path):
    with pytest.raises(ValueError, match="samples: expected 1 or more, found 0"):
        load(path, samples=0)
    with pytest.raises(ValueError, match="expected 1 image or more, found none"):
        load(path, samples=1).logits(images(0))
    with pytest.raises(TypeError, match="expected uint8"):
        load(path, samples=1).logits(images(1).astype(np.float32))


def test_an_export_that_would_round_the_means_is_refused(net, tmp_path):
    with pytest.raises(LoweringError, match="rounds weights that are random"):
        bw.export(net, tmp_path / "net.bw", torch.from_numpy(images(2)), pixels=PIXELS, first_layer="int16")
    assert not list(tmp_path.iterdir())
