"""This machine: everything in one process, or decoding ahead in others."""

from collections.abc import Generator, Sequence

from pipeline_lib.extraction.decode_pool import DecodePool, decode_here
from pipeline_lib.extraction.engine import Decoding, Engine, Outcome, Source, Work
from pipeline_lib.extraction.executors.base import Run
from pipeline_lib.runtime.device import choose_device
from pipeline_lib.runtime.lanes import Lanes, cores


def serial(run: Run, work: Sequence[Work]) -> Generator[Outcome, None, None]:
    """Decode in this process. For debugging: a decoder that hangs or crashes takes it along."""
    yield from embed(run, work, decode_here, threads=0)


def process(run: Run, work: Sequence[Work]) -> Generator[Outcome, None, None]:
    """Decode ahead in processes that may hang or crash; the networks run here."""
    runtime = run.settings.runtime
    workers = min(runtime.decode_workers or cores(), len(work))
    pool = DecodePool(workers, runtime.decode_stall_s)
    yield from embed(run, work, pool.events, threads=max(1, cores() // max(1, workers)))


def embed(
    run: Run, work: Sequence[Work], source: Source, threads: int
) -> Generator[Outcome, None, None]:
    """Turn what ``source`` decodes with ``threads`` threads a video into written features."""
    config, runtime = run.settings.config, run.settings.runtime
    # Several threads conceal damage differently from run to run.
    decoding = Decoding(config.decoder, config.tolerant, 1 if config.tolerant else threads)
    with Lanes(choose_device(runtime.device), runtime.threads) as lanes:
        yield from Engine(run.outputs, lanes).run(work, decoding, source)
