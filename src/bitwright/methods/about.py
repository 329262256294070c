"""What each method's file says about itself: the docstring, taken apart; and what its binarizers look like.

Nothing is stated twice: `bw methods` and the documentation show the files' own words.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitwright.core.hooks import set_progress
from bitwright.core.method import Method

_PARTS = ("Deployed", "Checked", "Reference")


@dataclass(frozen=True)
class About:
    """The words of a method's file.

    Attributes:
        name: The function's name.
        title: The method's name as its paper writes it.
        changes: What it changes, in a line.
        text: What lies between the first line and the last paragraphs.
        deployed: What it costs at inference.
        checked: What its numbers were held against, and what is a reconstruction.
        reference: Authors, title, venue and year.
        year: Of the paper.
        settings: The function's docstring, which explains its arguments.
    """

    name: str
    title: str
    changes: str
    text: str
    deployed: str
    checked: str
    reference: str
    year: int
    settings: str


def describe_method(function: Callable[..., Method]) -> About:
    """Take the docstrings of a method's function and file apart.

    Args:
        function: Of the catalogue, `bw.methods`.

    Raises:
        ValueError: The file's docstring lacks one of its parts.
    """
    module = inspect.getmodule(function)
    document = inspect.cleandoc((module.__doc__ if module else None) or "")
    head, *paragraphs = document.split("\n\n")
    title, colon, changes = _joined(head).partition(": ")
    parts = {word: _joined(p.removeprefix(f"{word}:")) for p in paragraphs for word in _PARTS if _starts(p, word)}
    years = re.findall(r"\b(?:19|20)\d\d\b", parts.get("Reference", ""))
    missing = [word for word in _PARTS if word not in parts] + (
        [] if colon else ["first line 'Name: what it changes.'"]
    )
    if missing or not years:
        raise ValueError(f"{function.__module__}: its docstring lacks {', '.join(missing) or 'the year of its paper'}")
    text = "\n\n".join(p for p in paragraphs if not any(_starts(p, word) for word in _PARTS))
    return About(
        name=function.__name__,
        title=title,
        changes=changes,
        text=text,
        deployed=parts["Deployed"],
        checked=parts["Checked"],
        reference=parts["Reference"],
        year=int(years[0]),
        settings=inspect.getdoc(function) or "",
    )


def _starts(paragraph: str, word: str) -> bool:
    return paragraph.startswith(f"{word}:")


def _joined(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True)
class Curve:
    """What a binarizer gives at some values, and the derivative that the backward pass takes there.

    Attributes:
        progress: The share of training that is done.
        values: (P,) what goes in.
        forward: (P,) what comes out.
        slope: (P,) the derivative.
    """

    progress: float
    values: Tensor
    forward: Tensor
    slope: Tensor


def activation_curves(
    method: Method, values: Tensor | None = None, progress: Sequence[float] = (0.0, 0.5, 1.0)
) -> list[Curve]:
    """The input binarizer of a method at its initial parameters, and its surrogate derivative.

    Equal curves are listed once, so that a method without a schedule has one.

    Args:
        method: The method.
        values: (P,) what goes in; by default 121 values from -3 to 3.
        progress: Shares of training.
    """
    layer = nn.Conv2d(len(values) if values is not None else 121, 8, 1)
    x = torch.linspace(-3, 3, 121) if values is None else values
    binarizer = method.activation(layer).eval()
    curves: list[Curve] = []
    for share in progress:
        set_progress(binarizer, share)
        given = x.view(1, -1, 1, 1).clone().requires_grad_()  # one channel a value: no statistics are shared
        result = binarizer(given)
        (slope,) = torch.autograd.grad(result.sum(), given)
        curve = Curve(share, x, result.detach().flatten(), slope.flatten())
        if not any(
            torch.equal(curve.slope, seen.slope) and torch.equal(curve.forward, seen.forward) for seen in curves
        ):
            curves.append(curve)
    return curves
