"""The parts that stand behind the page, opened and closed together."""

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.errors import DataError
from pipeline_lib.retrieval.embedded_folder import EmbeddedFolder
from pipeline_lib.retrieval.queries import check_query
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from pipeline_lib.runtime.lanes import cores
from pipeline_lib.serving.bounded import Bounded, Remembered
from pipeline_lib.serving.encoder import QueryEncoder
from pipeline_lib.serving.library import Library
from pipeline_lib.serving.originals import Original, Originals
from pipeline_lib.serving.refusal import RefusalError
from pipeline_lib.serving.stills import Stills
from pipeline_lib.storage.hash_cache import HashCache

LONGEST_QUERY, MOST_VIDEOS, MOST_MOMENTS = 500, 50, 12
_MOST_THREADS = 4
_WAITING_SEARCHES, _WAITING_FRAMES, _WAITING_READS = 1024, 512, 1024
_KEPT_ANSWERS = 256
_PAGE = ("index.html", "style.css", "main.js", "results.js", "player.js", "parts.js", "icon.svg")


@dataclass(frozen=True)
class Source:
    """What is served.

    Attributes:
        folder: What ``embed`` wrote.
        videos: Folder of the videos; ``None`` is where they were embedded from.
        follow_links: Also open links that lead out of that folder.
        hashes: JSON that remembers which videos were checked; ``None`` checks them anew.
    """

    folder: Path
    videos: Path | None = None
    follow_links: bool = False
    hashes: Path | None = None


class Site:
    """Answers what the routes ask; used from one event loop.

    Args:
        source: What is served.
        model: Embeds queries; nobody else may use it meanwhile.
        settings: Say which frames are moments.

    Attributes:
        stills: Frames.
        files: Where files are read.

    Raises:
        DataError: A folder is missing or damaged.
        WeightsError: The folder was embedded by another model.
    """

    def __init__(self, source: Source, model: RetrievalModel, settings: UnifiedModelConfig) -> None:
        folder = EmbeddedFolder(source.folder, model)
        root = source.videos or Path(folder.manifest.source)
        self._hashes = HashCache(source.hashes)
        self._originals = Originals(folder, root, self._hashes, follow_links=source.follow_links)
        self._library = Library(
            folder, self._originals, settings.num_segments, settings.similarity_threshold
        )
        self._encoder = QueryEncoder(model)
        threads = min(_MOST_THREADS, cores())
        self._searches = Bounded("search", threads, _WAITING_SEARCHES)
        self._decoders = Bounded("decode", threads, _WAITING_FRAMES)
        self.files = Bounded("files", _MOST_THREADS, _WAITING_READS)
        self.stills = Stills(self._originals, self.files, self._decoders)
        self._answers: Remembered[tuple[str, int, int], dict[str, Any]] = Remembered(_KEPT_ANSWERS)
        place = files("pipeline_lib.serving").joinpath("page")
        self.page = {name: place.joinpath(name).read_bytes() for name in _PAGE}

    def info(self) -> dict[str, Any]:
        """What the page says of itself, and what it may ask for."""
        return {
            **self._library.info(),
            "longest_query": LONGEST_QUERY,
            "most_videos": MOST_VIDEOS,
            "most_moments": MOST_MOMENTS,
        }

    async def search(self, query: str, videos: int, moments: int) -> dict[str, Any]:
        """The videos that fit best, with their moments.

        Raises:
            CliplineError: The folder or the text tower is damaged.
            RefusalError: 422, the query cannot be meant; 503, too many are waiting.
        """
        query = " ".join(query.split())
        if len(query) > LONGEST_QUERY:
            raise RefusalError(
                422,
                f"The query has {len(query)} characters; at most {LONGEST_QUERY} are read.",
                kind="query",
            )
        try:
            check_query(query)
        except DataError as error:
            raise RefusalError(422, error.message, hint=error.hint, kind="query") from None
        key = (query, videos, moments)
        found = await self._answers.get(key, lambda: self._found(*key))
        numbers = [video["number"] for video in found["videos"]]
        problems = await self.files.run(lambda: [self._library.problem(n) for n in numbers])
        marked = [
            {**video, "problem": problem}
            for video, problem in zip(found["videos"], problems, strict=True)
        ]
        return {**found, "videos": marked}

    async def opened(self, number: int) -> Original:
        """A video, to be read and closed; see :meth:`.Originals.opened`."""
        return await self.files.run(self._originals.opened, number)

    async def close(self) -> None:
        """End the threads, and keep what was learned of the videos."""
        self._encoder.close()
        for pool in (self._searches, self._decoders, self.files):
            pool.close()
        await asyncio.to_thread(self._hashes.save)

    async def _found(self, query: str, videos: int, moments: int) -> dict[str, Any]:
        direction = await self._encoder.direction(query)
        found = await self._searches.run(self._library.search, query, direction, videos, moments)
        return {"query": query, "tokens_cut": direction.tokens_cut, "videos": found}
