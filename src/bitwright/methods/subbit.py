"""Sub-bit networks: the 3x3 kernels of a layer come from a small learned set of patterns, and are stored as indices.

A kernel takes the nearest of 2^b patterns, so a weight costs b/9 bit: 0.67, 0.56 and 0.44 for b of 6, 5 and 4. The
patterns are the signs of parameters that learn on every 25th step, from all kernels that chose them; before that step
a pattern that has become equal to another one makes room for a random one. Kernels that are not 3x3, and linear
layers, have no sub-bit form: their weights are plain signs, of one bit each.

Deployed: few distinct kernels a layer, which the file holds as b bits a kernel and 9 * 2^b bits of patterns, or in a
Huffman code where that takes less; a real scale a filter, which folds into the batch norm behind, or two real levels a
layer in the general domain.

Checked: numbers of the authors' code and, for the general domain, of SBNN's. Not as in the code: steps are counted in
training only; the sign that a pattern keeps near 0 follows it when the set is repaired; nearness is the inner
product's, which is exact where the published distances round; between their steps patterns have no gradient at all,
so that an optimizer's momentum does not move them.

Reference: Wang, Yang, Sun and Yao, "Sub-bit Neural Networks: Learning to Compress and Accelerate Binary Neural
Networks", ICCV 2021, and its published code.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bitwright.core.binarizers import ScaledSign, Sign
from bitwright.core.budget import Budgeted, ConnectionBudget
from bitwright.core.estimators import approx_sign, ste, straight_through
from bitwright.core.hooks import Stepped
from bitwright.core.method import Method

SIDE = 3
CELLS = SIDE * SIDE
ALL = 2**CELLS
DEAD_ZONE = 1e-3  # a pattern's parameter nearer to 0 keeps the sign it had
LIMIT = 3.0  # of a pattern's parameters
CLIP = 1.5  # of latent weights in the general domain


def patterns_of(numbers: Tensor) -> Tensor:
    """The patterns of numbers from 0 to 511: position j, row by row, is +1 where bit j is 1.

    Shape:
        numbers (K,), integers; the result (K, 9), -1 and +1.
    """
    return ((numbers[:, None] >> torch.arange(CELLS, device=numbers.device)) & 1).float() * 2 - 1


def numbers_of(patterns: Tensor) -> Tensor:
    """The numbers of patterns, by their signs: the inverse of `patterns_of`.

    Shape:
        patterns (K, 9); the result (K,), integers.
    """
    return ((patterns >= 0) << torch.arange(CELLS, device=patterns.device)).sum(1)


class Codebook(nn.Module, Stepped):
    """The nearest pattern of each kernel: b = memory[k] with k = argmax <memory[k], w>, the first of equals.

    All patterns are equally long, so the largest inner product is the least distance. `memory` holds the signs of
    `patterns`. With g = dL/db: dL/dw = g where abs(w) <= 1, else 0; dL/dpatterns[k] = sum of g over the kernels that
    chose k, in every step number `every`, 2 * `every` and so on, and no gradient in the others.

    Shape:
        w (out, in, 3, 3), unchanged; patterns and memory (2^index_bits, 9).

    Args:
        index_bits: 1 to 9; 9 gives every pattern a place, and so the signs of w.
        every: how many steps lie between two that train the patterns.
    """

    memory: Tensor
    steps: Tensor

    def __init__(self, index_bits: int, every: int = 25) -> None:
        super().__init__()
        self.index_bits = index_bits
        self.every = every
        start = patterns_of(torch.randperm(ALL)[: 2**index_bits])
        start = start[start.sum(1).argsort(descending=True)]  # of equally near patterns the first has most of +1
        self.patterns = nn.Parameter(start)
        self.register_buffer("memory", start.clone())
        self.register_buffer("steps", torch.tensor(0))
        self.count_to(0)

    def count_to(self, steps: int) -> None:
        """Take so many steps for done; `refines` then says whether the next one trains the patterns."""
        self.steps.fill_(steps)
        self.done = steps  # the same without waiting for the device
        self.refines = (steps + 1) % self.every == 0  # a constant to torch.compile, which `done` would not be

    def choose(self, w: Tensor) -> Tensor:
        """The index of each kernel's pattern.

        Shape:
            w (out, in, 3, 3), the result (out, in).
        """
        kernels = w.detach().reshape(-1, CELLS).double()  # exact, also in mixed precision
        return (kernels @ self.memory.T.double()).argmax(1).view(w.shape[:2])

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        index = self.choose(w)
        surrogate = w.clamp(-1, 1)
        if self.refines:
            surrogate = surrogate + self.patterns[index].view_as(w)
        return straight_through(self.memory[index].view_as(w).to(w.dtype), surrogate)

    def after_step(self, weight: Tensor) -> None:
        """Take over the signs of the patterns, and repair the set ahead of the step that trains it."""
        self.remember()
        self.count_to(self.done + 1)
        if self.refines:
            self.repair()

    @torch.no_grad()
    def remember(self) -> None:
        """Take over the signs of the patterns' parameters, except where these are nearer to 0 than 0.001."""
        self.memory.copy_(self.patterns.sign().where(self.patterns.abs() >= DEAD_ZONE, self.memory))

    @torch.no_grad()
    def repair(self) -> None:
        """Of equal patterns keep the first, fill up with random ones, and clamp the parameters to [-3, 3]."""
        numbers = numbers_of(self.memory).tolist()
        kept = [row for row, number in enumerate(numbers) if number not in numbers[:row]]
        if missing := len(numbers) - len(kept):
            lot = torch.Generator().manual_seed(self.done + sum(numbers))  # the same in all processes of a training
            drawn = torch.randperm(ALL, generator=lot, device="cpu").tolist()
            unused = [number for number in drawn if number not in numbers]
            fresh = patterns_of(torch.tensor(unused[:missing])).to(self.memory)
            self.memory.copy_(torch.cat([self.memory[kept], fresh]))
            self.patterns.copy_(torch.cat([self.patterns[kept], fresh.to(self.patterns)]))
        self.patterns.clamp_(-LIMIT, LIMIT)

    def _load_from_state_dict(self, *args: Any, **named: Any) -> None:
        super()._load_from_state_dict(*args, **named)
        self.count_to(int(self.steps))

    def extra_repr(self) -> str:
        """The size of the set."""
        return f"patterns={len(self.memory)}, every={self.every}"


class SubbitWeight(nn.Module, Stepped):
    """scale * b: b is, of the layer's patterns, each kernel's nearest; scale = mean(abs(w)) over each filter.

    The gradient takes the scale for a constant; that of b is the `Codebook`'s.

    Shape:
        w (out, in, 3, 3), unchanged.
    """

    def __init__(self, signs: Codebook) -> None:
        super().__init__()
        self.signs = signs

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        return w.detach().abs().mean((1, 2, 3), keepdim=True) * self.signs(w)

    def after_step(self, weight: Tensor) -> None:
        """Let the set of patterns follow the step."""
        self.signs.after_step(weight)


class SubbitDomain(Budgeted):
    """tau * b + phi with b of a `Codebook`, or the signs of w: the general domain of SBNN.

    Against the budget counts what is high in b, so its penalty reaches w and the patterns as any gradient of b does.

    Shape:
        w (out, ...), unchanged; tau and phi 0-d.

    Args:
        signs: makes b.
        budget: of high weights, shared with the other layers.
    """

    def __init__(self, signs: Codebook | Sign, budget: ConnectionBudget) -> None:
        super().__init__(budget, CLIP)
        self.signs = signs
        self.tau = nn.Parameter(torch.tensor(1.0))
        self.phi = nn.Parameter(torch.tensor(0.0))

    def forward(self, w: Tensor) -> Tensor:
        """Binarize w."""
        return self.tau * self.signs(w) + self.phi

    def penalized(self, weight: Tensor) -> Tensor:
        """The signs that count."""
        return self.signs(weight)

    def after_step(self, weight: Tensor) -> None:
        """Clamp the latent weight, and let the set of patterns follow the step."""
        super().after_step(weight)
        if isinstance(self.signs, Codebook):
            self.signs.after_step(weight)


def subbit(
    index_bits: int = 5,
    sparsity: float | None = None,
    *,
    every: int = 25,
    gamma: float = 0.05,
    ramp: float = 0.0,
    dead_zone: float = 1e-4,
) -> Method:
    """Weights of few patterns a layer, scaled by filter or in a general domain; activations as in Bi-Real Net.

    It needs `bw.after_step`. The patterns, and the levels of a general domain, are new Parameters: make the optimizer
    after `binarize`. Clear gradients as `zero_grad()` does, to None: zeros would let the optimizer's momentum move the
    patterns in every step. Export when training is over: repairs change the patterns' order.

    Args:
        index_bits: the bits of a kernel's index, 1 to 9; called tau in the paper.
        sparsity: None scales each filter, as in the paper. A share from 0 to less than 1 takes the general domain of
            SBNN instead, where that share of weights is to end at the low level; up to 0.5 nothing is enforced.
        every: how many steps lie between two that train the patterns, at least 1.
        gamma: the share of the whole loss that the penalty for a lower sparsity takes, as in `sbnn`, whose published
            values for CIFAR-100 go from 0.05 for 95 % to 0.07 for 99 %.
        ramp: the share of training during which the budget tightens, as in `sbnn`.
        dead_zone: the excess of density that goes unpunished.

    Raises:
        ValueError: an argument lies outside its range.

    Reference: Wang et al., ICCV 2021; Schiavone, Galati and Zuluaga, ECML PKDD 2023, for the general domain.
    """
    if not 1 <= index_bits <= CELLS:
        raise ValueError(f"index_bits: expected 1 to {CELLS}, the weights of a 3x3 kernel, found {index_bits}")
    if every < 1:
        raise ValueError(f"every: expected at least 1 step, found {every}")
    shares = {"sparsity": sparsity or 0.0, "gamma": gamma, "dead_zone": dead_zone}
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{name}: expected a share from 0 to less than 1, found {share}")
    if not 0 <= ramp <= 1:
        raise ValueError(f"ramp: expected a share of training from 0 to 1, found {ramp}")
    density = 1 - (sparsity or 0.0)
    budget = ConnectionBudget(density, gamma if density < 0.5 else 0.0, dead_zone, ramp=ramp)

    def weight(layer: nn.Module) -> nn.Module:
        codebook = Codebook(index_bits, every) if layer.get_parameter("weight").shape[2:] == (SIDE, SIDE) else None
        if sparsity is not None:
            return SubbitDomain(codebook or Sign(ste), budget)
        return SubbitWeight(codebook) if codebook else ScaledSign(ste)

    return Method(weight=weight, activation=lambda layer: Sign(approx_sign))
