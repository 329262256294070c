"""Real-valued layers: convolution, matrix product, batch norm."""

import numpy as np
from torch.fx import Node

from bitwright.ir import ops
from bitwright.ir.ops import Kind, Window
from bitwright.lower.capture import arguments, sample_shape
from bitwright.lower.constants import array
from bitwright.lower.translate import Translation, pair, refusal

UNIT = Window((1, 1))


def conv2d(build: Translation, call: Node) -> str:
    """Convolution; of a single pixel by a 1x1 kernel, the same as a matrix product."""
    given = arguments(call)
    weight = array(build, call, given["weight"], "weight")
    bias = array(build, call, given["bias"], "bias") if given["bias"] is not None else None
    window = _window(call, (weight.shape[2], weight.shape[3]))
    x, name, note = build.real(given["input"]), build.name(call), _why_real(build, given["input"])
    if build.emit.shape(x)[1:] == (1, 1) and window == UNIT and given["groups"] == 1:
        vector = build.emit.flat(name, x)
        product = ops.Linear(name=name, inputs=(vector,), weight=weight[:, :, 0, 0].copy(), bias=bias, note=note)
        return build.emit.as_map(name, build.emit.add(product, Kind.REAL, weight.shape[:1]), (len(weight), 1, 1))
    conv = ops.Conv(name=name, inputs=(x,), weight=weight, bias=bias, window=window, groups=given["groups"], note=note)
    return build.emit.add(conv, Kind.REAL, sample_shape(call))


def _window(call: Node, kernel: tuple[int, int]) -> Window:
    given = arguments(call)
    dilation, padding = pair(given["dilation"]), given["padding"]
    if padding == "same":
        around = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(n % 2 for n in around):
            raise refusal(
                call, f"padding='same' of the even kernel {tuple(kernel)} is asymmetric", "odd kernels, or numbers"
            )
        padding = [n // 2 for n in around]
    return Window(kernel, pair(given["stride"]), (0, 0) if padding == "valid" else pair(padding), dilation)


def linear(build: Translation, call: Node) -> str:
    """Matrix product."""
    given = arguments(call)
    product = ops.Linear(
        name=build.name(call),
        inputs=(build.real(given["input"]),),
        weight=array(build, call, given["weight"], "weight"),
        bias=array(build, call, given["bias"], "bias") if given["bias"] is not None else None,
        note=_why_real(build, given["input"]),
    )
    return build.emit.add(product, Kind.REAL, sample_shape(call))


def _why_real(build: Translation, x: Node) -> str:
    return "its input is the network's" if x is build.program.input else "kept real by the model"


def batch_norm(build: Translation, call: Node) -> str:
    """Scale and shift in the roundings of torch, whose fused multiply-add rounds the shift once."""
    given = arguments(call)
    x = build.real(given["input"])
    mean, var = (array(build, call, given[f"running_{what}"], f"running {what}") for what in ("mean", "var"))
    scale = np.float32(1) / np.sqrt(var + np.float32(given["eps"]))
    if given["weight"] is not None:
        scale = scale * array(build, call, given["weight"], "weight")
    shift = -mean.astype(np.float64) * scale
    if given["bias"] is not None:
        shift = shift + array(build, call, given["bias"], "bias")
    op = ops.Affine(name=build.name(call), inputs=(x,), scale=scale, shift=shift.astype(np.float32))
    return build.emit.add(op, Kind.REAL, build.emit.shape(x))


def batch_statistics(build: Translation, call: Node) -> str:
    """Batch norm without running statistics has no place in a graph."""
    raise refusal(call, "it uses the statistics of the batch", "batch norm with running statistics")
