"""`bw inspect`: what is in a packed file, layer by layer."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from bitwright.cli.arguments import Json, NetworkFile
from bitwright.cli.output import count, only_json, percent, print_json, print_table
from bitwright.format.posterior import read_posterior
from bitwright.format.reader import read
from bitwright.ir.parts import parts_of_graph
from bitwright.ir.rules import RULES, apply_rules
from bitwright.report.summary import Layer, Summary, summarize

if TYPE_CHECKING:
    from bitwright.runtime.engine import Engine, EngineStep, EngineTensor

_RULE = ("name", "counts", "formula", "source")


def inspect_file(
    file: NetworkFile,
    /,
    *,
    plan: bool = False,
    rules: bool = False,
    isa: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None,
    json: Json = False,
) -> None:
    """Show what is in a packed file, layer by layer, what it costs, and which kernel runs it on this machine.

    A kernel is named once for each step of the engine; ops that run within another op's step are "fused".

    Example: bw inspect net.bw --plan

    Args:
        file: The packed network.
        plan: Show the steps as the engine runs them instead: kernels, shapes, and how the data lie in memory.
        rules: Show operations, parameters and memory by each counting rule of the papers instead.
        isa: The instruction set to run on; by default BITWRIGHT_ISA of the environment, else the best there is.
        json: Print one JSON object instead of tables.
    """
    if plan and rules:
        raise ValueError("expected --plan or --rules, found both")
    if rules:
        _show_rules(file, json)
        return
    with only_json(json):
        from bitwright.runtime.engine import load

        engine = load(file, isa=isa)
        steps = engine.layers()
    if plan:
        _show_plan(engine, steps, json)
    else:
        _show_layers(file, steps, json)


def _show_layers(file: Path, steps: list["EngineStep"], json: bool) -> None:
    kernels = {}
    for step in steps:
        kernels[step.name] = step.kernel
        kernels.update((name, "fused") for name in step.fused)
    graph = read(file)
    summary = summarize(graph, file.stat().st_size, kernels)
    if json:
        print_json({**asdict(summary), "meta": graph.meta, "input": asdict(graph.input_type)})
        return
    columns = ["layer", "op", "output", "density", "stored as", "bits a weight", "bytes"]
    columns += ["BOPs", "FLOPs", "kernel", "note"]
    print_table(f"{file}", columns, [_row(layer) for layer in summary.layers], "lllrlrrrrll")
    posterior = read_posterior(graph)
    drawn = [] if posterior is None else [["Bayesian layer, for bw uncertainty", posterior.op.name]]
    print_table("Totals", ["", ""], [*_totals(summary), *drawn])


def _show_rules(file: Path, json: bool) -> None:
    found = apply_rules(parts_of_graph(read(file)))
    if json:
        print_json({**asdict(found), "rules": [{key: getattr(rule, key) for key in _RULE} for rule in RULES]})
        return
    rows = []
    for rule in RULES:
        ops = count(found.ops(rule.name)) if rule.counts == "BOPs" else ""
        rows.append([rule.counts, rule.name, count(found.of(rule)), ops, rule.formula, rule.source])
    columns = ["what", "rule", "", "OPs = BOPs / 64 + FLOPs", "formula", "source"]
    print_table(f"{file}, by the rules of the papers, for one image", columns, rows, "llrrll")
    print(
        "N pixels of the output, c input channels, f filters that read one, k*k weights of a kernel, M binary weights;"
    )
    print(f"besides {count(found.real_parameters)} other parameters of {count(found.real_bits)} bits.")


def _show_plan(engine: "Engine", steps: list["EngineStep"], json: bool) -> None:
    """The steps in the order in which they run; the ones that no other kernel than the reference takes are named."""
    slow = [step.name for step in steps if step.kernel == "reference" and engine.isa != "reference"]
    if json:
        print_json({"isa": engine.isa, "steps": [asdict(step) for step in steps], "only_reference": slow})
        return
    columns = ["step", "op", "kernel", "fused", "reads", "writes", "changes of layout", "scratch bytes"]
    rows = [
        [
            step.name,
            step.op,
            step.kernel,
            "\n".join(step.fused),
            _tensors(step.reads),
            _tensors(step.writes),
            "\n".join(step.changes),
            count(step.scratch_bytes) if step.scratch_bytes else "",
        ]
        for step in steps
    ]
    print_table(f"{engine.path}: the plan for {engine.isa}", columns, rows, "lllllllr")
    if slow:
        print(f"Only the reference kernel takes the shape of {', '.join(slow)}: these steps are slow.")


def _tensors(tensors: tuple["EngineTensor", ...]) -> str:
    return "\n".join(f"{'x'.join(map(str, tensor.shape))} {tensor.layout}" for tensor in tensors)


def _row(layer: Layer) -> list[str]:
    bits = "" if layer.bits_per_weight is None else f"{layer.bits_per_weight:.3g}"
    counts = [count(value) if value else "" for value in (layer.bytes, layer.bops, layer.flops)]
    shape = "x".join(map(str, layer.shape))
    return [
        layer.name,
        layer.op,
        shape,
        percent(layer.density),
        layer.encoding,
        bits,
        *counts,
        layer.kernel,
        layer.note,
    ]


def _totals(summary: Summary) -> list[list[str]]:
    totals = summary.totals
    return [
        ["bytes of the file", count(summary.bytes)],
        ["bytes of weights of one bit", _weight_bytes(totals.binary_weight_bytes, totals.binary_weights)],
        ["bytes of real weights", _weight_bytes(totals.real_weight_bytes, totals.real_weights)],
        ["bytes of other parameters", count(totals.parameter_bytes)],
        ["bytes of tables, text and padding", count(totals.table_bytes)],
        ["weights, of one bit", count(totals.binary_weights)],
        ["weights, real", count(totals.real_weights)],
        ["density of the one-bit weights", percent(totals.density)],
        ["bits of the file for each", "" if totals.bits_per_weight is None else f"{totals.bits_per_weight:.3g}"],
        ["BOPs", count(totals.bops)],
        ["FLOPs", count(totals.flops)],
        ["OPs = BOPs / 64 + FLOPs", count(totals.ops)],
    ]


def _weight_bytes(bytes_: int, weights: int) -> str:
    """Bytes of so many weights, and the bits that each of them takes."""
    return f"{count(bytes_)}: {8 * bytes_ / weights:.3g} bits each" if weights else count(0)
