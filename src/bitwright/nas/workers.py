"""Workers: a score function run here, in several processes, or by Ray on several machines, with the same scores."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from bitwright.errors import BitwrightError

C = TypeVar("C")
S = TypeVar("S")
Batch = Callable[[Sequence[C]], Iterable[S]]

_score: Callable[[Any], Any] | None = None  # of a worker process


@contextmanager
def workers(score: Callable[[C], S], *, processes: int = 1, ray: str = "") -> Iterator[Batch[C, S]]:
    """Scores of many candidates in their order, each as soon as it and those before it are known.

    The score must follow from the candidate alone; then it does not matter who computes it.

    Args:
        score: The score of one candidate; it is pickled, once for each process.
        processes: On this machine; with 1 the score is computed here. Not used with Ray.
        ray: "local" starts Ray here, "auto" or an address joins a running cluster; empty for no Ray.

    Raises:
        BitwrightError: Ray is wanted and not installed, or cannot be reached.
        ValueError: processes is less than 1.
    """
    if processes < 1:
        raise ValueError(f"processes: expected 1 or more, found {processes}")
    if ray:
        with _ray(ray) as connection:
            yield lambda candidates: _by_ray(connection, score, candidates)
    elif processes == 1:
        yield lambda candidates: map(score, candidates)
    else:
        fresh = multiprocessing.get_context("spawn")  # a forked copy of a process with threads may hang
        with ProcessPoolExecutor(processes, fresh, _install, (score,)) as pool:
            try:
                yield lambda candidates: pool.map(_call, candidates)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # else an interruption waits for what nobody will read
                raise


def _install(score: Callable[[Any], Any]) -> None:
    global _score
    _score = score


def _call(candidate: Any) -> Any:
    assert _score is not None
    return _score(candidate)


@contextmanager
def _ray(address: str) -> Iterator[Any]:
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise BitwrightError('ray is not installed: pip install "bitwright[cluster]", or use processes') from None
    try:
        ray.init(None if address == "local" else address, include_dashboard=False, log_to_driver=False)
    except Exception as error:  # Ray has no class for what goes wrong at its start
        raise BitwrightError(f"ray: cannot start, or join {address!r}: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _by_ray(ray: Any, score: Callable[[Any], Any], candidates: Sequence[Any]) -> Iterator[Any]:
    task = ray.remote(_apply)
    shared = ray.put(score)
    pending = [task.remote(shared, candidate) for candidate in candidates]
    for reference in pending:
        yield ray.get(reference)


def _apply(score: Callable[[Any], Any], candidate: Any) -> Any:
    return score(candidate)
