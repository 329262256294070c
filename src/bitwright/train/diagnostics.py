"""Diagnostics: which weights flip, which inputs are balanced, what the estimator does to the gradient.

One row for each binary layer and epoch, in `layers.csv` and, where that package is, in TensorBoard.
"""

from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitwright.core.binarizers import LevelPair
from bitwright.core.levels import read_levels
from bitwright.core.masked import Ternary
from bitwright.nn.gated import GatedConv2d, average_bits, counting_gates
from bitwright.nn.layers import BinaryConv2d, BinaryLinear

LayerRow = dict[str, float | str]


class Diagnostics:
    """Bit snapshots and counters of a network's binary layers.

    A row holds, for one layer and epoch:

    - density: the share of weight bits that are 1.
    - flips: the share of weight bits that differ from those at the end of the epoch before.
    - dead: the share of weight bits that never differed from one epoch's end to the next since training began.
    - balance: P(+1), the share of the layer's inputs at their upper level, over the validation images.
    - open: the share of open gates over the validation images, where a layer has gates; it reads 1 + open bits of an
      activation.
    - mismatch: 1 - cos(g, h), for the last batch of the epoch: g is the gradient at the binarized weight, h what the
      latent weight receives for it. 0 where the estimator only scales, 2 where it turns the gradient around.

    What is not binary in a stage of training, and what was not measured, is NaN.

    Args:
        net: The network.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.layers = {n: m for n, m in net.named_modules() if isinstance(m, BinaryConv2d | BinaryLinear)}
        self.rows: list[LayerRow] = []
        self._bits: dict[str, Tensor] = {}
        self._moved: dict[str, Tensor] = {}
        self._upper: dict[str, tuple[Tensor, int]] = {}
        self._mismatch: dict[str, Tensor] = {}
        self._watching = ExitStack()

    def watch_gradients(self) -> None:
        """Measure the mismatch on the step that follows, until `close`."""
        for name, layer in self.layers.items():
            if not isinstance(layer.weight_binarizer, nn.Identity):
                self._watch(layer.weight_binarizer, self._on_weight(name, layer))

    def watch_inputs(self) -> None:
        """Count the inputs at their upper level and the open gates, from now on until `close`."""
        self._upper = {}
        self._watching.enter_context(counting_gates(self.net))
        for name, layer in self.layers.items():
            if not isinstance(layer.input_binarizer, nn.Identity):
                self._watch(layer.input_binarizer, self._on_input(name))

    def close(self) -> None:
        """End all watching."""
        self._watching.close()

    def _watch(self, module: nn.Module, hook: Any) -> None:
        self._watching.callback(module.register_forward_hook(hook).remove)

    def end_epoch(self, epoch: int) -> list[LayerRow]:
        """The rows of an epoch that is over, which `rows` receives too.

        Args:
            epoch: Counted from 0.
        """
        rows = [self._row(epoch, name, layer) for name, layer in self.layers.items()]
        self.rows += rows
        self._mismatch = {}
        return rows

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that a resumed run counts on."""
        return {"rows": self.rows, "bits": self._bits, "moved": self._moved}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows = list(state["rows"])
        self._bits, self._moved = dict(state["bits"]), dict(state["moved"])

    @torch.no_grad()
    def _row(self, epoch: int, name: str, layer: BinaryConv2d | BinaryLinear) -> LayerRow:
        density = flips = dead = torch.nan
        if not isinstance(layer.weight_binarizer, nn.Identity):
            density, bits = _read_bits(layer)
            before = self._bits.get(name)
            if before is not None:
                moved = self._moved.get(name, torch.zeros_like(bits)) | (bits != before)
                flips, dead = (bits != before).float().mean().item(), 1 - moved.float().mean().item()
                self._moved[name] = moved
            self._bits[name] = bits
        upper, count = self._upper.get(name, (torch.tensor(torch.nan), 1))
        mismatch = self._mismatch.get(name, torch.tensor(torch.nan))
        gated = isinstance(layer, GatedConv2d) and layer.outputs
        return {
            "epoch": epoch,
            "layer": name,
            "density": density,
            "flips": flips,
            "dead": dead,
            "balance": upper.item() / count,
            "open": average_bits(layer) - 1 if gated else torch.nan,
            "mismatch": mismatch.item(),
        }

    def _on_weight(self, name: str, layer: BinaryConv2d | BinaryLinear) -> Any:
        def keep(module: nn.Module, given: tuple[Tensor], result: Tensor) -> None:
            if not (result.requires_grad and given[0].requires_grad):
                return

            def compare(gradient: Tensor) -> None:
                handle.remove()  # it would be called again by the line that follows
                (received,) = torch.autograd.grad(result, given[0], gradient, retain_graph=True)
                self._mismatch[name] = 1 - F.cosine_similarity(gradient.flatten(), received.flatten(), dim=0)

            handle = result.register_hook(compare)

        return keep

    def _on_input(self, name: str) -> Any:
        def keep(module: nn.Module, given: tuple[Tensor], result: Tensor) -> None:
            middle = module.scale * module.shift if isinstance(module, LevelPair) else 0
            upper, count = self._upper.get(name, (0, 0))
            self._upper[name] = upper + (result > middle).sum(), count + result.numel()

        return keep


def _read_bits(layer: BinaryConv2d | BinaryLinear) -> tuple[float, Tensor]:
    """The density of a layer's weights, and which are at the high level, on the CPU."""
    binarizer = layer.weight_binarizer
    if isinstance(binarizer, Ternary) and binarizer.ternary:
        high, low = binarizer.planes(layer.weight)
        return ((high != 0) | (low != 0)).float().mean().item(), (high != 0).cpu()
    levels = read_levels(binarizer(layer.weight))
    return levels.density, (levels.bits ^ (levels.step < 0).view(-1, *[1] * (levels.bits.dim() - 1))).cpu()
