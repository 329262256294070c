"""Random graphs as files, each with inputs and the interpreter's outputs, for native/tests/test_models.cpp.

    python tests/models.py FOLDER

writes N.bw, N.in and N.out for N = 0, 1, ...; the last two hold a batch as plain bytes.
"""

import sys
from pathlib import Path

import numpy as np
from coded import coded_graphs
from graphs import random_input, seeded_graph

from bitwright.format.writer import write
from bitwright.ir.interpret import interpret
from bitwright.ir.ops import Graph

COUNT, BATCH = 300, 3


def models() -> list[Graph]:
    """The same graphs each time; they hold every op, every pair of levels of activations and weights, and weights in
    every encoding of bits."""
    return [*coded_graphs(), *(seeded_graph(seed) for seed in range(COUNT))]


def write_models(folder: Path, graphs: list[Graph]) -> None:
    """Each graph, a batch for it, and what the interpreter makes of that."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, graph in enumerate(graphs):
        x = random_input(graph, np.random.default_rng(i), BATCH)
        write(graph, folder / f"{i}.bw")
        (folder / f"{i}.in").write_bytes(x.tobytes())
        (folder / f"{i}.out").write_bytes(interpret(graph, x).tobytes())


if __name__ == "__main__":
    write_models(Path(sys.argv[1]), models())
