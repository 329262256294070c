"""Sub-bit networks against numbers computed with the authors' code, and with SBNN's for the general domain."""

from typing import Any

import pytest
import torch
from cases import Case, check_sign, rename, run_block
from test_methods_golden import OriginalBlock, Shift, pooled_shortcut
from torch import Tensor, nn

from bitwright.core.hooks import latent_weights, penalty
from bitwright.methods import subbit
from bitwright.methods.subbit import Codebook, numbers_of
from bitwright.nn.convert import binarize

CONVS = {
    "subbit.conv_plain": subbit(4),
    "subbit.conv_refine": subbit(4),
    "subbit.conv_general_domain": subbit(4, sparsity=0.95),
}


def set_up(case: Case, codebook: Codebook) -> None:
    """The case's patterns, signs before the step, and number of the step; then what precedes the forward pass."""
    codebook.patterns.data.copy_(case["param_patterns"])
    codebook.memory.copy_(case["memory_before"])
    codebook.count_to(int(case.number("step_before")))
    codebook.remember()


def check_codebook(case: Case, codebook: Codebook, w: Tensor) -> None:
    """Signs, choice and gradient; then the clip, which the original does within the step that trains the patterns."""
    assert torch.equal(codebook.memory, case["memory_after"])
    assert torch.equal(codebook.choose(w), case["index"])
    if codebook.refines:
        case.check("grad_param_patterns", codebook.patterns.grad)
        codebook.repair()
    else:
        assert codebook.patterns.grad is None and not case["grad_param_patterns"].any()
    assert torch.equal(codebook.patterns.detach(), case["patterns_after"])


@pytest.mark.parametrize("name", ["subbit.act", "subbit.act_edges"])
def test_activation(name: str) -> None:
    check_sign(Case(name), subbit().activation(nn.Conv2d(1, 1, 3)))


@pytest.mark.parametrize("name", ["subbit.binarize_plain", "subbit.binarize_refine", "subbit.binarize_full_set"])
def test_choice(name: str) -> None:
    case = Case(name)
    codebook = Codebook(int(case.number("tau_bits")))
    set_up(case, codebook)
    w = case["w"].clone().requires_grad_()
    out = codebook(w)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_w", w.grad)
    check_codebook(case, codebook, w)


def test_the_order_of_the_full_set() -> None:
    case = Case("subbit.binarize_full_set")
    natural = case["param_patterns"].flip(1)  # their numbers begin with the last position
    assert torch.equal(numbers_of(natural), torch.arange(512))


@pytest.mark.parametrize("name", CONVS)
def test_convolution(name: str) -> None:
    case = Case(name)
    outputs, inputs, *_ = case["w"].shape
    conv: Any = nn.Conv2d(inputs, outputs, 3, int(case.number("stride")), padding=1, bias=False)
    binarize(conv, CONVS[name], where=[""])
    conv.input_binarizer = nn.Identity()  # the case's input is what enters the sum
    conv.weight.data.copy_(case["w"])
    binarizer = conv.weight_binarizer
    set_up(case, binarizer.signs)
    levels = {key: p for key, p in binarizer.named_parameters(recurse=False)}
    for key, level in levels.items():
        level.data.copy_(case[f"param_{key}"])
    x = case["x"].clone().requires_grad_()
    out = conv(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    case.check("grad_w", conv.weight.grad)
    for key, level in levels.items():
        expected = case[f"grad_param_{key}"]
        torch.testing.assert_close(level.grad, expected, rtol=1e-5, atol=1e-4)  # phi's: terms of 2654 cancel to 0.77
    if "count_ones" in case.values:
        (b,) = (binarizer.penalized(w) for binarizer, w in latent_weights(conv))
        assert (b > 0).sum() == case.number("count_ones")
        assert penalty(conv).item() == pytest.approx(0.05 / 0.95)
    check_codebook(case, binarizer.signs, conv.weight)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_block(mode: str) -> None:
    case = Case(f"subbit.block_{mode}")
    rename(case, {"binary_conv.binarize": "binary_conv.weight_binarizer.signs"})
    signs = "binary_conv.weight_binarizer.signs"
    case.values[f"buffer_{signs}.memory"] = case[f"param_{signs}.patterns"].sign()

    def run(b: Any, x: Tensor) -> Tensor:
        y = b.bn1(b.binary_conv(b.move0(x))) + b.downsample(x)
        return b.move2(b.prelu(b.move1(y)))

    block = OriginalBlock(
        run, move0=Shift(8), binary_conv=nn.Conv2d(8, 12, 3, 2, 1, bias=False), bn1=nn.BatchNorm2d(12),
        downsample=pooled_shortcut(), move1=Shift(12), prelu=nn.PReLU(12), move2=Shift(12),
    )  # fmt: skip
    run_block(case, binarize(block, subbit(4), where=["binary_conv"]))


def test_repair() -> None:
    case = Case("subbit.repair")
    codebook = Codebook(int(case.number("tau_bits")))
    codebook.patterns.data.copy_(case["param_patterns"])
    codebook.remember()
    codebook.repair()
    kept = int(case.number("kept"))
    assert torch.equal(codebook.patterns[:kept].detach(), case["patterns_after"][:kept])
    numbers = numbers_of(codebook.memory)
    assert torch.equal(numbers[:kept], case["ids_after"][:kept])
    assert len(numbers.unique()) == len(numbers) == len(case["ids_after"])
    assert torch.equal(numbers_of(codebook.patterns), numbers)
