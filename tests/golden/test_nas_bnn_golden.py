"""NAS-BNN against numbers computed with the code that its authors published: layers, the space, a training step."""

from random import Random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cases import Case, check_after, check_sign, load, rename, run_block
from torch import Tensor, nn

from bitwright.core.estimators import approx_sign
from bitwright.distill import distributional_loss, soft_cross_entropy
from bitwright.methods import nas_bnn
from bitwright.methods.nas_bnn import weight_loss
from bitwright.nas.lesson import SupernetLesson
from bitwright.nas.ops import count_operations
from bitwright.nas.shared import SharedBlock, SharedConv, SharedStem, adapt
from bitwright.nas.space import IMAGENET, Space, Stage
from bitwright.nas.supernet import Supernet
from bitwright.nn.convert import binarize
from bitwright.nn.quantized_conv import QuantizedConv2d, quantize_weight
from bitwright.zoo.nas_bnn import BlockShape
from bitwright.zoo.reactnet import ReActBlock

SLICES = ["k3_g2_full", "k3_g2_narrow", "k3_g4_part", "k5_g2_full", "k5_g2_part", "k5_g4_full"]
CONVOLUTIONS = ["conv_k3_g4_part", "conv_k5_g2_full", "conv_fp_weight", "conv_weight_distill"]
TOY = Space(
    (
        Stage((4, 6), (1,)),
        Stage((6, 8), (1, 2), stride=1),
        Stage((8, 12), (1, 2), (3, 5), (1, 2)),
    ),
    size=16,
)
BLOCK = {
    "move11": "sign1",
    "binary_conv.weight": "conv1.weight",
    "binary_conv.matrix_5to3": "conv1.shrink.3.matrix",
    "binary_conv.fp2bin_3": "conv1.binary_map.matrix",
    "binary_conv.fp2bin_5": "conv1.binary_map.matrix",
    "bn1.bn": "bn1",
    "move12.bias": "act1.shift_in",
    "prelu1.prelu.weight": "act1.slope",
    "move13.bias": "act1.shift_out",
    "move21": "sign2",
    "binary_conv1x1.weight": "conv2.weight",
    "bn2.bn": "bn2",
    "move22.bias": "act2.shift_in",
    "prelu2.prelu.weight": "act2.slope",
    "move23.bias": "act2.shift_out",
}
STEM = {
    "features.0.0.conv.weight": "conv.weight",
    "features.0.0.conv.w_scale": "conv.step",
    "features.0.0.bn.bn": "bn",
    "features.0.0.move1.bias": "act.shift_in",
    "features.0.0.relu.prelu.weight": "act.slope",
    "features.0.0.move2.bias": "act.shift_out",
    "fc": "classifier",
}


def drop(case: Case, *words: str) -> None:
    """Leave out what ours has no buffer for, or no use."""
    case.values = {key: value for key, value in case.values.items() if not any(word in key for word in words)}


@pytest.mark.parametrize("name", ["act", "act_edges"])
def test_activation(name: str) -> None:
    check_sign(Case(f"nasbnn.{name}"), approx_sign)


@pytest.mark.parametrize(("name", "kernel"), [("weight_1x1", 1), ("weight_3x3", 3)])
def test_weight(name: str, kernel: int) -> None:
    case = Case(f"nasbnn.{name}")
    binarizer: Any = nas_bnn().weight(nn.Conv2d(1, 1, kernel))
    if kernel > 1:
        binarizer.map.matrix.data.copy_(case["param_fp2bin_3"])
    w = case["w"].clone().requires_grad_()
    out = binarizer(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)
    if kernel > 1:
        case.check("grad_param_fp2bin_3", binarizer.map.matrix.grad)


class Shared:
    """The shared layer of a case, and the choices in it."""

    def __init__(self, case: Case) -> None:
        n = {key: int(case.number(key)) for key in case.meta["settings"]}
        self.case = case
        self.layer = SharedConv(n["max_out"], n["max_in"], (3, n["max_kernel"]), (n["min_groups"], 4))
        rename(case, {"matrix_5to3": "shrink.3.matrix", "fp2bin_5": "binary_map.matrix"})
        load(case, self.layer)
        self.layer.weight.data.copy_(case["w"])
        self.sizes = (n["out_channels"], n["in_channels"], n["kernel"], n["groups"])
        self.stride, self.real = n["stride"], not n["is_bin"]

    def check_weights(self) -> Tensor:
        """Compare what is taken and its scale; return what is standardised."""
        mapped = self.layer.mapped(*self.sizes, real=True)  # before the map to binary weights
        self.case.check("active_filter", mapped)
        v = self.layer.standardised(*self.sizes, real=self.real)
        scale = v.abs().mean((1, 2, 3), keepdim=True)
        self.case.check("scale", torch.ones_like(scale) if self.real else scale)
        return v

    def check_gradients(self) -> None:
        weight = self.layer.weight
        self.case.values["grad_param_weight"] = self.case["grad_w"]
        assert weight.grad is not None
        check_after(self.case, self.layer)


@pytest.mark.parametrize("name", SLICES)
def test_slices_of_shared_weights(name: str) -> None:
    case = Case(f"nasbnn.weight_{name}")
    shared = Shared(case)
    out = shared.layer.sign(shared.check_weights())
    out.backward(case["upstream"])
    case.check("out", out)
    shared.check_gradients()


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_shared_convolution(name: str) -> None:
    case = Case(f"nasbnn.{name}")
    shared = Shared(case)
    outputs, _, kernel, groups = shared.sizes
    shared.check_weights()
    x = case["x"].clone().requires_grad_()
    out = shared.layer(x, outputs, kernel, groups, shared.stride, shared.real)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    shared.check_gradients()


def test_weight_loss() -> None:
    case = Case("nasbnn.conv_weight_distill")
    case.values["grad_distill_weight"] = case["grad_distill_w"]
    shared = Shared(case)
    loss = 0.1 * weight_loss(shared.check_weights())
    loss.backward()
    case.check("distill_loss", loss)
    matrix: Any = shared.layer.binary_map
    # These gradients are some 1e-4, less than what is forgiven where values are about 1.
    for key, found in (("weight", shared.layer.weight), ("param_fp2bin_5", matrix.matrix)):
        torch.testing.assert_close(found.grad, case[f"grad_distill_{key}"], rtol=1e-4, atol=1e-8)


class Block(SharedBlock):
    """One of its networks."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(x, BlockShape(12, 5, 1, 2), track=True)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block_of_a_supernet(mode: str) -> None:
    case = Case(f"nasbnn.block_{mode}")
    drop(case, "scaling_factor")
    rename(case, BLOCK)
    run_block(case, Block(8, 12, (3, 5), (1, 2)))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block_of_the_zoo(mode: str) -> None:
    case = Case(f"nasbnn.block_{mode}")
    drop(case, "scaling_factor", "matrix_5to3")
    own = {"move11": "conv1.input_binarizer", "move21": "conv2.input_binarizer"}
    rename(case, BLOCK | own | {"binary_conv.fp2bin_5": "conv1.weight_binarizer.map.matrix"})
    run_block(case, binarize(ReActBlock(8, 12, 2, "rprelu", kernel=5), nas_bnn(), where=["conv1", "conv2"]))


@pytest.mark.parametrize("name", ["stem_lsq", "stem_lsq_first_call"])
@pytest.mark.parametrize("shared", [False, True], ids=["zoo", "supernet"])
def test_stem(name: str, shared: bool) -> None:
    case = Case(f"nasbnn.{name}")
    stem = (SharedStem if shared else QuantizedConv2d)(3, 6, 3, 2, padding=1, bias=False)
    stem.weight.data.copy_(case["w"])
    if name == "stem_lsq":
        stem.load_state_dict({"weight": case["w"], "step": case["param_w_scale"]})
    x = case["x"].clone().requires_grad_()
    out = stem(x, 6) if shared else stem(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    case.check("grad_w", stem.weight.grad)
    case.check("grad_param_w_scale", stem.step.grad)
    case.check("step_used", stem.step)
    case.check("quantized_w", quantize_weight(stem.weight, stem.step))


def test_shortcut_adapter() -> None:
    case = Case("nasbnn.shortcut_adapter")
    for source, residual, out in [
        ("src", "residual", "out"),
        ("src_narrow", "residual_wide", "out_narrow"),
        ("src_equal", "residual_wide", "out_equal"),
    ]:
        x, y = case[residual], case[source]
        case.check(out, y + adapt(x, y.shape[1], x.shape[2] // y.shape[2]))


def test_losses() -> None:
    case = Case("nasbnn.losses")
    label, amount = case["label"], case.number("label_smoothing")
    target = (1 - amount) * F.one_hot(label, 10) + amount / 10
    for key, loss in [
        ("soft_ce", lambda z: distributional_loss(z, case["teacher"])),
        ("smooth_ce", lambda z: soft_cross_entropy(z, target)),
        ("smooth_ce", lambda z: F.cross_entropy(z, label, label_smoothing=amount)),
    ]:
        student = case["student"].clone().requires_grad_()
        out = loss(student)
        out.backward()
        case.check(key, out)
        case.check(f"grad_{key}_student", student.grad)


def test_operations() -> None:
    case = Case("nasbnn.ops")
    tables = [[tuple(row) for row in table] for table in case["encoding"].tolist()]
    found = []
    for table in tables:
        candidate = IMAGENET.from_table(table)
        assert IMAGENET.table(candidate) == table and IMAGENET.is_rising(candidate, all_rows=True)
        found.append(count_operations(IMAGENET.shapes(candidate), 224))
    random = Random(int(case.number("python_random_seed")))
    assert [IMAGENET.table(IMAGENET.sample(random)) for _ in tables[:10]] == tables[:10]
    assert tables[-2:] == [IMAGENET.table(IMAGENET.smallest()), IMAGENET.table(IMAGENET.largest())]
    for key in ("flops", "bops", "ops"):
        case.check(f"{key}_millions", torch.tensor([getattr(each, key) / 1e6 for each in found]))


@pytest.fixture
def step() -> tuple[Case, Supernet]:
    """The toy supernet of the published step, in training."""
    case = Case("nasbnn.supernet_step")
    drop(case, "scaling_factor", "_cand", "w_init_state")
    names = dict(STEM)
    for row, (stage, block) in enumerate(TOY.places[1:]):
        names |= {f"features.{stage}.{block}.{theirs}": f"blocks.{row}.{ours}" for theirs, ours in BLOCK.items()}
    rename(case, names)
    net = Supernet(TOY, 5, 3)
    load(case, net)
    assert TOY.table(TOY.largest()) == [tuple(row) for row in case["largest"].tolist()]
    assert TOY.table(TOY.smallest()) == [tuple(row) for row in case["smallest"].tolist()]
    return case, net


def test_supernet_step(step: tuple[Case, Supernet], monkeypatch: pytest.MonkeyPatch) -> None:
    case, net = step
    drop(case, "after_buffer")  # our running statistics follow the smallest network alone, see the next test
    drawn = iter([TOY.from_table(table) for table in case["random_encodings"].tolist()])
    monkeypatch.setattr(Space, "sample", lambda self, random: next(drawn))
    _, loss = SupernetLesson().step(
        net, net, case["x"], lambda z: F.cross_entropy(z, case["label"], label_smoothing=0.1)
    )
    loss.backward()
    torch.testing.assert_close(loss, case["losses"].sum())
    check_after(case, net)


def test_the_four_networks_of_a_step(step: tuple[Case, Supernet]) -> None:
    case, net = step
    random = Random(int(case.number("python_random_seed")))
    drawn = [TOY.sample(random) for _ in range(2)]
    assert [TOY.table(each) for each in drawn] == [[tuple(r) for r in t] for t in case["random_encodings"].tolist()]
    teacher = net(case["x"], TOY.largest(), real=True, track=True)
    losses = [F.cross_entropy(teacher, case["label"], label_smoothing=0.1)]
    for candidate in (TOY.smallest(), *drawn):
        losses.append(distributional_loss(net(case["x"], candidate, track=True), teacher))
    case.check("losses", torch.stack(losses))
    torch.stack(losses).sum().backward()
    check_after(case, net)
