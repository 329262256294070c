"""The counting rules of the papers: operations, parameters and memory of a network, by name.

A rule takes a network's `Parts`, read off a graph by `ir.parts`, or off a trained module by `nn.parts`.

With N = pixels of the output, c = input channels, f = filters that read one of them, k*k = weights of a kernel, M = all
binary weights and H(p) = -p*log2(p) - (1-p)*log2(1-p).
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log2

import numpy as np

from bitwright.ir.parts import BinaryWeights, Parts

OPS_PER_FLOP = 64  # binary multiply-adds that cost as much as a real one

_BI_REAL = "Liu et al. (Bi-Real Net), ECCV 2018"
_SBNN = "Schiavone et al. (SBNN), ECML PKDD 2023; after the kernel statistics of its code"
_SUBBIT = "Wang et al. (Sub-bit), ICCV 2021, its code's README; the formula gives all its figures"
_MULTI_PRIZE = "Diffenderfer and Kailkhura (multi-prize tickets), ICLR 2021"
_NAS_BNN = "Lin et al. (NAS-BNN), arXiv 2408.15484, its code"


@dataclass(frozen=True)
class Rule:
    """How one thing is counted.

    Attributes:
        name: Of the rule; different things may be counted by rules of one name.
        counts: "BOPs", "FLOPs", "parameters" (binary weights) or "bits" (of the binary weights).
        formula: In the words of this module.
        source: Where it comes from.
        count: Applies it.
    """

    name: str
    counts: str
    formula: str
    source: str
    count: Callable[[Parts], float] = field(repr=False)


def entropy(p: float) -> float:
    """H(p) = -p*log2(p) - (1-p)*log2(1-p): bits that a weight needs at least if the share p of all is at one value.

    Args:
        p: 0 to 1.
    """
    return symbol_entropy([p, 1 - p])


def symbol_entropy(shares: Sequence[float]) -> float:
    """Bits that a symbol needs at least: -sum(p * log2(p)).

    Args:
        shares: p of each symbol, with a sum of 1.
    """
    return sum(-p * log2(p) for p in shares if p > 0)


def huffman_lengths(counts: Sequence[int]) -> list[int]:
    """Bits of the Huffman code of each symbol; one bit if there is a single symbol.

    Args:
        counts: How often each occurs, at least once.
    """
    if len(counts) == 1:
        return [1]
    heap = [(int(n), index, [index]) for index, n in enumerate(counts)]
    heapq.heapify(heap)
    lengths = [0] * len(counts)
    while len(heap) > 1:
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        for index in a[2] + b[2]:
            lengths[index] += 1
        heapq.heappush(heap, (a[0] + b[0], a[1], a[2] + b[2]))
    return lengths


def index_bits(layer: BinaryWeights) -> int:
    """b, the fewest bits that number the distinct kernels of a layer; at least 1."""
    return max(1, ceil(log2(len(layer.kernel_counts))))


def _by_layer(count: Callable[[BinaryWeights], float]) -> Callable[[Parts], float]:
    return lambda parts: sum(count(layer) for layer in parts.binary)


def _dense(layer: BinaryWeights) -> int:
    return layer.planes * layer.pixels * layer.symbols.size


def _ones_filter(layer: BinaryWeights) -> int:
    """Multiply-adds a pixel of the one filter of ones in each group; none where symbol 0 stands for 0."""
    return layer.channels * layer.kernel if layer.offset else 0


def _kernel_skipping(layer: BinaryWeights) -> int:
    used = int(layer.symbols.any((2, 3)).sum())
    return layer.planes * layer.pixels * (used * layer.kernel + _ones_filter(layer))


def _fine_grained(layer: BinaryWeights) -> int:
    return layer.planes * layer.pixels * (layer.ones + _ones_filter(layer))


def _shared_patterns(layer: BinaryWeights) -> float:
    if layer.symbols.shape[2:] != (3, 3) or (patterns := 2 ** index_bits(layer)) >= layer.readers:
        return _dense(layer)
    return layer.planes * layer.channels * layer.pixels * (layer.kernel * patterns + layer.readers / 2)


def _bitmap(layer: BinaryWeights) -> int:
    return layer.symbols.size * (layer.levels - 1)


def _entropy(parts: Parts) -> float:
    counts = sum((np.bincount(layer.symbols.ravel(), minlength=3) for layer in parts.binary), np.zeros(3, int))
    shares = counts / max(parts.binary_weights, 1)
    return parts.binary_weights * symbol_entropy(shares.tolist())


def _entropy_by_layer(parts: Parts) -> float:
    return sum(_entropy(Parts((layer,), (), 0, 0)) for layer in parts.binary)


def _kernel_huffman(layer: BinaryWeights) -> int:
    counts = layer.kernel_counts
    lengths = huffman_lengths(counts.tolist())
    codes = sum(n * length for n, length in zip(counts.tolist(), lengths, strict=True))
    return codes + sum(lengths) + len(counts) * layer.kernel * (layer.levels - 1)


def _pattern_indices(layer: BinaryWeights) -> int:
    if layer.symbols.shape[2:] != (3, 3):
        return _bitmap(layer)
    return min(index_bits(layer) * (layer.symbols.size // layer.kernel), _bitmap(layer))


def _pattern_tables(layer: BinaryWeights) -> int:
    if layer.symbols.shape[2:] != (3, 3):
        return _bitmap(layer)
    return _pattern_indices(layer) + layer.kernel * 2 ** index_bits(layer)


def _seeded(layer: BinaryWeights) -> float:
    return layer.symbols.size * entropy(layer.ones / layer.symbols.size)


def _multiply_adds(parts: Parts) -> int:
    return sum(layer.products for layer in parts.real)


def _eight_bit_stem(parts: Parts) -> float:
    first = next((layer for layer in parts.real if layer.convolution), None)
    added = sum(layer.biases for layer in parts.real if not layer.convolution)
    return _multiply_adds(parts) - (first.products * 7 / 8 if first else 0) + added


RULES: tuple[Rule, ...] = (
    Rule("dense", "BOPs", "sum of N*k*k*c*f", _BI_REAL, _by_layer(_dense)),
    Rule(
        "kernel_skipping",
        "BOPs",
        "sum of N*k*k*(kernels with a rarer weight + c); c only where the commoner weight is not 0",
        _SBNN,
        _by_layer(_kernel_skipping),
    ),
    Rule(
        "fine_grained",
        "BOPs",
        "sum of N*(weights of the rarer value + k*k*c); k*k*c only where the commoner weight is not 0",
        _SBNN,
        _by_layer(_fine_grained),
    ),
    Rule(
        "shared_patterns",
        "BOPs",
        "sum of N*c*(k*k*2^b + f/2) where 2^b < f and k is 3, else dense; b bits number a layer's distinct kernels",
        _SUBBIT,
        _by_layer(_shared_patterns),
    ),
    Rule("multiply_adds", "FLOPs", "multiply-adds of real layers", _BI_REAL, _multiply_adds),
    Rule(
        "eight_bit_stem",
        "FLOPs",
        "multiply-adds of real layers, the first convolution's / 8, and the biases of linear layers",
        _NAS_BNN,
        _eight_bit_stem,
    ),
    Rule("all", "parameters", "M", _BI_REAL, lambda parts: parts.binary_weights),
    Rule("kept", "parameters", "weights of the rarer value", _MULTI_PRIZE, _by_layer(lambda layer: layer.ones)),
    Rule("dense", "bits", "M; 2*M where a layer has exact zeros besides two values", _BI_REAL, _by_layer(_bitmap)),
    Rule(
        "entropy",
        "bits",
        "M*H(p), p the share of the rarer values of all layers; the levels are real parameters",
        "Schiavone et al. (SBNN), ECML PKDD 2023",
        _entropy,
    ),
    Rule("entropy_by_layer", "bits", "the same, each layer with its own p", "this library", _entropy_by_layer),
    Rule(
        "kernel_huffman",
        "bits",
        "Huffman code of the kernels of each layer; for each distinct one its weights and its code",
        f"{_SBNN}; the table is our reading",
        _by_layer(_kernel_huffman),
    ),
    Rule("pattern_indices", "bits", "sum of b*c*f where k is 3, else dense", _SUBBIT, _by_layer(_pattern_indices)),
    Rule(
        "pattern_indices_and_table",
        "bits",
        "sum of b*c*f + 9*2^b where k is 3, else dense",
        "Wang et al. (Sub-bit), ICCV 2021",
        _by_layer(_pattern_tables),
    ),
    Rule(
        "seeded_signs",
        "bits",
        "sum of M*H(kept share), by layer; signs come from a seed",
        _MULTI_PRIZE,
        _by_layer(_seeded),
    ),
)


@dataclass(frozen=True)
class RuleCounts:
    """A network in numbers, by every rule; `dataclasses.asdict` makes JSON of it.

    OPs = BOPs / 64 + FLOPs, the FLOPs as multiply-adds. Memory = bits of the binary weights + real bits.

    Attributes:
        bops: Binary operations for one sample, by rule.
        flops: Real operations for one sample, by rule.
        parameters: Binary weights, by rule.
        bits: Bits of the binary weights, by rule.
        real_parameters: All other parameters.
        real_bits: What these take.
    """

    bops: Mapping[str, float]
    flops: Mapping[str, float]
    parameters: Mapping[str, float]
    bits: Mapping[str, float]
    real_parameters: int
    real_bits: int

    def ops(self, bops: str = "dense", flops: str = "multiply_adds") -> float:
        """BOPs / 64 + FLOPs.

        Args:
            bops: The rule for binary operations.
            flops: The rule for real ones.

        Reference: Liu et al. (ReActNet), ECCV 2020.
        """
        return self.bops[bops] / OPS_PER_FLOP + self.flops[flops]

    def memory(self, bits: str = "dense") -> float:
        """Bits of all parameters.

        Args:
            bits: The rule for binary weights.
        """
        return self.bits[bits] + self.real_bits

    def of(self, rule: Rule) -> float:
        """What a rule gives.

        Args:
            rule: One of `RULES`.
        """
        found = {"BOPs": self.bops, "FLOPs": self.flops, "parameters": self.parameters, "bits": self.bits}
        return found[rule.counts][rule.name]

    def __str__(self) -> str:
        """One line for each rule, and the real parameters."""
        lines = [f"{rule.counts:10} {rule.name:26} {self.of(rule):18,.0f}" for rule in RULES]
        real = f"{self.real_parameters:,} real parameters, {self.real_bits:,} bits"
        return "\n".join(
            [*lines, f"and {real}; {self.ops():,.0f} OPs, {self.memory():,.0f} bits of memory, both dense"]
        )


def apply_rules(parts: Parts) -> RuleCounts:
    """Count a network by every rule of `RULES`.

    Args:
        parts: What it is made of.
    """
    found: dict[str, dict[str, float]] = {"BOPs": {}, "FLOPs": {}, "parameters": {}, "bits": {}}
    for rule in RULES:
        found[rule.counts][rule.name] = rule.count(parts)
    return RuleCounts(
        found["BOPs"], found["FLOPs"], found["parameters"], found["bits"], parts.real_parameters, parts.real_bits
    )
