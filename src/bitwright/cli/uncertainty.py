"""`bw uncertainty`: how honest a packed network's confidence is, and what samples of its Bayesian layer add to it."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from bitwright.cli.arguments import Json, NetworkFile
from bitwright.cli.export import spread
from bitwright.cli.networks import Network, labelled_images, open_network
from bitwright.cli.output import need, only_json, print_json, print_table

if TYPE_CHECKING:
    from bitwright.report.timing import Timing
    from bitwright.report.uncertainty import Findings
    from bitwright.uncertainty import Ensemble

_AT_ONCE = 100  # images
_TIMED = 8  # images in a call that is timed


def uncertainty(
    file: NetworkFile,
    data: Annotated[Positional[str], arg(metavar="KIND:PATH")],
    /,
    *,
    against: Annotated[Path | None, arg(metavar="FILE.bw", help_behavior_hint="")] = None,
    ood: Annotated[tuple[str, ...], arg(metavar="[KIND:PATH ...]", help_behavior_hint="")] = (),
    samples: int = 20,
    seed: int = 0,
    images: int = 0,
    bins: int = 15,
    threads: int = 1,
    output: Annotated[Path | None, arg(metavar="FILE.html", help_behavior_hint="")] = None,
    json: Json = False,
) -> None:
    """Measure the uncertainty of a packed network with a Bayesian layer: calibration, errors, foreign images, cost.

    The samples are compared with the network itself, which runs the mean weights, or with another one. Foreign images
    are brought to the size and the colours that the network takes.

    Example: bw uncertainty net.bw cifar10:data --ood mnist:data cifar100:data --output uncertainty.html

    Args:
        file: The packed network, exported for pixels after a stage with a table [bayesian].
        data: The data set it was trained for, of which the test images are taken.
        against: Another packed network to compare the samples with, such as that of the stage before.
        ood: Data sets of other kinds, to be told apart, likewise.
        samples: How many networks are drawn.
        seed: Of the draws.
        images: At most so many of each data set, evenly spaced; 0 for all.
        bins: Of the calibration.
        threads: How many threads run the network.
        output: A page with pictures: reliability, risk over coverage, what more samples bring and cost.
        json: Print one JSON object instead of tables.
    """
    if images < 0:
        raise ValueError(f"--images must be 0 or more, found {images}")
    if output is not None:
        need("plotly", "report", "bw uncertainty --output")
    from bitwright.report.uncertainty import page, tables

    with only_json(json):
        found = _measure(file, against, data, ood, samples, seed, images, bins, threads)
        if output is not None:
            from bitwright.report.page import write_page

            other = f"{against}" if against else "the network itself, which runs the mean weights"
            about = (
                f"{samples} samples of the Bayesian layer of {file.name} (seed {seed}), and {other}; "
                f"{data.partition(':')[0]}, {threads} thread{'s' if threads > 1 else ''}."
            )
            write_page(output, page(found, about))
    if json:
        print_json({**_as_json(found), "seed": seed, "threads": threads, "report": output and str(output.resolve())})
        return
    for table in tables(found):
        print_table(table.title, table.columns, table.rows, table.align)
    if output is not None:
        print(f"page: {output}")


def _measure(
    file: Path,
    against: Path | None,
    data: str,
    ood: tuple[str, ...],
    samples: int,
    seed: int,
    images: int,
    bins: int,
    threads: int,
) -> "Findings":
    from bitwright.report.uncertainty import ALONE, Findings
    from bitwright.uncertainty import load

    network = open_network(against or file, threads=threads)
    ensemble = load(file, samples=samples, seed=seed, threads=threads)
    known, labels = labelled_images(data, "test", network)
    known, labels = spread(known, images or len(known)), spread(labels, images or len(labels))
    foreign, kinds = {}, [source.partition(":")[0] for source in ood]
    for source, kind in zip(ood, kinds, strict=True):
        others = _foreign_images(source, network)
        others = spread(others, images or len(others))
        name = kind if kinds.count(kind) == 1 else source
        foreign[name] = network.predict(others, _AT_ONCE), _sample(ensemble, others)
    return Findings(
        title=f"Uncertainty of {file.name}",
        labels=labels,
        bins=bins,
        alone=network.predict(known, _AT_ONCE),
        samples=_sample(ensemble, known),
        foreign=foreign,
        times=_time(file, network, known[:_TIMED], samples, threads),
        baseline=str(against or ALONE),
    )


def _foreign_images(source: str, network: Network) -> np.ndarray:
    """Test images of any data set, as the network takes them: (N, H, W, C) uint8."""
    from bitwright.data import load_dataset
    from bitwright.data.images import fit_images

    channels, height, width = network.image_shape
    return fit_images(load_dataset(source, "test", size=height).test_images, height, width, channels)


def _sample(ensemble: "Ensemble", images: np.ndarray) -> np.ndarray:
    """Logits (S, N, K) of images (N, H, W, C)."""
    parts = (images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE))
    return np.concatenate([ensemble.logits(np.ascontiguousarray(p.transpose(0, 3, 1, 2))) for p in parts], axis=1)


def _time(file: Path, network: Network, images: np.ndarray, samples: int, threads: int) -> dict[int, "Timing"]:
    """Time an image by the number of samples, in turn, 0 being the network itself."""
    from bitwright.report.timing import Timing, alternate
    from bitwright.report.uncertainty import ladder
    from bitwright.uncertainty import load

    x = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    calls: dict[str, Callable[[], object]] = {"0": lambda: network.run(x)}
    for number in ladder(samples):
        calls[str(number)] = partial(load(file, samples=number, threads=threads), x)
    times = alternate(calls, runs=10, warmup=1)
    return {int(name): Timing(t.median_ms / len(x), t.min_ms / len(x), t.runs) for name, t in times.items()}


def _as_json(found: "Findings") -> dict[str, Any]:
    def one(samples: int) -> dict[str, Any]:
        detection = {
            name: {score: asdict(d) for score, d in by_score.items()}
            for name, by_score in found.detection(samples).items()
        }
        quality, time = asdict(found.quality(samples)), found.times[samples].median_ms
        return {"samples": samples, **quality, "ms_per_image": time, "detection": detection}

    return {
        "images": len(found.labels),
        "bins": found.bins,
        "deterministic": one(0),
        "sampled": [one(samples) for samples in found.ladder],
    }
