"""tap: features by name, and nothing left behind."""

import pytest
import torch
from torch import nn

from bitwright import distill, methods, zoo
from bitwright.nn.convert import binarize


def hooks(net: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())


def test_features_are_what_the_modules_return() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    x = torch.randn(5, 4)
    with distill.tap(net, ["1", "0"]) as features:
        net(x)
        assert list(features) == ["0", "1"]
        assert torch.equal(features["0"], net[0](x)) and torch.equal(features["1"], net[0](x).tanh())
        net(2 * x)
        assert torch.equal(features["1"], net[0](2 * x).tanh())
    net(x)
    assert torch.equal(features["1"], net[0](2 * x).tanh())
    assert hooks(net) == 0


def test_inputs_are_what_the_modules_are_given() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    x = torch.randn(5, 4)
    with distill.tap(net, ["0", "2"], inputs=True) as given:
        net(x)
    assert given["0"] is x and torch.equal(given["2"], net[:2](x))
    alone = nn.Sequential(nn.LSTM(3, 2))
    with pytest.raises(TypeError, match=r"0 \(LSTM\) was given NoneType"), distill.tap(alone, ["0"], inputs=True):
        alone[0](input=torch.randn(4, 1, 3))
    assert hooks(net) == 0


def test_hooks_go_when_the_block_fails() -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(RuntimeError), distill.tap(net, ["0"]):
        net(torch.randn(5, 7))
    assert hooks(net) == 0


def test_student_and_teacher_train_together() -> None:
    student = binarize(zoo.resnet20(width=4), methods.real_to_binary())
    teacher = zoo.resnet20(width=8).requires_grad_(False)
    names = ["blocks.5", "blocks.11", "blocks.17"]
    x = torch.randn(2, 3, 16, 16)
    with distill.tap(student, names) as ours, distill.tap(teacher, names) as theirs:
        loss = distill.distillation_loss(student(x), teacher(x))
        loss = loss + distill.attention_loss(list(ours.values()), list(theirs.values()))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())


def test_unknown_names_are_refused_with_near_ones() -> None:
    net = zoo.resnet20(width=4)
    message = r"ResNet has no module 'blocks\.99'; it has blocks\.9, .*"
    with pytest.raises(ValueError, match=message), distill.tap(net, ["blocks.9", "blocks.99"]):
        pass
    assert hooks(net) == 0


def test_modules_that_return_no_tensor_are_refused() -> None:
    net = nn.Sequential(nn.LSTM(3, 2))
    with pytest.raises(TypeError, match=r"0 \(LSTM\) returned tuple, expected a tensor"), distill.tap(net, ["0"]):
        net(torch.randn(4, 1, 3))
