"""Sub-bit networks: which pattern a kernel takes, what trains the patterns, and how their set is kept distinct."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bitwright import zoo
from bitwright.core.binarizers import ScaledSign
from bitwright.core.hooks import after_step, penalty
from bitwright.core.levels import read_levels
from bitwright.format.reader import read
from bitwright.lower import export
from bitwright.methods import subbit
from bitwright.methods.subbit import Codebook, SubbitDomain, numbers_of, patterns_of
from bitwright.nn.convert import binarize
from bitwright.report.summary import summarize


def kernels(out: int = 8, inputs: int = 6) -> torch.Tensor:
    return torch.randn(out, inputs, 3, 3)


def test_patterns_and_their_numbers() -> None:
    assert patterns_of(torch.tensor([0, 5, 511])).tolist() == [[-1] * 9, [1, -1, 1] + [-1] * 6, [1] * 9]
    assert torch.equal(numbers_of(patterns_of(torch.arange(512))), torch.arange(512))


@pytest.mark.parametrize("index_bits", range(1, 10))
def test_the_set_starts_with_distinct_patterns(index_bits: int) -> None:
    codebook = Codebook(index_bits)
    assert len(numbers_of(codebook.memory).unique()) == 2**index_bits == len(codebook.patterns)
    assert torch.equal(codebook.patterns.detach(), codebook.memory)


@pytest.mark.parametrize("index_bits", [1, 4, 6])
def test_a_kernel_takes_the_nearest_pattern(index_bits: int) -> None:
    codebook, w = Codebook(index_bits), kernels(16, 12)
    distance = torch.cdist(w.view(-1, 9).double(), codebook.memory.double())
    assert torch.equal(codebook.choose(w).flatten(), distance.argmin(1))
    b = codebook(w)
    assert torch.equal(b.view(-1, 9), codebook.memory[codebook.choose(w)].view(-1, 9))
    assert len(numbers_of(b.view(-1, 9)).unique()) <= 2**index_bits


def test_the_scale_of_the_latent_weight_changes_nothing() -> None:
    codebook, w = Codebook(5), kernels(64, 64)
    assert torch.equal(codebook.choose(w), codebook.choose(w * 2.0**-10))


def test_all_patterns_give_the_signs() -> None:
    w = kernels()
    w[0, 0, 1] = 0.0
    codebook = Codebook(9)
    assert torch.equal(codebook(w), torch.where(w >= 0, 1.0, -1.0))
    torch.testing.assert_close(subbit(9).weight(nn.Conv2d(6, 8, 3))(w), ScaledSign()(w))


def test_the_window_of_the_latent_weight() -> None:
    w = torch.tensor([-1.5, -1.001, -1.0, -0.3, 0.0, 0.3, 1.0, 1.001, 7.0]).view(1, 1, 3, 3).requires_grad_()
    upstream = torch.randn(1, 1, 3, 3)
    Codebook(4)(w).backward(upstream)
    assert torch.equal(w.grad, upstream * (w.detach().abs() <= 1))


def test_patterns_learn_from_the_kernels_that_chose_them_on_every_25th_step() -> None:
    codebook, w = Codebook(4), kernels(4, 3).requires_grad_()
    trained = []
    for step in range(1, 76):
        codebook.patterns.grad = None
        upstream = torch.randn_like(w)
        codebook(w).backward(upstream)
        if codebook.patterns.grad is not None:
            trained.append(step)
            expected = torch.zeros(16, 9).index_add_(0, codebook.choose(w).flatten(), upstream.view(-1, 9))
            torch.testing.assert_close(codebook.patterns.grad, expected)
            unused = torch.ones(16).index_fill_(0, codebook.choose(w).flatten(), 0).bool()
            assert unused.any() and not codebook.patterns.grad[unused].any()
        codebook.after_step(w)
    assert trained == [25, 50, 75]


def test_momentum_does_not_move_the_patterns_between_their_steps() -> None:
    layer = binarize(nn.Conv2d(6, 8, 3), subbit(4), where=[""])
    optimizer = torch.optim.Adam(layer.parameters(), 0.01)
    moved = []
    for step in range(1, 31):
        before = layer.weight_binarizer.signs.patterns.detach().clone()
        optimizer.zero_grad()
        layer(torch.randn(4, 6, 5, 5)).square().mean().backward()
        optimizer.step()
        if not torch.equal(before, layer.weight_binarizer.signs.patterns):
            moved.append(step)
        after_step(layer)
    assert moved == [25]


def test_a_pattern_near_zero_keeps_its_sign() -> None:
    codebook = Codebook(1)
    codebook.memory[0, 0] = 1.0
    for value, sign in ((0.5, 1), (-0.0005, 1), (-0.002, -1), (0.0009, -1), (0.001, 1)):
        codebook.patterns.data[0, 0] = value
        codebook.remember()
        assert codebook.memory[0, 0] == sign


@pytest.mark.parametrize("index_bits", [1, 5, 9])
def test_repair_makes_all_patterns_distinct(index_bits: int) -> None:
    codebook = Codebook(index_bits)
    codebook.patterns.data[1::2] = codebook.patterns.data[::2] * 0.7
    codebook.remember()
    first = codebook.patterns.detach()[::2].clone()
    codebook.repair()
    assert len(numbers_of(codebook.memory).unique()) == 2**index_bits
    assert torch.equal(codebook.patterns[: len(first)].detach(), first)
    assert torch.equal(codebook.patterns.detach().sign(), codebook.memory)


def test_repair_draws_the_same_in_every_process() -> None:
    codebook = Codebook(4)
    codebook.memory[3:] = codebook.memory[:1]
    other = copy.deepcopy(codebook)
    torch.manual_seed(1)
    codebook.repair()
    torch.manual_seed(2)
    other.repair()
    assert torch.equal(codebook.memory, other.memory)
    again = copy.deepcopy(codebook)
    for _ in range(2):
        again.memory[3:] = again.memory[:1]
        again.count_to(again.done + 25)
        again.repair()
        assert not torch.equal(again.memory, other.memory)


def test_repair_only_clips_a_distinct_set() -> None:
    codebook = Codebook(5)
    codebook.patterns.data *= 4 * torch.rand(32, 9)
    before, memory = codebook.patterns.detach().clone(), codebook.memory.clone()
    codebook.repair()
    assert torch.equal(codebook.patterns.detach(), before.clamp(-3, 3)) and before.abs().max() > 3
    assert torch.equal(codebook.memory, memory)


def test_the_sign_that_a_pattern_keeps_follows_it() -> None:
    codebook = Codebook(2)
    codebook.memory.copy_(patterns_of(torch.tensor([3, 3, 7, 9])))
    codebook.patterns.data.copy_(codebook.memory)
    codebook.patterns.data[2, 2] = -0.0001
    codebook.remember()
    codebook.repair()
    codebook.remember()
    assert numbers_of(codebook.memory)[:3].tolist() == [3, 7, 9]


def test_the_step_is_part_of_the_state_and_evaluation_leaves_it() -> None:
    layer = binarize(nn.Conv2d(6, 8, 3), subbit(4), where=[""])
    for _ in range(24):
        layer(torch.randn(2, 6, 5, 5))
        after_step(layer)
    layer.eval()(torch.randn(2, 6, 5, 5))
    assert layer.weight_binarizer.signs.refines
    other = binarize(nn.Conv2d(6, 8, 3), subbit(4), where=[""])
    other.load_state_dict(layer.state_dict())
    assert other.weight_binarizer.signs.refines and copy.deepcopy(layer).weight_binarizer.signs.refines
    after_step(other)
    assert not other.weight_binarizer.signs.refines


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while tracing
def test_compiled_code_serves_all_steps() -> None:
    graphs = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    layer = binarize(nn.Conv2d(6, 8, 3), subbit(4, every=5), where=[""])
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    for step in range(1, 21):
        layer.zero_grad()
        compiled(torch.randn(2, 6, 5, 5)).sum().backward()
        assert (layer.weight_binarizer.signs.patterns.grad is not None) == (step % 5 == 0)
        after_step(layer)
    assert len(graphs) == 2


@pytest.mark.parametrize("arguments", [{}, {"sparsity": 0.9}])
def test_a_trained_network_is_exported(arguments: dict[str, Any], tmp_path) -> None:
    net = binarize(zoo.resnet20(4, 1, width=4), subbit(4, every=3, **arguments))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(5):
        loss = F.cross_entropy(net(torch.randn(16, 1, 16, 16)), torch.randint(0, 4, (16,)))
        optimizer.zero_grad()
        (loss + penalty(net, loss)).backward()
        optimizer.step()
        after_step(net)
    report = export(net, tmp_path / "net.bw", torch.randn(8, 1, 16, 16))
    assert report.bits > 5000 and report.differing <= report.bits / 1000
    assert report.comparison.labels_differing == 0


@pytest.mark.parametrize(("index_bits", "channels"), [(4, 64), (5, 64), (5, 96)])
def test_the_file_holds_an_index_a_kernel_and_the_patterns(index_bits: int, channels: int, tmp_path) -> None:
    layers = [nn.Conv2d(1, channels, 1), nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 3, bias=False)]
    net = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.Flatten(), nn.Linear(channels, 4))
    export(binarize(net, subbit(index_bits), where=["2"]), tmp_path / "net.bw", torch.randn(2, 1, 3, 3))
    (layer,) = (layer for layer in summarize(read(tmp_path / "net.bw")).layers if layer.op == "BinaryConv")
    assert layer.encoding in ("patterns", "huffman")
    table = 16 + min(9 << index_bits, 512)
    assert layer.bits_per_weight is not None
    assert layer.bits_per_weight * layer.weights <= index_bits / 9 * layer.weights + table + 7


def test_the_sums_with_the_patterns_make_the_convolution() -> None:
    layer = binarize(nn.Conv2d(6, 20, 3, padding=1, bias=False), subbit(3), where=[""]).eval()
    x = torch.randn(2, 6, 7, 7)
    codebook = layer.weight_binarizer.signs
    index, scale = codebook.choose(layer.weight), layer.weight.detach().abs().mean((1, 2, 3))
    codes = torch.where(x >= 0, 1.0, -1.0)
    table = F.conv2d(codes.view(12, 1, 7, 7), codebook.memory.view(8, 1, 3, 3), padding=1).view(2, 6, 8, 7, 7)
    sums = sum(table[:, c, index[:, c]] for c in range(6))
    torch.testing.assert_close(layer(x), sums * scale.view(-1, 1, 1))


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 8, 1), nn.Conv2d(6, 8, 5), nn.Conv2d(6, 8, (3, 1)), nn.Linear(6, 8)])
def test_other_kernels_have_plain_signs(layer: nn.Module) -> None:
    w = layer.weight.detach()
    signs = torch.where(w >= 0, 1.0, -1.0)
    scale = w.abs().flatten(1).mean(1).view(-1, *[1] * (w.dim() - 1))
    torch.testing.assert_close(subbit(2).weight(layer)(w), scale * signs)
    assert torch.equal(subbit(2, sparsity=0.9).weight(layer)(w), signs)


def test_the_general_domain_counts_the_chosen_patterns() -> None:
    net = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 8, 1))
    binarize(net, subbit(3, sparsity=0.95, gamma=0.2, every=1), where=["0", "1"])
    binarizers = [layer.weight_binarizer for layer in net]
    assert all(isinstance(b, SubbitDomain) for b in binarizers)
    ones = sum((b.penalized(layer.weight) > 0).sum().item() for b, layer in zip(binarizers, net, strict=True))
    total = net[0].weight.numel() + net[1].weight.numel()
    loss = torch.tensor(2.0)
    term = penalty(net, loss)
    assert term.item() == pytest.approx(0.25 * 2.0)
    term.backward()
    each = 0.5 / (ones / total - 0.05) / (2 * total)
    torch.testing.assert_close(net[0].weight.grad, torch.full_like(net[0].weight, each))
    used = torch.bincount(binarizers[0].signs.choose(net[0].weight).flatten(), minlength=8).float()
    torch.testing.assert_close(binarizers[0].signs.patterns.grad, (each * used)[:, None].expand(8, 9))


def test_the_general_domain_reaches_its_budget() -> None:
    layer = binarize(nn.Conv2d(8, 16, 3), subbit(4, sparsity=0.7, gamma=0.9, dead_zone=0.02), where=[""])
    optimizer = torch.optim.Adam(layer.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        penalty(layer).backward()
        optimizer.step()
        after_step(layer)
    assert read_levels(layer.binarized_weight()).density <= 0.3 + 0.02
    assert layer.weight.abs().max() <= 1.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index_bits": 0}, "index_bits: expected 1 to 9, the weights of a 3x3 kernel, found 0"),
        ({"index_bits": 10}, "index_bits: expected 1 to 9"),
        ({"every": 0}, "every: expected at least 1 step, found 0"),
        ({"sparsity": 1.0}, "sparsity: expected a share from 0 to less than 1, found 1.0"),
        ({"gamma": -0.1}, "gamma: expected a share from 0 to less than 1, found -0.1"),
        ({"ramp": 2}, "ramp: expected a share of training from 0 to 1, found 2"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subbit(**arguments)
