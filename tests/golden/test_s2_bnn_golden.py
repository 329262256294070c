"""S2-BNN against numbers computed with the code that its authors published: a student as ReActNet's, and the losses."""

import pytest
import torch
import torch.nn.functional as F
from cases import Case, check_sign, rename, run_block, run_layer
from torch import Tensor, nn

from bitwright.core.estimators import approx_sign
from bitwright.distill import guided_loss
from bitwright.methods import react_net
from bitwright.nn.convert import binarize
from bitwright.pretext import MomentumNetwork, projection_head, queue_logits
from bitwright.zoo.reactnet import ReActBlock


@pytest.mark.parametrize("name", ["act", "act_edges"])
def test_activation(name: str) -> None:
    check_sign(Case(f"s2bnn.{name}"), approx_sign)


@pytest.mark.parametrize("name", ["weight_1x1", "weight_3x3", "weight_zeros"])
def test_weight(name: str) -> None:
    case = Case(f"s2bnn.{name}")
    w = case["w"].clone().requires_grad_()
    out = react_net().weight(nn.Conv2d(1, 1, 1))(w)
    out.backward(case["upstream"])
    case.check("out", out, where=w != 0)
    case.check("grad_w", w.grad)


def test_convolution() -> None:
    case = Case("s2bnn.conv")
    layer = binarize(nn.Conv2d(4, 8, 3, padding=1, bias=False), react_net(), where=[""])
    layer.weight.data.copy_(case["w"])
    layer.input_binarizer = nn.Identity()  # the file's input is binary already
    run_layer(case, layer)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = Case(f"s2bnn.block_{mode}")
    unused = ("binary_pw.", "bn2.")  # the convolution of blocks that do not double, which this one does
    case.values = {k: v for k, v in case.values.items() if not any(f"_{name}" in k for name in unused)}
    names = {"move11": "conv1.input_binarizer", "binary_3x3": "conv1", "move21": "conv2.input_binarizer"}
    names |= {"binary_pw_down1": "conv2", "binary_pw_down2": "conv2", "bn2_1": "bn2", "bn2_2": "bn2"}
    names |= {"move12.bias": "act1.shift_in", "prelu1.weight": "act1.slope", "move13.bias": "act1.shift_out"}
    names |= {"move22.bias": "act2.shift_in", "prelu2.weight": "act2.slope", "move23.bias": "act2.shift_out"}
    rename(case, names)
    run_block(case, binarize(ReActBlock(8, 16, 2, "rprelu"), react_net(), where=["conv1", "conv2"]))


def test_guided_loss() -> None:
    case = Case("s2bnn.guided_loss")
    student = case["student"].clone().requires_grad_()
    out = guided_loss(student, case["teacher"], case.number("temperature"))
    out.backward()
    case.check("out", out)
    case.check("grad_student", student.grad)


def network(case: Case, prefix: str) -> nn.Sequential:
    """The toy encoder: nothing but the head."""
    net = projection_head(12, outputs=8)
    net.load_state_dict(case.group(f"{prefix}.fc."))
    return net


def check_gradients(case: Case, kind: str, net: nn.Module) -> None:
    for name, parameter in net.named_parameters():
        case.check(f"grad_{kind}_param_encoder_q.fc.{name}", parameter.grad)
    net.zero_grad()


def test_contrast_with_the_queue() -> None:
    case = Case("s2bnn.contrastive_and_guided")
    net, temperature = network(case, "param_encoder_q"), case.number("temperature")
    slow = MomentumNetwork(net, outputs=8, size=24, momentum=case.number("momentum"))
    slow.load({"parameters": case.group("param_encoder_k.fc."), "queue": case["queue"].T})
    queue, keys = slow.queue, slow.answer(net, case["im_k"])
    logits = queue_logits(net(case["im_q"]), keys, queue, temperature)
    loss = F.cross_entropy(logits, torch.zeros(4, dtype=torch.int64))
    loss.backward()
    case.check("logits", logits)
    case.check("loss_contrastive", loss)
    check_gradients(case, "contrastive", net)
    for name, value in slow.parameters.items():
        case.check(f"after_param_encoder_k.fc.{name}", value)
    # The file's queue is a ring whose pointer is at the oldest key, ours begins with it.
    case.check("queue_after", slow.queue.roll(int(case.number("queue_pointer")), 0).T)


def test_guidance_beside_the_contrast() -> None:
    case = Case("s2bnn.contrastive_and_guided")
    student, teacher = network(case, "param_encoder_q"), network(case, "teacher_encoder_q")
    found, wanted = student(case["im_q"]), teacher(case["im_q"])
    loss: Tensor = guided_loss(found, wanted, case.number("temperature"))
    loss.backward()
    case.check("features", F.normalize(found, dim=1))
    case.check("teacher_features", F.normalize(wanted, dim=1))
    case.check("loss_guided", loss)
    check_gradients(case, "guided", student)
    assert all(parameter.grad is None for parameter in teacher.parameters())
