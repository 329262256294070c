"""The page of `bw uncertainty`: samples of a network against the network itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.report.page import Chart, Page
from bitwright.report.table import Table
from bitwright.report.timing import Timing
from bitwright.uncertainty import (
    Detection,
    Prediction,
    Quality,
    assess,
    detect,
    reliability,
    risk_coverage,
    scores,
    summarize,
)

ALONE = "the network itself"
DIAGONAL = "what it claims"
_POINTS = 200  # of a line, however many images there are


@dataclass(frozen=True, eq=False)
class Findings:
    """What a network and its samples said of the same images.

    Attributes:
        title: The heading.
        labels: (N,) The truth.
        bins: Of the calibration.
        alone: Logits (N, K) of the deterministic network.
        samples: Logits (S, N, K) of the samples.
        foreign: Of each other data set by name, both again: (M, K) and (S, M, K).
        times: Milliseconds an image, by the number of samples; 0 stands for the deterministic network.
        baseline: What the deterministic network is called.
    """

    title: str
    labels: np.ndarray
    bins: int
    alone: np.ndarray
    samples: np.ndarray
    foreign: Mapping[str, tuple[np.ndarray, np.ndarray]]
    times: Mapping[int, Timing]
    baseline: str = ALONE

    @property
    def ladder(self) -> list[int]:
        """The numbers of samples that are compared."""
        return ladder(len(self.samples))

    def name(self, samples: int) -> str:
        """What so many samples are called; the deterministic network for 0."""
        return f"{samples} sample{'s' if samples > 1 else ''}" if samples else self.baseline

    def prediction(self, samples: int) -> Prediction:
        """Of the first so many samples; of the deterministic network for 0."""
        return summarize(self.samples[:samples] if samples else self.alone)

    def quality(self, samples: int) -> Quality:
        """Of the first so many samples; of the deterministic network for 0."""
        return assess(self.prediction(samples), self.labels, self.bins)

    def detection(self, samples: int) -> dict[str, dict[str, Detection]]:
        """By data set and by score; a deterministic network has no mutual information."""
        known = self.prediction(samples)
        found = {}
        for name, (alone, several) in self.foreign.items():
            by_score = detect(known, summarize(several[:samples] if samples else alone))
            found[name] = {score: d for score, d in by_score.items() if samples or score != "mutual information"}
        return found


def ladder(samples: int) -> list[int]:
    """1, 2, 5, 10, 20, ... up to a number, and this number.

    Args:
        samples: The last one.
    """
    steps = (digit * 10**power for power in range(len(str(samples))) for digit in (1, 2, 5))
    return sorted({*(step for step in steps if step < samples), samples})


def tables(found: Findings) -> list[Table]:
    """Quality by the number of samples, and detection by data set and score.

    Args:
        found: The logits.
    """
    rows = []
    for samples in (0, *found.ladder):
        q, time = found.quality(samples), found.times[samples]
        figures = (f"{q.nll:.4f}", f"{q.brier:.4f}", f"{q.ece:.4f}", f"{q.aurc:.4f}", f"{time.median_ms:#.3g}")
        rows.append([found.name(samples), f"{100 * q.accuracy:.2f} %", *figures])
    columns = ["", "accuracy", "NLL", "Brier", "ECE", "AURC", "ms an image"]
    quality = Table(f"{len(found.labels):,} images", columns, rows, "lrrrrrr")
    rows = [
        [foreign, found.name(samples), score, *(f"{value:.4f}" for value in (d.auroc, d.fpr95, d.aupr))]
        for samples in (0, found.ladder[-1])
        for foreign, by_score in found.detection(samples).items()
        for score, d in by_score.items()
    ]
    if not rows:
        return [quality]
    columns = ["foreign images", "", "by", "AUROC", "FPR95", "AUPR"]
    return [quality, Table("Telling foreign images from known ones", columns, sorted(rows, key=_set), "lllrrr")]


def page(found: Findings, introduction: str) -> Page:
    """The page: both tables, reliability, risk over coverage, and what more samples bring and cost.

    Args:
        found: The logits.
        introduction: One paragraph under the heading.
    """
    last = found.ladder[-1]
    both = {found.name(samples): found.prediction(samples) for samples in (0, last)}
    charts = [_reliability(found, both), _risk(found, both), *_by_samples(found)]
    return Page(title=found.title, introduction=introduction, tables=tables(found), charts=charts)


def _set(row: Sequence[str]) -> str:
    return row[0]


def _reliability(found: Findings, both: Mapping[str, Prediction]) -> Chart:
    lines: dict[str, list[tuple[float, float]]] = {DIAGONAL: [(0.0, 0.0), (1.0, 1.0)]}
    for name, prediction in both.items():
        r = reliability(prediction.mean, found.labels, found.bins)
        lines[name] = [(float(c), float(a)) for c, a in zip(r.confidence, r.accuracy, strict=True) if c == c]
    return Chart("Reliability: accuracy of predictions by their confidence", "confidence", "accuracy", lines)


def _risk(found: Findings, both: Mapping[str, Prediction]) -> Chart:
    lines = {}
    for name, prediction in both.items():
        for score, values in scores(prediction).items():
            if score == "confidence" or (score == "mutual information" and name != found.baseline):
                curve = risk_coverage(values, prediction.labels != found.labels)
                chosen = np.unique(np.linspace(0, len(curve.risk) - 1, _POINTS).astype(int))
                lines[f"{name}, by {score}"] = [(float(curve.coverage[i]), float(curve.risk[i])) for i in chosen]
    return Chart("Risk over coverage: errors among the images it is surest of", "coverage", "risk", lines)


def _by_samples(found: Findings) -> list[Chart]:
    cost = [(float(s), found.times[s].median_ms) for s in found.ladder]
    alone = [(float(s), found.times[0].median_ms) for s in (found.ladder[0], found.ladder[-1])]
    charts = [Chart("Cost against samples", "samples", "ms an image", {"measured": cost, found.baseline: alone})]
    quality = [(s, found.quality(s)) for s in found.ladder]
    measures = {"ECE": "ece", "Brier": "brier", "AURC": "aurc"}
    lines = {name: [(float(s), getattr(q, key)) for s, q in quality] for name, key in measures.items()}
    charts.append(Chart("Quality against samples: less is better", "samples", "", lines))
    if found.foreign:
        detected = [(s, found.detection(s)) for s in found.ladder]
        lines = {
            f"{name}, by {score}": [(float(s), d[name][score].auroc) for s, d in detected]
            for name in found.foreign
            for score in ("entropy", "mutual information")
        }
        charts.append(Chart("Detection against samples", "samples", "AUROC", lines))
    return charts
