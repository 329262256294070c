"""`bw bench`: how long a packed file takes, or a whole suite of layers or networks, in turn with other libraries."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from bitwright.bench.item import Setting, Suite, noise
from bitwright.cli.arguments import Json
from bitwright.cli.networks import open_network
from bitwright.cli.output import milliseconds, need, only_json, print_json, print_table
from bitwright.report.timing import Timing, alternate, describe_machine

File = Annotated[Positional[Path | None], arg(metavar="[FILE.bw]", help_behavior_hint="")]
Quiet = arg(help_behavior_hint="")


def bench(
    file: File = None,
    /,
    *,
    against: Annotated[Literal["torch"] | None, arg(metavar="torch", help_behavior_hint="")] = None,
    suite: Annotated[Suite | None, arg(metavar="layers|networks|sparsity", help_behavior_hint="")] = None,
    peers: Annotated[str, arg(metavar="NAME,NAME...")] = "torch,onnxruntime,openvino,lce",
    items: Annotated[tuple[str, ...], Quiet] = (),
    densities: Annotated[tuple[float, ...], Quiet] = (),
    output: Annotated[Path | None, arg(metavar="FILE.csv", help_behavior_hint="")] = None,
    isa: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None,
    threads: int = 1,
    batch: int = 1,
    runs: int = 50,
    warmup: int = 5,
    json: Json = False,
) -> None:
    """Time a packed file, alone or in turn with PyTorch; or, with --suite, layers or networks against other libraries.

    For a file, PyTorch runs the float32 network of the same shapes: ordinary convolutions, batch norm folded into them,
    hardtanh for the signs, in the faster of its two memory layouts. Ratios are those of the medians. In a suite, each
    peer runs as float32, int8 or binary, whatever it has, and one that is missing is named. The suite of sparsity has
    one peer, our engine with the dense network of weights -1 and +1.

    Example: bw bench net.bw --against torch --threads 1

    Example: bw bench --suite layers --peers torch,openvino --items 28x28x128 --output rows.csv

    Args:
        file: The packed network.
        against: What to measure in turn with the file.
        suite: What to time in place of a file.
        peers: Whom to compare a suite with.
        items: Some of the suite's layers or networks; all by default.
        densities: Shares of the weights that are 1, beside the dense form; the suite's own by default. Of sparsity,
            up to 0.5, which is half ones.
        output: A CSV file to add the suite's rows to.
        isa: Our instruction set; by default BITWRIGHT_ISA of the environment, else the best.
        threads: How many threads each of them gets.
        batch: Images in one call.
        runs: Measurements of each; in a suite, rounds of about 20 ms each.
        warmup: Calls of each before the first measurement of a file.
        json: Print one JSON object instead of a table.
    """
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, found {batch}")
    if (file is None) == (suite is None):
        raise ValueError("expected either a file or --suite layers, networks or sparsity")
    if suite is not None:
        if against is not None:
            raise ValueError("--against goes with a file; a suite has --peers")
        _bench_suite(suite, peers, items, densities, output, isa, Setting(threads, batch), runs, json)
    else:
        assert file is not None
        _bench_file(file, against, isa, Setting(threads, batch), runs, warmup, json)


def _bench_file(
    file: Path, against: str | None, isa: str | None, setting: Setting, runs: int, warmup: int, json: bool
) -> None:
    if against == "torch":
        need("torch", "train", "bw bench --against torch")
    threads, batch = setting.threads, setting.batch
    with only_json(json):
        network = open_network(file, threads=threads, isa=isa)
        x = noise(network.graph.input_type, batch)
        calls: dict[str, Callable[[], object]] = {"bitwright": lambda: network.run(x)}
        if against == "torch":
            from bitwright.bench.peers.pytorch import torch_call

            calls["torch"] = torch_call(network.graph, x, threads)
        timings = alternate(calls, runs=runs, warmup=warmup)
    peer, machine = timings.get("torch"), describe_machine()
    if json:
        result: dict[str, Any] = {name: asdict(timing) for name, timing in timings.items()}
        if peer is not None:
            result["ratio"] = peer.median_ms / timings["bitwright"].median_ms
        print_json({**result, "threads": threads, "batch": batch, **asdict(machine)})
        return
    title = f"{file}: batch {batch}, {threads} thread{'s' if threads > 1 else ''}, {machine.cpu}"
    rows = [_row(name, timing, batch) for name, timing in timings.items()]
    print_table(title, ["", "median", "minimum", "median an image", "runs"], rows, "lrrrr")
    if peer is not None:
        print(f"PyTorch float32 takes {peer.median_ms / timings['bitwright'].median_ms:.2f} times as long.")


def _bench_suite(
    suite: Suite,
    peers: str,
    items: Sequence[str],
    densities: Sequence[float],
    output: Path | None,
    isa: str | None,
    setting: Setting,
    rounds: int,
    json: bool,
) -> None:
    from bitwright.bench.peers import PEERS
    from bitwright.bench.rows import add_rows, result_rows
    from bitwright.bench.run import ITEMS, make_item, run_item
    from bitwright.bench.sparsity import dense_twin

    names = [name for name in peers.split(",") if name]
    for name in names:
        if name not in PEERS:
            raise ValueError(f"--peers: expected some of {', '.join(PEERS)}, found {name!r}")
    if suite != "layers":
        need("torch", "train", f"bw bench --suite {suite}")
    chosen = [dense_twin(isa)] if suite == "sparsity" else [PEERS[name] for name in names]
    rows, absent = [], {}
    with only_json(json):
        for name in items or ITEMS[suite]:
            item = make_item(suite, name, densities)
            result = run_item(item, suite, chosen, setting, isa=isa, rounds=rounds)
            found = result_rows(result, suite, setting)
            if output is not None:
                add_rows(output, found)
            rows += found
            absent[name] = result.absent
            if not json:
                _print_item(name, found, setting)
    if json:
        print_json({"rows": rows, "absent": absent})
        return
    reasons = {peer: reason for missing in absent.values() for peer, reason in missing.items()}
    for peer, reason in reasons.items():
        where = [name for name, missing in absent.items() if peer in missing]
        print(f"{peer}: {reason}" + ("" if len(where) == len(absent) else f" ({', '.join(where)})"))
    if output is not None:
        print(f"{output}: {len(rows)} rows added")


def _print_item(name: str, rows: Sequence[dict[str, Any]], setting: Setting) -> None:
    """One table for an item: a line for each density of ours, then one for each peer with its ratio to each of them."""
    densities = list(dict.fromkeys(row["density"] for row in rows))
    cells = []
    for density in densities:
        row = next(row for row in rows if row["density"] == density)
        about = " ".join(filter(None, [row["isa"], row["kernel"]]))
        cells.append([f"bitwright, density {density:g}", about, *_times(row, "")])
    for row in rows:
        if row["peer"] and row["density"] == densities[0]:
            same = [other for other in rows if (other["peer"], other["way"]) == (row["peer"], row["way"])]
            ratios = " / ".join(f"{other['ratio']:.1f}" for other in same)
            cells.append([f"{row['peer']} {row['way']}", row["peer_isa"], *_times(row, "peer_")[:-1], ratios])
    columns = ["", "instructions", "median us", "minimum us", f"ratio to {' / '.join(f'{d:g}' for d in densities)}"]
    title = f"{name}: batch {setting.batch}, {setting.threads} thread{'s' if setting.threads > 1 else ''}"
    print_table(title, columns, cells, "llrrr")


def _times(row: dict[str, Any], prefix: str) -> list[str]:
    return [f"{row[f'{prefix}median_us']:.1f}", f"{row[f'{prefix}min_us']:.1f}", ""]


def _row(name: str, timing: Timing, batch: int) -> list[str]:
    label = {"torch": "PyTorch float32"}.get(name, name)
    times = [timing.median_ms, timing.min_ms, timing.median_ms / batch]
    return [label, *map(milliseconds, times), str(timing.runs)]
