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
_SECTION = re.compile(r"^(Shape|Args|Attributes|Returns|Raises|Examples?|Reference):", re.MULTILINE)
_VENUE = re.compile(r'", ((?:[^";]*?\b)?((?:19|20)\d\d))\b')


@dataclass(frozen=True)
class Setting:
    """An argument of a method: its default as Python writes it, empty for none, and what the docstring says of it."""

    name: str
    default: str
    meaning: str


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
        venue: Where the paper appeared, and its year.
        year: Of the paper.
        summary: What the function's docstring says before its sections.
        settings: Its arguments.
    """

    name: str
    title: str
    changes: str
    text: str
    deployed: str
    checked: str
    reference: str
    venue: str
    year: int
    summary: str
    settings: tuple[Setting, ...]

    @property
    def call(self) -> str:
        """The call that makes the method, with its defaults; one argument a line where it would be long."""
        arguments = [f"{s.name}={s.default}" if s.default else s.name for s in self.settings]
        line = f"bw.methods.{self.name}({', '.join(arguments)})"
        return (
            line
            if len(line) <= 100
            else "\n".join([f"bw.methods.{self.name}(", *(f"    {a}," for a in arguments), ")"])
        )


def describe_method(function: Callable[..., object]) -> About:
    """Take the docstrings of a method's function and file apart.

    Args:
        function: Of the catalogue, `bw.methods`.

    Raises:
        ValueError: A docstring lacks one of its parts, or an argument.
    """
    module = inspect.getmodule(function)
    document = inspect.cleandoc((module.__doc__ if module else None) or "")
    head, *paragraphs = document.split("\n\n")
    title, colon, changes = _joined(head).partition(": ")
    parts = {word: _joined(p.removeprefix(f"{word}:")) for p in paragraphs for word in _PARTS if _starts(p, word)}
    missing = [word for word in _PARTS if word not in parts]
    if not colon:
        missing.append("a first line 'Name: what it changes.'")
    venue = _VENUE.search(parts.get("Reference", ""))
    if missing or venue is None:
        missing = missing or ["venue and year behind the paper's title"]
        raise ValueError(f"{function.__module__}: its docstring lacks {', '.join(missing)}")
    summary, settings = _describe_settings(function)
    return About(
        name=function.__name__,
        title=title,
        changes=changes,
        text="\n\n".join(p for p in paragraphs if not any(_starts(p, word) for word in _PARTS)),
        deployed=parts["Deployed"],
        checked=parts["Checked"],
        reference=parts["Reference"],
        venue=venue.group(1),
        year=int(venue.group(2)),
        summary=summary,
        settings=settings,
    )


def _starts(paragraph: str, word: str) -> bool:
    return paragraph.startswith(f"{word}:")


def _joined(text: str) -> str:
    return " ".join(text.split())


def _describe_settings(function: Callable[..., object]) -> tuple[str, tuple[Setting, ...]]:
    """What a method's docstring says before its sections, and of each argument."""
    document = inspect.getdoc(function) or ""
    found = re.search(r"^Args:\n((?: {4}.*\n?)+)", document, re.MULTILINE)
    entries = re.split(r"^ {4}(\w+): ", found.group(1), flags=re.MULTILINE)[1:] if found else []
    meanings = {name: _joined(text) for name, text in zip(entries[::2], entries[1::2], strict=True)}
    parameters = inspect.signature(function).parameters
    missing = [name for name in parameters if name not in meanings]
    if missing:
        raise ValueError(f"{function.__module__}.{function.__name__}: its docstring lacks {', '.join(missing)}")
    settings = tuple(Setting(name, _written(p.default), meanings[name]) for name, p in parameters.items())
    return _before_sections(document), settings


def _written(default: object) -> str:
    if default is inspect.Parameter.empty:
        return ""
    return default.__name__ if inspect.isfunction(default) else repr(default).replace("'", '"')


@dataclass(frozen=True)
class Part:
    """What a method puts into a layer.

    Attributes:
        role: What it acts on, "weights", "inputs" or "output"; or what it is, a "gate".
        name: The module, with its settings where they fit in a line.
        text: What its docstring says before its sections: the formula.
    """

    role: str
    name: str
    text: str


def describe_parts(method: Method) -> list[Part]:
    """The formulas of a method: those of the modules that it makes, in their own words.

    Args:
        method: The method.
    """
    layer = nn.Conv2d(16, 16, 3)
    made = {"weights": method.weight(layer), "inputs": method.activation(layer)}
    if method.rescale is not None and (rescale := method.rescale(layer)) is not None:
        made["output"] = rescale
    if method.gate is not None:
        made["gate"] = method.gate(layer)
    return [_part(role, module) for role, module in made.items()]


def _part(role: str, module: nn.Module) -> Part:
    if isinstance(module, nn.Identity):
        return Part(role, "Identity()", "They stay real.")
    name = repr(module) if "\n" not in repr(module) else type(module).__name__
    return Part(role, name, _before_sections(inspect.getdoc(type(module)) or ""))


def _before_sections(document: str) -> str:
    return _SECTION.split(document, maxsplit=1)[0].strip()


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
        result = binarizer(given).flatten()
        slopes = [torch.autograd.grad(y, given, retain_graph=True)[0].flatten()[i] for i, y in enumerate(result)]
        curve = Curve(share, x, result.detach(), torch.stack(slopes))
        if not any(
            torch.equal(curve.slope, seen.slope) and torch.equal(curve.forward, seen.forward) for seen in curves
        ):
            curves.append(curve)
    return curves
