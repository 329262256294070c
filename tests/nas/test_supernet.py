"""The supernet: which weights a network takes, what they become, and what a training step reaches."""

from random import Random

import pytest
import torch
import torch.nn.functional as F

import bitwright as bw
from bitwright.methods.nas_bnn import KernelMap, StandardisedSign, standardise_filters, weight_loss
from bitwright.methods.react_net import RSign
from bitwright.nas.evaluate import Evaluator, Latency, accuracy, calibrate
from bitwright.nas.lesson import SupernetLesson
from bitwright.nas.shared import SharedConv, adapt
from bitwright.nas.space import IMAGENET, Space, Stage
from bitwright.nas.supernet import Supernet, supernet

SPACE = Space(
    (
        Stage((4, 8), (1,), stride=1),
        Stage((8, 16), (1, 2), (3, 5), (1, 2)),
        Stage((16, 24), (1, 2), (3, 5), (2, 4)),
    ),
    size=16,
)


@pytest.fixture
def net() -> Supernet:
    """A supernet whose maps, thresholds and norms have moved."""
    made = Supernet(SPACE, 3, 1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if not name.endswith(("weight", "step")):
                parameter.add_(torch.randn_like(parameter) / 5)
        for norm in made.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
    return made


def test_filters_are_standardised_and_binary_ones_have_one_size() -> None:
    w = torch.randn(6, 5, 3, 3) * 3 + 1
    v = standardise_filters(w).flatten(1)
    torch.testing.assert_close(v.mean(1), torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(v.std(1), torch.ones(6))
    binary = StandardisedSign()(w).flatten(1)
    torch.testing.assert_close(binary.abs(), v.abs().mean(1, keepdim=True).expand_as(v))
    assert torch.equal(binary > 0, v >= 0)
    assert standardise_filters(torch.full((2, 3, 3, 3), 0.1)).isfinite().all()


def test_gradients_of_both_binarizers() -> None:
    w = torch.randn(4, 6, 3, 3)
    v = standardise_filters(w).requires_grad_()
    g = torch.randn_like(v)
    StandardisedSign().sign(v).backward(g)
    scale = v.detach().abs().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(v.grad, scale * g * (v.detach().abs() <= 1))
    x = (3 * torch.randn(2, 5, 4, 4)).requires_grad_()
    sign = RSign((5, 1, 1))
    sign.bias.data.normal_()
    g = torch.randn_like(x)
    sign(x).backward(g)
    u = x.detach() + sign.bias.detach()
    expected = g * (2 - 2 * u.abs()).clamp(min=0)
    torch.testing.assert_close(x.grad, expected)
    torch.testing.assert_close(sign.bias.grad, expected.sum((0, 2, 3)).view(5, 1, 1))


@pytest.mark.parametrize("stage", range(2, 6))
def test_group_slices_have_the_shapes_of_the_published_space(stage: int) -> None:
    before, own = IMAGENET.stages[stage - 1], IMAGENET.stages[stage]
    for inputs in (before, own):
        most = inputs.channels[-1]
        conv = SharedConv(most, most, own.kernels, own.groups)
        assert conv.weight.shape == (most, most // own.groups[0], 5, 5)
        for channels in inputs.channels:
            for groups in own.groups:
                for kernel in own.kernels:
                    part = conv.part(channels, channels, kernel, groups)
                    assert part.shape == (channels, channels // groups, kernel, kernel)


def test_more_groups_take_turns_in_the_columns() -> None:
    conv = SharedConv(8, 8, (3,), (2, 4))  # two columns of two channels each, for four groups of two filters
    whole, part = conv.weight[:8, :4], conv.part(8, 8, 3, 4)
    for group in range(4):
        rows, columns = slice(2 * group, 2 * group + 2), slice(2 * (group % 2), 2 * (group % 2) + 2)
        assert torch.equal(part[rows], whole[rows, columns])
    assert torch.equal(conv.part(8, 8, 3, 2), conv.weight)


def test_small_kernels_are_the_middle_and_maps_start_as_nothing() -> None:
    conv = SharedConv(6, 6, (3, 5))
    x = torch.randn(2, 6, 7, 7).sign()
    middle = standardise_filters(conv.weight[:, :, 1:4, 1:4])
    scale = middle.abs().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(conv(x, 6, 3), F.conv2d(x, scale * middle.sign(), padding=1))
    torch.testing.assert_close(conv(x, 6, 5, real=True), F.conv2d(x, standardise_filters(conv.weight), padding=2))
    assert sum(isinstance(m, KernelMap) for m in conv.modules()) == 2
    assert not any(isinstance(m, KernelMap) for m in SharedConv(6, 6).modules())  # of a 1x1 kernel


def test_maps_have_exact_gradients() -> None:
    mapped, w = KernelMap(3).double(), torch.randn(2, 3, 3, 3, dtype=torch.double, requires_grad=True)
    torch.nn.init.normal_(mapped.matrix)
    assert torch.autograd.gradcheck(
        lambda w, matrix: torch.func.functional_call(mapped, {"matrix": matrix}, w), (w, mapped.matrix)
    )


def test_each_kernel_has_its_map() -> None:
    conv = SharedConv(4, 4, (3, 5))
    small, large = conv.shrink["3"].matrix, conv.binary_map.matrix
    with torch.no_grad():
        small.copy_(torch.eye(9).roll(1, 0))
        large.copy_(torch.eye(25).roll(2, 0))
    assert torch.equal(conv.mapped(4, 4, 3, 1).flatten(2), conv.part(4, 4, 3, 1).flatten(2).roll(1, 2))
    assert torch.equal(conv.mapped(4, 4, 5, 1).flatten(2), conv.weight.flatten(2).roll(2, 2))
    assert torch.equal(conv.mapped(4, 4, 5, 1, real=True), conv.weight)


def test_shortcuts() -> None:
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(adapt(x, 8, 1), torch.cat([x, x], 1))
    assert torch.equal(adapt(x, 6, 1), torch.cat([x, x], 1)[:, :6])
    assert torch.equal(adapt(x, 3, 1), x[:, :3])
    assert torch.equal(adapt(x, 4, 2), F.avg_pool2d(x, 2))


def test_an_extracted_network_computes_what_the_supernet_computes(net) -> None:
    x, random = torch.randn(4, 1, 16, 16), Random(0)
    net.eval()
    for candidate in [SPACE.smallest(), SPACE.largest(), *(SPACE.sample(random) for _ in range(6))]:
        own = net.extract(candidate)
        assert not own.training
        with torch.no_grad():
            torch.testing.assert_close(own(x), net(x, candidate), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        assert torch.equal(net(x), net(x, SPACE.smallest()))


def test_a_step_reaches_what_its_networks_use(net) -> None:
    x, y = torch.randn(8, 1, 16, 16), torch.arange(8) % 3
    largest = SPACE.largest()
    F.cross_entropy(net(x, largest, real=True), y).backward()
    for block in net.blocks:
        for conv in (block.conv1, block.conv2):
            assert (conv.weight.grad != 0).any((1, 2, 3)).all()
            assert all(p.grad is None for m in conv.modules() if isinstance(m, KernelMap) for p in m.parameters())
    net.zero_grad()
    logits, loss = SupernetLesson().step(net, net, x, lambda z: F.cross_entropy(z, y, label_smoothing=0.1))
    assert logits.shape == (8, 3)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters() if parameter.grad is not None)
    first = net.blocks[0].conv1
    assert first.shrink["3"].matrix.grad.any()  # the smallest network's
    assert first.weight.grad[:, :, 0, 0].any()  # outside its kernels, from the largest one


def test_students_teach_the_teacher_nothing(net) -> None:
    x, y = torch.randn(8, 1, 16, 16), torch.arange(8) % 3
    lesson = SupernetLesson()
    lesson.networks = 0
    _, loss = lesson.step(net, net, x, lambda z: F.cross_entropy(z, y))
    loss.backward()
    outer = net.blocks[-1].conv2.weight.grad[16:].clone()  # filters that the largest network alone has
    net.zero_grad()
    F.cross_entropy(net(x, SPACE.largest(), real=True), y).backward()
    torch.testing.assert_close(net.blocks[-1].conv2.weight.grad[16:], outer)


def test_weight_losses_are_of_the_binary_networks(net) -> None:
    x, label_loss = torch.randn(8, 1, 16, 16), lambda z: z.square().mean()
    for candidate in (SPACE.smallest(), SPACE.sample(Random(3))):
        own = net.extract(candidate)
        convs = [conv for block in own.blocks for conv in (block.conv1, block.conv2)]
        for v, conv in zip(net.standardised(candidate), convs, strict=True):
            torch.testing.assert_close(v, standardise_filters(conv.weight))
    lesson = SupernetLesson()
    lesson.networks = 0
    without = lesson.step(net, net, x, label_loss)[1]
    net.weight_loss = 0.1
    added = lesson.step(net, net, x, label_loss)[1] - without
    expected = sum(weight_loss(v) for v in net.standardised(SPACE.smallest()))
    assert expected > 0
    torch.testing.assert_close(added, 0.1 * expected)


def test_running_statistics_follow_the_smallest_network_alone(net) -> None:
    x = torch.randn(8, 1, 16, 16)
    before = {name: value.clone() for name, value in net.named_buffers()}
    net(x, SPACE.largest())
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
    net(x)
    assert not torch.equal(net.bn.running_mean[:4], before["bn.running_mean"][:4])
    assert torch.equal(net.bn.running_mean[4:], before["bn.running_mean"][4:])
    net(x, SPACE.largest(), track=True)
    assert not torch.equal(net.bn.running_mean[4:], before["bn.running_mean"][4:])


def test_calibration_is_the_mean_over_the_batches(net) -> None:
    own = net.extract(SPACE.sample(Random(2)))
    batches = [torch.randn(8, 1, 16, 16) for _ in range(3)]
    calibrate(own, batches)
    with torch.no_grad():
        means = [own.conv(x).mean((0, 2, 3)) for x in batches]
    torch.testing.assert_close(own.bn.running_mean, torch.stack(means).mean(0), rtol=1e-4, atol=1e-5)
    assert not own.training and own.bn.momentum == 0.1


def test_a_score_follows_from_the_candidate(net) -> None:
    x, y = torch.randn(12, 1, 16, 16), torch.arange(12) % 3
    score, candidate = Evaluator(net, [x], [(x, y)]), SPACE.sample(Random(4))
    found = score(candidate)
    assert found == score(candidate) and found.cost is None
    assert found.value == accuracy(score.network(candidate), [(x, y)])
    latency = Latency(16, 1, ((0.5,), (0.25,)), runs=2)
    fast = Evaluator(net, [x], [(x, y)], "speed", latency)(candidate)
    assert fast.value == -fast.cost < 0


def test_a_found_network_runs_packed(net, tmp_path) -> None:
    own = net.extract(SPACE.sample(Random(7)))
    calibrate(own, [torch.randn(16, 1, 16, 16)])
    x = torch.randn(8, 1, 16, 16)
    report = bw.export(own, tmp_path / "net.bw", x)
    assert report.bits > 0 and report.differing == 0 and report.comparison.labels_differing == 0
    with torch.no_grad():
        torch.testing.assert_close(
            torch.from_numpy(bw.load(tmp_path / "net.bw")(x.numpy())), own(x), rtol=1e-4, atol=1e-4
        )


def test_recipes_name_it() -> None:
    net = supernet(10, 3, "cifar-small", weight_loss=0.1)
    assert net.classifier.out_features == 10 and net.weight_loss == 0.1
    with pytest.raises(ValueError, match="weight_loss: expected 0 or more"):
        supernet(10, 3, "cifar-small", weight_loss=-1)
    with pytest.raises(ValueError, match="space: expected one of"):
        supernet(10, 3, "moon")
