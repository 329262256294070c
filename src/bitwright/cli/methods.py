"""`bw methods`: the catalogue of methods, and one of them in detail."""

from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json
from bitwright.cli.output import need, print_json, print_table
from bitwright.errors import BitwrightError
from bitwright.report.comparison import compare, to_json
from bitwright.report.runs import Group, find_runs, group_runs, method_of, read_run

if TYPE_CHECKING:
    from bitwright.methods.about import About, Curve, Part

_BARS = " ▁▂▃▄▅▆▇█"


def methods(
    name: Annotated[Positional[str | None], arg(metavar="NAME", help_behavior_hint="")] = None,
    /,
    *,
    runs: Annotated[Path, arg(metavar="DIR")] = Path("recipes"),
    json: Json = False,
) -> None:
    """List the methods, or show one: formula, surrogate derivative, settings, cost at inference, results.

    Example: bw methods ir_net

    Args:
        name: A method; all of them by default.
        runs: A folder with runs below; results are those of this method.
        json: Print one JSON object.
    """
    need("torch", "train", "bw methods")
    from bitwright import methods as catalogue
    from bitwright.methods.about import activation_curves, describe_method, describe_parts

    found = {key: describe_method(getattr(catalogue, key)) for key in (*catalogue.__all__, *catalogue.ON_TRAINED)}
    if name is None:
        binary, after = ([found[key] for key in keys] for keys in (catalogue.__all__, catalogue.ON_TRAINED))
        if json:
            print_json({"methods": [*map(asdict, binary)], "on_trained": [*map(asdict, after)]})
        else:
            _print_list("methods", binary)
            _print_list("for a network that is trained already", after)
            print("bw methods NAME shows one: formula, derivative, settings, what was checked, results")
        return
    if name not in found:
        near = get_close_matches(name, found, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(found)}"
        raise BitwrightError(f"there is no method {name!r}; {hint}")
    parts, curves = [], []
    if name in catalogue.__all__:
        method = getattr(catalogue, name)()
        parts, curves = describe_parts(method), activation_curves(method)
    groups = [g for g in group_runs(map(read_run, find_runs(runs))) if method_of(g.first.recipe) == name]
    if json:
        drawn = [{key: getattr(curve, key) for key in ("progress", "values", "forward", "slope")} for curve in curves]
        made = [asdict(part) for part in parts]
        print_json({**asdict(found[name]), "parts": made, "activation": drawn, "results": to_json(groups)})
        return
    _print_one(found[name], parts, curves)
    _print_results(groups)


def _print_list(title: str, found: list["About"]) -> None:
    rows = [[about.name, f"{about.title}, {about.venue}", about.changes, about.deployed] for about in found]
    print_table(title, ["name", "paper", "what it changes", "cost at inference"], rows, align="llll")


def _print_one(about: "About", parts: list["Part"], curves: list["Curve"]) -> None:
    print(f"{about.title}: {about.changes}\n")
    if about.text:
        print(f"{about.text}\n")
    for part in parts:
        print(f"{part.role.capitalize()}, {part.name}: {part.text}\n")
    if curves:
        print("The input binarizer and the derivative that the backward pass takes, at the initial parameters:")
    alike = all(curve.forward.equal(curves[0].forward) for curve in curves)
    for number, curve in enumerate(curves):
        when = "" if len(curves) == 1 else f", progress {curve.progress:g}"
        low, high = curve.values[0].item(), curve.values[-1].item()
        if number == 0 or not alike:
            print(f"  forward{'' if alike else when}, {curve.forward.min():g} to {curve.forward.max():g}")
            print(f"  {low:+g} {_bars(curve.forward.tolist())} {high:+g}")
        print(f"  derivative{when}, 0 to {curve.slope.max():.3g}")
        print(f"  {low:+g} {_bars([0.0, *curve.slope.tolist()])[1:]} {high:+g}")
    print(f"\n{about.call}\n\n{about.summary}\n")
    for setting in about.settings:
        print(f"  {setting.name}: {setting.meaning}")
    for label, text in (("Deployed", about.deployed), ("Checked", about.checked), ("Reference", about.reference)):
        print(f"\n{label}: {text}")


def _print_results(groups: list[Group]) -> None:
    if groups:
        print()
        table = compare(groups, "Results")
        print_table(table.title, table.columns, table.rows, table.align)
        print("\n".join(table.notes))


def _bars(values: list[float]) -> str:
    """One line of bars, the lowest value blank."""
    low, span = min(values), max(values) - min(values)
    return "".join(_BARS[round(8 * (value - low) / span) if span else 4] for value in values)
