"""DGRL-style: branches within a limit, counted, exported bit for bit; blocks that learn from real-valued twins."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bitwright as bw
from bitwright import _native, distill
from bitwright.format.reader import read
from bitwright.ir import ops
from bitwright.ir.interpret import interpret
from bitwright.methods import bi_real_net, dgrl
from bitwright.nn.interaction import SqueezeInteraction, branch_size

BLOCKS = [f"blocks.{index}" for index in range(18)]


def twins(**settings) -> tuple[nn.Module, nn.Module]:
    """A student and the real-valued network it starts from."""
    teacher = bw.zoo.resnet20(4, 1, width=8)
    return bw.binarize(copy.deepcopy(teacher), dgrl(**settings)), teacher.eval().requires_grad_(False)


def branches(net: nn.Module) -> list[SqueezeInteraction]:
    return [module for module in net.modules() if isinstance(module, SqueezeInteraction)]


def move_away_from_zero(net: nn.Module) -> None:
    for made in branches(net):
        for branch in made.branches:
            nn.init.normal_(branch.excite.weight)


def test_at_first_it_is_the_plain_binary_network() -> None:
    student, teacher = twins()
    plain = bw.binarize(copy.deepcopy(teacher), bi_real_net()).requires_grad_().eval()
    x = torch.randn(2, 1, 16, 16)
    assert len(branches(student)) == 18
    assert torch.equal(student.eval()(x), plain(x))
    move_away_from_zero(student)
    assert not torch.equal(student(x), plain(x))


@pytest.mark.parametrize("settings", [{}, {"branches": 2, "limit": 0.25}, {"rank": 2}, {"rank": "full", "limit": 0.15}])
def test_the_overhead_is_counted_and_within_the_limit(settings) -> None:
    student, teacher = twins(**settings)
    plain = bw.binarize(copy.deepcopy(teacher), bi_real_net())
    x = torch.zeros(1, 1, 16, 16)
    found, before = bw.count(student, x), bw.count(plain, x)
    added = flops = 0
    for layer in (block.conv for block in student.blocks):
        size = sum(p.numel() for p in layer.rescale.parameters())
        assert size <= settings.get("limit", 0.1) * layer.weight.numel()
        added += size
        branch = layer.rescale.branches[0]
        rank = 0 if isinstance(branch.squeeze, nn.Identity) else branch.squeeze.out_features
        assert size == settings.get("branches", 1) * branch_size(layer, rank)
        pixels = (16 * 8 // layer.out_channels) ** 2
        flops += settings.get("branches", 1) * (branch_size(layer, rank) - 9 + 9 * pixels)
    assert (found.binary_weights, found.bops) == (before.binary_weights, before.bops)
    assert (found.real_weights - before.real_weights, found.flops - before.flops) == (added, flops)
    assert found.memory_bits - before.memory_bits == 32 * added


def test_layers_without_room_and_linear_ones_have_none() -> None:
    net = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(32, 4))
    bw.binarize(net, dgrl(), where=lambda name, layer: True)
    assert [getattr(net[i], "rescale", None) is not None for i in (0, 1, 3)] == [False, True, False]


def test_a_rank_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 branches of rank 9 add 153 parameters, expected at most 10.0% of its 576"):
        twins(rank=9)
    for settings, message in (
        ({"branches": 0}, "branches: expected 1 or more"), ({"limit": 0.0}, "limit: expected a share above 0"),
        ({"rank": 0}, "rank: expected"), ({"rank": "half"}, "rank: expected"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            dgrl(**settings)


def test_student_and_teacher_have_features_of_one_shape() -> None:
    student, teacher = twins()
    x = torch.randn(2, 1, 16, 16)
    with distill.tap(student, BLOCKS) as ours, distill.tap(teacher, BLOCKS) as theirs:
        student(x), teacher(x)
    assert [f.shape for f in ours.values()] == [f.shape for f in theirs.values()]
    assert {tuple(f.shape[1:]) for f in ours.values()} == {(8, 16, 16), (16, 8, 8), (32, 4, 4)}


def gradients(loss: Tensor, net: nn.Module) -> set[str]:
    """Blocks that the loss reaches."""
    net.zero_grad()
    loss.backward(retain_graph=True)
    reached = {n for n, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    return {".".join(name.split(".")[:2]) for name in reached}


def test_a_block_alone_is_shaped_by_its_own_distance_only() -> None:
    student, teacher = twins()
    move_away_from_zero(student)
    x = torch.randn(4, 1, 16, 16)
    with distill.tap(student, BLOCKS) as ours, distill.tap(student, BLOCKS, inputs=True) as given:
        student(x)
    with distill.tap(teacher, BLOCKS) as theirs:
        teacher(x)
    for n in (0, 6, 17):
        name = f"blocks.{n}"
        alone = distill.run_alone(student, {name: given[name]})
        assert gradients(distill.feature_loss([alone[name]], [theirs[name]]), student) == {name}
        whole = gradients(distill.feature_loss([ours[name]], [theirs[name]]), student)
        assert whole >= {f"blocks.{m}" for m in range(n + 1)} and not whole & {f"blocks.{m}" for m in range(n + 1, 18)}
        torch.testing.assert_close(alone[name], ours[name])


def test_a_block_that_is_the_teachers_has_no_distance() -> None:
    _, teacher = twins()
    x = torch.randn(2, 1, 16, 16)
    with distill.tap(teacher, BLOCKS) as theirs, distill.tap(teacher, BLOCKS, inputs=True) as given:
        teacher(x)
    found = distill.run_alone(copy.deepcopy(teacher), given)
    assert distill.feature_loss(list(found.values()), list(theirs.values())).item() == 0


def test_blocks_come_closer_to_their_twins() -> None:
    student, teacher = twins()
    optimizer = torch.optim.Adam(student.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        x = torch.randn(8, 1, 16, 16)
        with distill.tap(teacher, BLOCKS) as theirs, distill.tap(teacher, BLOCKS, inputs=True) as given:
            teacher(x)
        found = distill.run_alone(student, given)
        loss = distill.feature_loss(list(found.values()), list(theirs.values()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def exact(net: nn.Module) -> nn.Module:
    """With such weights all sums are exact in float32, in any order."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randint(-4, 5, p.shape) / 8 if "rescale" in name else p.sign() / 2)
    return net


@pytest.mark.parametrize("settings", [{}, {"rank": 1}, {"branches": 2, "limit": 0.25}, {"rank": "full", "limit": 0.2}])
def test_the_file_computes_the_branches_bit_for_bit(settings, tmp_path) -> None:
    net = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.Conv2d(16, 16, 3, padding=1, bias=False))
    exact(bw.binarize(net, dgrl(**settings), where=lambda name, layer: True))
    x = torch.randint(-8, 9, (3, 8, 9, 10)) / 4
    report = bw.export(net, tmp_path / "net.bw", x)
    assert report.bits == 3 * (8 * 90 + 16 * 25) and report.differing == 0
    graph = read(tmp_path / "net.bw")
    count = 2 * settings.get("branches", 1)
    assert sum(isinstance(op, ops.Multiply) for op in graph.ops) == count
    with torch.no_grad():
        expected = net.eval()(x).numpy()
    np.testing.assert_array_equal(interpret(graph, x.numpy()), expected)
    for isa in _native.available_isas():
        np.testing.assert_array_equal(bw.load(tmp_path / "net.bw", isa=isa)(x.numpy()), expected)
