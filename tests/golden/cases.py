"""Golden vectors: the .npz files beside this module as cases, and how a binarizer or a block is held against one."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

HERE = Path(__file__).parent
KINDS = ("param_", "grad_param_", "buffer_", "after_buffer_")


class Case:
    """One file: arrays as tensors, scalars as numbers."""

    def __init__(self, name: str) -> None:
        with np.load(HERE / f"{name}.npz") as file:
            self.meta = json.loads(str(file["meta"]))
            arrays = {k: file[k] for k in file.files if k != "meta"}
        self.values = {k: torch.from_numpy(v) if v.dtype.kind in "fi" else v for k, v in arrays.items()}
        self.tolerance = 1e-4 if "block" in name or "supernet" in name else 1e-5

    def __getitem__(self, key: str) -> Tensor:
        return self.values[key]

    def number(self, key: str) -> float:
        return self.values[key].item()

    def group(self, prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in self.values.items() if k.startswith(prefix)}

    def check(self, key: str, found: Tensor | None, where: Tensor | None = None) -> None:
        assert found is not None, key
        expected = self[key].reshape(found.shape)
        if where is not None:
            expected, found = expected[where], found[where]
        atol = self.tolerance * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(found.detach().to(expected.dtype), expected, rtol=self.tolerance, atol=atol, msg=key)


def own_name(name: str) -> str:
    """An original parameter's name in our layers."""
    name = name.replace(".weights", ".weight")
    for level in ("tau", "phi"):
        name = name.replace(f".{level}", f".weight_binarizer.{level}")
    return name


def rename(case: Case, names: dict[str, str]) -> None:
    """Give the original's modules and parameters our names; what gets the name of another is joined behind it."""
    renamed: dict[str, Tensor] = {}
    for key, value in case.values.items():
        kind = next((k for k in KINDS if key.startswith(k)), "")
        own = key.removeprefix(kind)
        old = max((n for n in names if own == n or own.startswith(f"{n}.")), key=len, default="") if kind else ""
        new = kind + names[old] + own.removeprefix(old) if old else key
        renamed[new] = torch.cat([renamed[new], value]) if new in renamed else value
    case.values = renamed


def load(case: Case, net: nn.Module) -> None:
    """Give a network the parameters and buffers of the file."""
    state = net.state_dict()
    for key, value in (case.group("param_") | case.group("buffer_")).items():
        state[own_name(key)] = value.reshape(state[own_name(key)].shape)
    net.load_state_dict(state)


def check_after(case: Case, net: nn.Module) -> None:
    """Compare the gradients of all parameters, and the buffers behind the run."""
    parameters = dict(net.named_parameters())
    assert len(case.group("grad_param_")) == sum(p.grad is not None for p in parameters.values())
    for key in case.group("grad_param_"):
        case.check(f"grad_param_{key}", parameters[own_name(key)].grad)
    for key in case.group("after_buffer_"):
        case.check(f"after_buffer_{key}", net.state_dict()[own_name(key)])


def run_layer(case: Case, layer: nn.Module) -> None:
    """Run a convolution or linear layer forward and backward, compare the output and the gradients of x and w."""
    x = case["x"].clone().requires_grad_()
    out = layer(x)
    out.backward(case["upstream"])
    case.check("out", out)
    case.check("grad_x", x.grad)
    case.check("grad_w", layer.get_parameter("weight").grad)


def run_block(case: Case, net: nn.Module, frozen: Sequence[str] = ()) -> None:
    """Load the parameters, run forward and backward, compare everything the file holds; `frozen` get no gradient."""
    load(case, net)
    net.train(bool(case.group("after_buffer_")))
    x = case["x"].clone().requires_grad_()
    out = net(x)
    case.check("out", out)
    out.backward(case["upstream"])
    case.check("grad_x", x.grad)
    parameters = dict(net.named_parameters())
    assert all(parameters[name].grad is None for name in frozen)
    check_after(case, net)


def check_sign(case: Case, binarizer) -> None:
    x = case["x"].clone().requires_grad_()
    out = binarizer(x)
    out.backward(case["upstream"])
    case.check("out", out, where=x != 0)
    assert (out[x == 0] == 1).all()
    case.check("grad_x", x.grad)
