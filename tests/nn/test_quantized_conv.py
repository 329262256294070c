"""Weights of eight bits with learned steps."""

import copy

import torch
import torch.nn.functional as F

from bitwright.nn.quantized_conv import QuantizedConv2d, first_step, quantize_weight


def test_weights_are_multiples_of_their_step_within_eight_bits() -> None:
    w, step = torch.randn(4, 3, 3, 3), torch.tensor([0.5, 0.01, 0.003, 1e-9])
    found = quantize_weight(w, step)
    levels = found / step.clamp(min=torch.finfo(torch.float32).eps).view(-1, 1, 1, 1)
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert levels.min() >= -128.001 and levels.max() <= 127.001
    inside = (w[0] / 0.5).round().clamp(-128, 127) * 0.5
    torch.testing.assert_close(found[0], inside)


def test_gradients() -> None:
    w = torch.tensor([[0.3, -0.2, 100.0, -100.0]], requires_grad=True)
    step = torch.tensor([0.1], requires_grad=True)
    quantize_weight(w, step).sum().backward()
    assert w.grad.tolist() == [[1, 1, 0, 0]]
    # of s: round(w/s) - w/s inside, the outer levels beyond
    expected = (3 - 3) + (-2 + 2) + 127 - 128
    torch.testing.assert_close(step.grad, torch.tensor([expected / (4 * 127) ** 0.5]), rtol=1e-3, atol=1e-4)


def test_steps_begin_with_the_weights_of_the_first_pass() -> None:
    conv = QuantizedConv2d(3, 5, 3, 2, padding=1, bias=False)
    torch.nn.init.normal_(conv.weight, 1, 2)
    conv.eval()(torch.randn(1, 3, 8, 8))
    assert not torch.allclose(conv.step, first_step(conv.weight))
    x = torch.randn(2, 3, 8, 8)
    y = conv.train()(x)
    assert torch.equal(conv.step, first_step(conv.weight))
    assert torch.equal(y, F.conv2d(x, quantize_weight(conv.weight, conv.step), None, 2, 1))
    torch.testing.assert_close(y, F.conv2d(x, conv.weight, None, 2, 1), atol=0.5, rtol=0)
    torch.nn.init.normal_(conv.weight, 5)
    conv(x)
    assert not torch.allclose(conv.step, first_step(conv.weight))
    other = QuantizedConv2d(3, 5, 3, 2, padding=1, bias=False)
    other.load_state_dict(copy.deepcopy(conv.state_dict()))
    assert torch.equal(other.train()(x), conv(x))
