"""`bw inspect`: what is in a packed file, layer by layer."""

from dataclasses import asdict

from bitwright.cli.arguments import Json, NetworkFile
from bitwright.cli.output import count, only_json, percent, print_json, print_table
from bitwright.format.reader import read
from bitwright.report.summary import Layer, Summary, summarize


def inspect_file(file: NetworkFile, /, *, json: Json = False) -> None:
    """Show what is in a packed file, layer by layer, what it costs, and which kernel runs it on this machine.

    A kernel is named once for each step of the engine; ops that run within another op's step are "fused".

    Example: bw inspect net.bw

    Args:
        file: The packed network.
        json: Print one JSON object instead of tables.
    """
    with only_json(json):
        from bitwright.runtime.engine import load

        kernels = {}
        for step in load(file).layers():
            kernels[step.name] = step.kernel
            kernels.update((name, "fused") for name in step.fused)
        graph = read(file)
        summary = summarize(graph, file.stat().st_size, kernels)
    if json:
        print_json({**asdict(summary), "meta": graph.meta, "input": asdict(graph.input_type)})
        return
    columns = ["layer", "op", "output", "density", "bits a weight", "bytes", "BOPs", "FLOPs", "kernel", "note"]
    print_table(f"{file}", columns, [_row(layer) for layer in summary.layers], "lllrrrrrll")
    print_table("Totals", ["", ""], _totals(summary))


def _row(layer: Layer) -> list[str]:
    bits = "" if layer.bits_per_weight is None else f"{layer.bits_per_weight:.3g}"
    counts = [count(value) if value else "" for value in (layer.bytes, layer.bops, layer.flops)]
    shape = "x".join(map(str, layer.shape))
    return [layer.name, layer.op, shape, percent(layer.density), bits, *counts, layer.kernel, layer.note]


def _totals(summary: Summary) -> list[list[str]]:
    totals = summary.totals
    return [
        ["bytes of the file", count(summary.bytes)],
        ["weights, of one bit", count(totals.binary_weights)],
        ["weights, real", count(totals.real_weights)],
        ["density of the one-bit weights", percent(totals.density)],
        ["BOPs", count(totals.bops)],
        ["FLOPs", count(totals.flops)],
        ["OPs = BOPs / 64 + FLOPs", count(totals.ops)],
    ]
