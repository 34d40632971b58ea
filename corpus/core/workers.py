"""Run a function over items in this process, in local processes, or on a Ray cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from corpus.core.console import Progress, progress
from corpus.core.errors import UsageError, ZeroToOneError

Item = TypeVar("Item")
Result = TypeVar("Result")

# The one mutable global of the engine: how many records the workers of this run have read.
_ticks: Any = None
_progress: Progress | None = None


def tick(n: int) -> None:
    """Tell the progress display that `n` records were read."""
    if _ticks is not None:
        with _ticks.get_lock():
            _ticks.value += n
        if _progress is not None:
            _progress.note(f"{_ticks.value:,} records")


def default_workers() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_units(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    engine: str = "local",
    description: str,
) -> list[Result]:
    """Apply `function` (a module's function) to all items and return the results in their order.

    The first failure stops the rest and is raised. A worker process that dies is a ZeroToOneError.
    """
    if engine not in ("local", "ray"):
        raise UsageError(f"unknown engine `{engine}`; choose local or ray")
    if workers is not None and workers < 1:
        raise UsageError("--workers must be at least 1")
    count = min(workers or default_workers(), len(items))
    if not items:
        return []
    with progress(description, len(items), "units") as bar:
        if engine == "ray":
            return _run_on_ray(function, items, workers, bar)
        return _run_here(function, items, bar) if count == 1 else _run_locally(function, items, count, bar)


def _run_here(function: Callable[[Item], Result], items: Sequence[Item], bar: Progress) -> list[Result]:
    global _ticks, _progress
    _ticks, _progress = multiprocessing.Value("q", 0), bar
    try:
        results = []
        for item in items:
            results.append(function(item))
            bar.advance()
        return results
    finally:
        _ticks = _progress = None


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back from this thread, and for good from processes that it starts: they inherit the mask.

    `_start_worker` would be too late: a worker that is still importing modules would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(ticks: Any) -> None:
    global _ticks
    _ticks = ticks
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this a worker outlives a killed parent, and writes what a rerun is writing too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_locally(
    function: Callable[[Item], Result], items: Sequence[Item], count: int, bar: Progress
) -> list[Result]:
    # Spawned, not forked: polars and numba keep threads whose locks a fork would copy.
    context = multiprocessing.get_context("spawn")
    ticks = context.Value("q", 0)
    before = {
        name: os.environ.get(name) for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS")
    }
    os.environ.update(dict.fromkeys(before, "1"))
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(ticks,))
    try:
        with _interrupts_held():  # the processes start here
            futures = [pool.submit(function, item) for item in items]
        _await(futures, bar, ticks)
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise ZeroToOneError(
            "a worker process died (killed, or out of memory); run the same command again to go on, "
            "with fewer --workers if memory is short"
        ) from None
    except BaseException:
        _kill(pool)
        raise
    finally:
        pool.shutdown(cancel_futures=True)  # waits, so that no thread is left for Ctrl-C to interrupt
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _await(futures: Sequence[Future[Any]], bar: Progress, ticks: Any) -> None:
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        bar.text = f"{ticks.value:,} records" if ticks.value else ""
        bar.advance(len(done))


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _run_on_ray(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int | None, bar: Progress
) -> list[Result]:
    try:
        import ray
    except ImportError:
        raise ZeroToOneError("the engine `ray` needs the extra: pip install 'zero-to-one[ray]'") from None
    if not ray.is_initialized():
        # A cluster where RAY_ADDRESS names one, else this machine alone, reachable from nowhere else.
        here: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **({} if "RAY_ADDRESS" in os.environ else here))
    remote = ray.remote(function)
    references = [remote.remote(item) for item in items]
    waiting = list(references)
    while waiting:
        done, waiting = ray.wait(waiting, timeout=1.0)
        try:
            ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, ZeroToOneError) else error from None
        bar.advance(len(done))
    return list(ray.get(references))
