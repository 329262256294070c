"""The pipeline: capture, freeze, fold, translate; then write, read back and compare."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bitwright.data.pixels import pixel_affine
from bitwright.errors import LoweringError
from bitwright.format.outputs import KEY as OUTPUTS
from bitwright.format.outputs import to_text
from bitwright.format.posterior import KEY as POSTERIOR
from bitwright.format.reader import read
from bitwright.format.writer import write, writing
from bitwright.ir import ops
from bitwright.ir.ops import Graph, Kind, TensorType
from bitwright.ir.verify import verify
from bitwright.lower.capture import BATCH, capture, check_tensors, on_cpu
from bitwright.lower.compare import Comparison, compare
from bitwright.lower.emit import Emitter
from bitwright.lower.first_layer import FirstLayerReport, integer_first_layer
from bitwright.lower.fold import fold
from bitwright.lower.freeze import freeze, read_layers
from bitwright.lower.operators import OPERATORS
from bitwright.lower.posterior import posterior_meta
from bitwright.lower.real_weights import RealWeightsReport, round_real_weights
from bitwright.lower.stream import StreamReport, fixed_stream
from bitwright.lower.translate import Translation, translate
from bitwright.nn.modes import evaluating

Pixels = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote and what its comparison with torch found on the example.

    Args:
        path: The file.
        bytes: Its size.
        images: Samples in the example.
        comparison: Bits, accumulators and logits, see `Comparison`.
        real: Why each comparison that works on real numbers does so, by its name.
        stream: What the fixed-point stream changes against the float32 stream; None without one.
        first_layer: What integer weights of the first layer change against the file that was compared, likewise.
        real_weights: What rounding the weights of real layers to 8 bits changes besides, likewise.
    """

    path: Path
    bytes: int
    images: int
    comparison: Comparison
    real: dict[str, str]
    stream: StreamReport | None = None
    first_layer: FirstLayerReport | None = None
    real_weights: RealWeightsReport | None = None

    @property
    def bits(self) -> int:
        """Bits that were compared, of all signs."""
        return sum(sign.bits for sign in self.comparison.signs)

    @property
    def differing(self) -> int:
        """Bits that differ from torch's."""
        return sum(sign.differing for sign in self.comparison.signs)

    def __str__(self) -> str:
        """A few lines for people."""
        found = self.comparison
        lines = [
            f"{self.path}: {self.bytes:,} bytes; compared with torch on {self.images} samples:",
            f"  signs          {self.differing:,} of {self.bits:,} bits differ",
            f"  accumulators   0 of {found.accumulators:,} differ",
            f"  output         differs by {found.logits_absolute:.3g}, {found.logits_relative:.3g} of the largest",
            f"  labels         {found.labels_differing} of {self.images} differ",
        ]
        for sign in found.signs:
            if sign.differing:
                lines.append(
                    f"  {sign.name}: {sign.differing:,} of {sign.bits:,} bits, the farthest {sign.distance:.2g} "
                    "from its threshold (relative to the largest value)"
                )
        for what, changes in (
            ("int16 stream  ", self.stream),
            ("int16 weights ", self.first_layer),
            ("int8 weights  ", self.real_weights),
        ):
            if changes is not None:
                lines.append(
                    f"  {what} changes {changes.labels_differing} of {self.images} labels, outputs by "
                    f"{changes.logits_relative:.3g} of the largest"
                )
        return "\n".join(lines)


def lower(
    net: nn.Module, example: Tensor, *, pixels: Pixels | None = None, labels: Sequence[str] | None = None
) -> Graph:
    """Turn a trained network into a graph, without writing it.

    Shape:
        example: as for `export`.

    Args:
        net: The network; it is left as it was found.
        example: A batch of inputs; only its shape matters here.
        pixels: As for `export`.
        labels: As for `export`.

    Raises:
        LoweringError: If the network has no place in a graph; names the module.
        TypeError: If the example has another dtype than expected.
        ValueError: If it has another shape.
    """
    source = on_cpu(net)
    with evaluating(source):
        return _lower(source, _network_input(example, pixels), pixels, labels)[0]


def export(
    net: nn.Module,
    path: str | os.PathLike[str],
    example: Tensor,
    *,
    pixels: Pixels | None = None,
    labels: Sequence[str] | None = None,
    stream: Literal["float32", "int16"] = "float32",
    first_layer: Literal["float32", "int16"] = "float32",
    real_weights: Literal["float32", "int8"] = "float32",
) -> ExportReport:
    """Lower a trained network, write it, read it back and compare it with torch on the example.

    The network returns a tensor, or a dict, tuple or list of tensors, as feature pyramids do, and what `bitwright.load`
    gives returns the like. The file's own output is then a row of all their elements, and "label" in the report means
    the place of the largest one.

    The file has a temporary name until the comparison has passed, and then takes its own at once: until then an older
    file there stays, and whatever fails leaves nothing behind.

    Shape:
        example: (N, C, H, W) or (N, F) float32, what the network takes; with `pixels` (N, C, H, W) uint8, what the file
        takes. Any N from 1 on.

    Args:
        net: The network, on any device, in any mode; it is left as it was found.
        path: Where to write, usually ending in `.bw`.
        example: Inputs to compare on; a few dozen real images tell more than one.
        pixels: Mean and standard deviation of each channel, with pixels from 0 to 1. The file then takes uint8 pixels p
            and computes (p / 255 - mean) / std itself, as p * scale + shift.
        labels: Names of the classes, kept in the file; no line breaks. As many as the output has elements, if it is
            one tensor.
        stream: How the real values that shortcuts carry are kept between layers. "float32" is what torch computes;
            "int16" rounds those of maps from 256 KiB on to fixed-point numbers, whose range the example decides: half
            the memory to move. The report says what that changes on the example.
        first_layer: How the convolution that reads the pixels computes. "float32" is what torch computes; "int16"
            rounds its weights, with the normalisation and a batch norm in them, to 16 bits, and adds up integers,
            which is faster. The report says what that changes on the example. Needs `pixels`.
        real_weights: How the file holds the weights of real convolutions and linear layers. "float32" is as torch does;
            "int8" rounds each to one of 255 multiples of a scale of its filter: a quarter of the bytes. The report says
            what that changes on the example. A first layer of "int16" keeps its 16 bits.

    Returns:
        What was written, and how it compares.

    Raises:
        LoweringError: If the network has no place in a graph, which names the module and the reason; or if the file
            does not compute what torch computes; or if `first_layer` is "int16" and no convolution reads the pixels.
        TypeError: If the example has another dtype than expected.
        ValueError: If it has another shape, or `stream`, `first_layer` or `real_weights` is another word.
        BitwrightError: If the file cannot be written.

    Example:
        >>> import tempfile, bitwright as bw
        >>> net = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 5), nn.Linear(5, 2))
        >>> net = bw.binarize(net, bw.methods.bi_real_net())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = bw.export(net, f"{folder}/net.bw", example=torch.randn(3, 8))
        >>> report.bits, report.differing
        (18, 0)
    """
    for option, value, other in (
        ("stream", stream, "int16"),
        ("first_layer", first_layer, "int16"),
        ("real_weights", real_weights, "int8"),
    ):
        if value not in ("float32", other):
            raise ValueError(f"{option}: expected 'float32' or '{other}', found {value!r}.")
    if first_layer == "int16" and pixels is None:
        raise ValueError("first_layer: 'int16' multiplies pixels, found a real-valued input. Give pixels=(mean, std).")
    path = Path(path)
    source = on_cpu(net)
    streamed = integers = rounded = None
    with evaluating(source):
        x = _network_input(example, pixels)
        graph, build = _lower(source, x, pixels, labels)
        if first_layer == "int16" and POSTERIOR in graph.meta:
            raise LoweringError("first_layer='int16' rounds weights that are random. Export with 'float32'.")
        with writing(graph, path) as written:
            found = compare(read(written), build, source, example.detach().cpu(), x)
            final, images = graph, example.detach().cpu().numpy()
            if first_layer == "int16":
                final, integers = integer_first_layer(final, images)
            if real_weights == "int8":
                final, rounded = round_real_weights(final, images)
            if stream == "int16":
                final, streamed = fixed_stream(final, images)
            if final is not graph:
                write(final, written)
    real = {op.name: op.note for op in graph.ops if isinstance(op, ops.Binarize | ops.Quantize) and op.note}
    return ExportReport(path, path.stat().st_size, len(x), found, real, streamed, integers, rounded)


def _lower(net: nn.Module, x: Tensor, pixels: Pixels | None, labels: Sequence[str] | None) -> tuple[Graph, Translation]:
    """All passes on a network that lies on the CPU in eval mode."""
    check_tensors(net)
    least, most = BATCH
    batch = min(max(len(x), least), most)
    program = freeze(capture(net, x[:1].expand(batch, *x.shape[1:]).contiguous()))
    if program.output in program.constants or program.output is program.input:
        raise LoweringError(f"{type(net).__name__}: expected an output computed from the input, found none to compute.")
    layers = read_layers(program)
    emit = Emitter("input", TensorType(Kind.REAL if pixels is None else Kind.PIXEL, tuple(x.shape[1:])))
    start = "input"
    if pixels is not None:
        scale, shift = _pixel_constants(pixels, x.shape[1])
        normalize = ops.Affine(name="normalize", inputs=("input",), scale=scale, shift=shift)
        start = emit.add(normalize, Kind.REAL, tuple(x.shape[1:]))
    build = translate(program, layers, fold(program, layers), OPERATORS, emit, start)
    output = build.real(program.output)
    meta = {"producer": f"bitwright {version('bitwright')}", **posterior_meta(net, emit.ops)}
    if program.shapes:
        meta[OUTPUTS] = to_text(program.shapes)
    if labels is not None:
        meta["labels"] = _label_text(labels, len(labels) if program.shapes else emit.shape(output)[0])
    graph = emit.graph(output, meta)
    verify(graph)
    return graph, build


def _network_input(example: Tensor, pixels: Pixels | None) -> Tensor:
    """What the network takes, float32 on the CPU, from what the file takes."""
    if not isinstance(example, Tensor):
        raise TypeError(f"example: expected a torch.Tensor, found {type(example).__name__}.")
    if example.dim() not in (2, 4) or len(example) < 1 or (pixels is not None and example.dim() != 4):
        shapes = "(N, C, H, W)" if pixels is not None else "(N, C, H, W) or (N, F)"
        raise ValueError(f"example: expected the shape {shapes} with N of 1 or more, found {tuple(example.shape)}.")
    expected = torch.float32 if pixels is None else torch.uint8
    if example.dtype != expected:
        why = "" if pixels is None else " because `pixels` is given: the file does the normalisation"
        raise TypeError(f"example: expected {expected}{why}, found {example.dtype}.")
    x = example.detach().cpu()
    if pixels is None:
        return x
    scale, shift = (torch.from_numpy(v)[:, None, None] for v in _pixel_constants(pixels, example.shape[1]))
    return x.float() * scale + shift


def _pixel_constants(pixels: Pixels, channels: int) -> tuple[np.ndarray, np.ndarray]:
    mean, std = (tuple(float(v) for v in values) for values in pixels)
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise ValueError(
            f"pixels: expected (mean, std), {channels} numbers each, one for each channel of the example, "
            f"every std above 0; found {pixels}."
        )
    return pixel_affine(mean, std)


def _label_text(labels: Sequence[str], count: int) -> str:
    if len(labels) != count or any("\n" in label for label in labels):
        raise ValueError(f"labels: expected {count} names without line breaks, found {list(labels)}.")
    return "\n".join(labels)
