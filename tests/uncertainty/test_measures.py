"""Calibration, selective prediction and detection against their definitions, written out by brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.uncertainty import (
    auroc,
    average_precision,
    brier_score,
    fpr_at,
    negative_log_likelihood,
    reliability,
    risk_coverage,
)

SCORES = st.lists(st.integers(0, 6).map(lambda n: n / 4), min_size=1, max_size=9).map(np.array)
SEEDS = st.integers(0, 10_000)


def predictions(seed: int, count: int = 40, classes: int = 4):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.7), count), rng.integers(0, classes, count)


@given(SEEDS, st.integers(1, 20))
def test_the_calibration_error_is_its_definition(seed, bins):
    p, labels = predictions(seed)
    total = worst = 0.0
    for b in range(bins):
        inside = [i for i in range(len(p)) if b / bins < p[i].max() <= (b + 1) / bins]
        if inside:
            gap = abs(np.mean([p[i].argmax() == labels[i] for i in inside]) - np.mean([p[i].max() for i in inside]))
            total, worst = total + len(inside) / len(p) * gap, max(worst, gap)
    found = reliability(p, labels, bins)
    assert found.images.sum() == len(p)
    assert found.error == pytest.approx(total) and found.largest == pytest.approx(worst)


def test_certainty_falls_into_the_last_bin_and_an_edge_into_the_lower_one():
    p = np.array([[1.0, 0.0], [0.75, 0.25], [0.5, 0.5]])
    assert reliability(p, np.array([0, 0, 1]), bins=4).images.tolist() == [0, 1, 1, 1]
    found = reliability(p[:1], np.array([0]), bins=4)
    assert found.error == 0 and np.isnan(found.accuracy[:3]).all()


def test_a_calibrated_forecast_has_a_small_error_and_an_overconfident_one_the_difference():
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 1, 20_000)
    p, labels = np.stack([sure, 1 - sure], 1), (rng.random(20_000) > sure).astype(int)
    assert reliability(p, labels).error < 0.02
    claimed = np.tile([0.999, 0.001], (20_000, 1))
    assert reliability(claimed, labels).error == pytest.approx(0.999 - (labels == 0).mean())


@given(SEEDS)
def test_brier_and_likelihood_are_their_definitions(seed):
    p, labels = predictions(seed, count=7, classes=3)
    brier = np.mean([sum((p[i, k] - (labels[i] == k)) ** 2 for k in range(3)) for i in range(7)])
    assert brier_score(p, labels) == pytest.approx(brier)
    assert negative_log_likelihood(p, labels) == pytest.approx(np.mean([-np.log(p[i, labels[i]]) for i in range(7)]))


def test_a_certain_error_costs_2_and_a_large_but_finite_likelihood():
    p = np.array([[1.0, 0.0]])
    assert brier_score(p, np.array([1])) == 2 and brier_score(p, np.array([0])) == 0
    assert 700 < negative_log_likelihood(p, np.array([1])) < 710


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6))
def test_risk_is_the_mean_over_all_orders_of_equals(images):
    uncertainty, wrong = (np.array(values) for values in zip(*images, strict=True))
    orders = [o for o in permutations(range(len(images))) if all(np.diff(uncertainty[list(o)]) >= 0)]
    answered = np.arange(1, len(images) + 1)
    expected = np.mean([wrong[list(order)].cumsum() / answered for order in orders], 0)
    found = risk_coverage(uncertainty, wrong)
    np.testing.assert_allclose(found.risk, expected, atol=1e-12)
    assert found.risk[-1] == pytest.approx(wrong.mean()) and found.coverage[-1] == 1
    assert found.area == pytest.approx(expected.mean())


def test_an_order_that_knows_the_errors_is_the_best():
    wrong = np.arange(50) % 5 == 0
    best, worst = risk_coverage(wrong.astype(float), wrong), risk_coverage(1 - wrong, wrong)
    nothing = risk_coverage(np.zeros(50), wrong)
    assert best.area < nothing.area < worst.area
    assert nothing.area == pytest.approx(0.2) and best.risk[39] == 0


@given(SCORES, SCORES)
def test_auroc_counts_pairs(known, foreign):
    pairs = [(f > k) + (f == k) / 2 for f in foreign for k in known]
    assert auroc(known, foreign) == pytest.approx(np.mean(pairs))
    assert auroc(foreign, known) == pytest.approx(1 - np.mean(pairs))


@given(SCORES, SCORES, st.sampled_from([0.1, 0.5, 0.95, 1.0]))
def test_fpr_is_taken_at_the_least_threshold_that_passes_enough(known, foreign, accepted):
    passing = [t for t in np.unique(known) if (known <= t).mean() >= accepted - 1e-12]
    assert fpr_at(known, foreign, accepted) == pytest.approx((foreign <= min(passing)).mean())


def test_fpr_of_20_images_lets_one_fail():
    known = np.arange(20.0)
    assert fpr_at(known, np.array([18.0, 18.5, 30.0])) == pytest.approx(1 / 3)


@given(SCORES, SCORES)
def test_average_precision_sums_over_thresholds(known, foreign):
    area = before = 0.0
    for threshold in sorted({*known, *foreign}, reverse=True):
        found, seen = (foreign >= threshold).sum(), (foreign >= threshold).sum() + (known >= threshold).sum()
        recall = found / len(foreign)
        area, before = area + (recall - before) * found / seen, recall
    assert average_precision(known, foreign) == pytest.approx(area)


def test_scores_that_separate_are_perfect():
    known, foreign = np.array([0.1, 0.2]), np.array([0.3, 0.9, 0.4])
    assert auroc(known, foreign) == 1 and fpr_at(known, foreign) == 0 and average_precision(known, foreign) == 1


@pytest.mark.parametrize("measure", [auroc, fpr_at, average_precision])
def test_nothing_to_compare_is_refused(measure):
    with pytest.raises(ValueError, match="one or more each"):
        measure(np.zeros(0), np.zeros(3))
    with pytest.raises(ValueError, match="one or more each"):
        measure(np.zeros(3), np.zeros((3, 1)))


def test_what_does_not_fit_is_refused():
    p, labels = predictions(0)
    with pytest.raises(ValueError, match="labels: expected 0 to 3"):
        brier_score(p, labels + 1)
    with pytest.raises(ValueError, match="expected probabilities"):
        negative_log_likelihood(p, labels[:-1])
    with pytest.raises(ValueError, match="bins: expected 1 or more"):
        reliability(p, labels, bins=0)
    with pytest.raises(ValueError, match="expected two vectors"):
        risk_coverage(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="accepted: expected a share"):
        fpr_at(p[:, 0], p[:, 1], accepted=0.0)
