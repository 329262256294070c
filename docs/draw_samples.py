"""Draw docs/uncertainty.svg, what more samples cost and bring, from what `bw uncertainty --json` said of a run.

`make docs` calls it. Needs `pip install '.[plots]'` and Chrome or Chromium.

Example: python docs/draw_samples.py
"""

import json
from pathlib import Path

import tyro
from plotly.subplots import make_subplots

DOCS = Path(__file__).resolve().parent
FOUND = DOCS.parent / "recipes" / "stf_bnn" / "cifar10-resnet20-short" / "uncertainty.json"
FOREIGN = {"mnist": "#1f4e79", "cifar100": "#c55a11"}


def main(found: Path = FOUND, picture: Path = DOCS / "uncertainty.svg") -> None:
    """Write the picture.

    Args:
        found: The figures, as JSON.
        picture: Where to.
    """
    figures = json.loads(found.read_text(encoding="utf-8"))
    alone, sampled = figures["deterministic"], figures["sampled"]
    samples = [row["samples"] for row in sampled]
    plot = make_subplots(1, 2, subplot_titles=("cost", "foreign images told from CIFAR-10's"))
    plot.add_scatter(x=samples, y=[row["ms_per_image"] for row in sampled], name="S samples", line_color="#404040")
    once = [alone["ms_per_image"]] * 2
    plot.add_scatter(x=[1, samples[-1]], y=once, name="deterministic", line={"color": "#404040", "dash": "dot"})
    for name, color in FOREIGN.items():
        areas = [row["detection"][name]["mutual information"]["auroc"] for row in sampled]
        plot.add_scatter(x=samples, y=areas, name=f"{name}, mutual information", line_color=color, row=1, col=2)
        ends = [alone["detection"][name]["entropy"]["auroc"]] * 2
        line = {"color": color, "dash": "dot"}
        plot.add_scatter(x=[1, samples[-1]], y=ends, name=f"{name}, deterministic entropy", line=line, row=1, col=2)
    plot.update_traces(mode="lines+markers", selector=lambda trace: len(trace.x) > 2)
    plot.update_traces(mode="lines", selector=lambda trace: len(trace.x) == 2)
    plot.update_xaxes(title="samples of the first layer, S", showgrid=True)
    plot.update_yaxes(title="ms an image, one thread", rangemode="tozero", showgrid=True, col=1)
    plot.update_yaxes(title="AUROC", showgrid=True, col=2)
    plot.update_layout(template="simple_white", width=900, height=380, legend={"orientation": "h", "y": -0.25})
    plot.write_image(picture)


if __name__ == "__main__":
    tyro.cli(main)
