import time

import pytest

from bitwright.report.timing import alternate, describe_machine


def test_calls_take_turns_and_are_timed():
    seen = []

    def slow():
        seen.append("slow")
        time.sleep(0.004)

    def quick():
        seen.append("quick")
        time.sleep(0.002)

    timings = alternate({"slow": slow, "quick": quick}, runs=3, warmup=1)
    assert seen == ["slow"] * 2 + ["quick"] * 2 + ["slow", "quick"] * 3
    assert timings["slow"].min_ms >= 4 and timings["quick"].min_ms >= 2
    assert timings["slow"].median_ms >= timings["slow"].min_ms
    assert timings["slow"].runs == 3


def test_a_quick_call_is_repeated_within_a_measurement():
    calls = []
    timing = alternate({"it": lambda: calls.append(1)}, runs=2, warmup=1)["it"]
    assert len(calls) > 100
    assert timing.median_ms < 0.1


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="runs=0"):
        alternate({"it": int}, runs=0)


def test_machine_names_the_processor_and_the_versions():
    found = describe_machine()
    assert found.cpu and found.cores >= 1
    assert found.versions["python"].startswith("3.") and found.versions["numpy"]
