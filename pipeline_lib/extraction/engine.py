"""From decoded frames to written features: batches across videos, several of them at once."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.extraction.collect import Collector, Image
from pipeline_lib.extraction.decode import EndEvent, Event, FailEvent, FrameEvent, Job
from pipeline_lib.extraction.output import Output
from pipeline_lib.extraction.schedule import Stream
from pipeline_lib.runtime.lanes import Lanes
from pipeline_lib.storage.features import VideoEntry

Rows = NDArray[np.float32]
Source = Callable[[Iterable[Job]], Generator[Event, None, None]]


@dataclass(frozen=True)
class Work:
    """One video and the outputs that lack it.

    Attributes:
        video_id: Names its features.
        path: The file, as a string that another process can take.
        outputs: Positions among the outputs of the run.
    """

    video_id: str
    path: str
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one video.

    Attributes:
        work: The video.
        entries: Position of an output to what was written; empty where the video failed.
        samples: Position of an output to the samples that went through its network.
        reason: Why the video failed, in one word; ``None`` where it did not.
        message: The same for people.
    """

    work: Work
    entries: dict[int, VideoEntry] = field(default_factory=dict)
    samples: dict[int, int] = field(default_factory=dict)
    reason: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Decoding:
    """How the videos of a run are decoded; the fields are those of ``Job``."""

    decoder: str
    tolerant: bool
    threads: int


@dataclass
class _Open:
    """A video in work.

    Attributes:
        collectors: For each output of the work, in its order.
        takers: For each stream, the positions of the collectors that want its frames.
    """

    work: Work
    collectors: list[Collector]
    takers: list[list[int]]
    facts: dict[str, Any] | None = None
    samples: dict[int, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.facts is not None and all(c.complete for c in self.collectors)


@dataclass
class _Batch:
    """Samples of one output and one shape, and where each one's feature belongs."""

    output: int
    samples: list[Image] = field(default_factory=list)
    owners: list[tuple[_Open, Collector]] = field(default_factory=list)


class Engine:
    """Feeds decoded frames to the networks of several outputs and writes what comes back.

    Args:
        outputs: The networks and where their features go.
        lanes: Where forward passes run.
    """

    def __init__(self, outputs: Sequence[Output], lanes: Lanes) -> None:
        self._outputs = outputs
        self._lanes = lanes
        self._open: dict[int, _Open] = {}
        self._filling: dict[tuple[int, tuple[int, ...]], _Batch] = {}
        self._running: deque[tuple[_Batch, Future[Rows]]] = deque()

    def run(self, work: Sequence[Work], decoding: Decoding, source: Source) -> Iterator[Outcome]:
        """Decode, embed and write.

        Args:
            work: The videos.
            decoding: How they are decoded.
            source: Turns jobs into their events; those of several jobs may be mixed.

        Yields:
            Each video when its features are written, or when it failed.
        """
        jobs = (self._job(n, one, decoding) for n, one in enumerate(work))
        with closing(source(jobs)) as events:
            for event in events:
                yield from self._take(event, work[event.job])
                yield from self._collect(self._lanes.count + 1)
        for key in list(self._filling):
            self._submit(key)
        yield from self._collect(0)

    def _take(self, event: Event, work: Work) -> Iterator[Outcome]:
        if isinstance(event, FailEvent):
            self._open.pop(event.job, None)
            yield Outcome(work, reason=event.reason, message=event.message)
        elif isinstance(event, FrameEvent):
            self._frame(self._opened(event.job, work), event)
        else:
            yield from self._end(self._opened(event.job, work), event)

    def _job(self, number: int, work: Work, decoding: Decoding) -> Job:
        return Job(
            number,
            Path(work.path),
            decoding.decoder,
            decoding.threads,
            decoding.tolerant,
            self._streams(work),
        )

    def _streams(self, work: Work) -> tuple[Stream, ...]:
        """What the outputs of ``work`` want to see: outputs that want the same share it."""
        return tuple(dict.fromkeys(self._outputs[index].stream for index in work.outputs))

    def _opened(self, number: int, work: Work) -> _Open:
        if number not in self._open:
            outputs = [self._outputs[index] for index in work.outputs]
            takers = [
                [position for position, output in enumerate(outputs) if output.stream == stream]
                for stream in self._streams(work)
            ]
            self._open[number] = _Open(work, [o.collector() for o in outputs], takers)
        return self._open[number]

    def _frame(self, video: _Open, event: FrameEvent) -> None:
        for position in video.takers[event.stream]:
            ready = video.collectors[position].frame(event.image, event.row, event.clip)
            self._enqueue(video, position, ready)

    def _end(self, video: _Open, event: EndEvent) -> Iterator[Outcome]:
        for position, collector in enumerate(video.collectors):
            self._enqueue(video, position, collector.end())
        video.facts = event.facts
        del self._open[event.job]
        if video.complete:
            yield self._written(video)

    def _enqueue(self, video: _Open, position: int, samples: list[Image]) -> None:
        index = video.work.outputs[position]
        for sample in samples:
            key = (index, sample.shape)
            batch = self._filling.setdefault(key, _Batch(index))
            batch.samples.append(sample)
            batch.owners.append((video, video.collectors[position]))
            video.samples[index] = video.samples.get(index, 0) + 1
            if len(batch.samples) == self._outputs[index].backbone.batch_size:
                self._submit(key)

    def _submit(self, key: tuple[int, tuple[int, ...]]) -> None:
        batch = self._filling.pop(key)
        backbone = self._outputs[batch.output].backbone
        self._running.append((batch, self._lanes.submit(backbone.encode, batch.samples)))

    def _collect(self, allowed: int) -> Iterator[Outcome]:
        """Hand features back in the order of submission; wait while too many batches run."""
        while self._running and (len(self._running) > allowed or self._running[0][1].done()):
            batch, future = self._running.popleft()
            for (video, collector), row in zip(batch.owners, future.result(), strict=True):
                collector.add(row)
                if video.complete:
                    yield self._written(video)

    def _written(self, video: _Open) -> Outcome:
        work, facts = video.work, dict(video.facts or {})
        bounds = facts.pop("clip_bounds")
        entries = {}
        for position, (index, collector) in enumerate(
            zip(work.outputs, video.collectors, strict=True)
        ):
            stream = next(n for n, takers in enumerate(video.takers) if position in takers)
            own = {**facts, "clip_bounds": bounds[stream]}
            entries[index] = self._outputs[index].write(work.video_id, collector, own)
        return Outcome(work, entries, video.samples)
