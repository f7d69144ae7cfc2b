"""What the commands `embed` and `retrieve` are asked for, and how they answer."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline_lib.config import RuntimeConfig
from pipeline_lib.datasets.json_lines import JsonScanner, Lines, naming_line, read_json_text
from pipeline_lib.errors import BatchError, ConfigError, DataError, VideoError
from pipeline_lib.retrieval.catalogue import is_catalogue, read_manifest
from pipeline_lib.retrieval.files import EmbedOptions
from pipeline_lib.retrieval.models import ModelChoice, open_model
from pipeline_lib.retrieval.picture import draw_moments
from pipeline_lib.retrieval.queries import check_query
from pipeline_lib.retrieval.report import EmbedReport
from pipeline_lib.retrieval.run import EmbeddingRun
from pipeline_lib.retrieval.search import Found, MomentOptions, Searcher
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from pipeline_lib.runtime.device import set_threads
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import write_json
from pipeline_lib.storage.directories import refuse_foreign, replacing_directory
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.video.decoders.base import check_file

RESULTS = "results.json"
_STRIP = re.compile(r"strip_\d{2,}\.png")
_USAGE = 'Either `clipline retrieve VIDEO_OR_FOLDER "query"`, or `… --queries FILE`.'
_QUERIES = 'The file holds [{"video_path": …, "query": …}, …].'


@dataclass(frozen=True)
class Asked:
    """A request, as a command line states it.

    Attributes:
        model: Folder of a trained model.
        config: JSON of a unified configuration.
        device: Where the network runs; ``None`` is what the configuration or params.yaml says.
        allow_untrained: Take a model that was never trained, too.
    """

    model: Path | None = None
    config: Path | None = None
    device: str | None = None
    allow_untrained: bool = False

    @property
    def opened_from(self) -> dict[str, str | None]:
        """As the manifest of embeddings has it."""
        named = (self.model, self.config)
        return dict(zip(("model", "config"), (str(n) if n else None for n in named), strict=True))

    def choice(self, runtime: RuntimeConfig) -> ModelChoice:
        """The model that is meant; the device of ``runtime`` counts where none else is named."""
        config = UnifiedModelConfig.from_json(self.config) if self.config else None
        device = self.device
        if device is None and (config is None or config.device == "auto"):
            device = runtime.device
        return ModelChoice(self.model, config, device, self.allow_untrained)


@dataclass
class RetrieveReport:
    """Results of one query or many.

    Attributes:
        results: As JSON has them, in the order of the queries.
        found: Those that succeeded, by position.
        segments: Equal parts of the timeline that label moments.
        many: Whether ``--json`` prints a list.
        faults: Queries without results, and pictures that could not be drawn.
    """

    results: list[dict[str, Any]]
    found: dict[int, Found]
    segments: int
    many: bool
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> Any:
        """One object for one query in one video, a list otherwise."""
        return self.results if self.many else self.results[0]

    def as_text(self) -> str:
        """The same as text."""
        return json.dumps(self.as_json(), indent=1, ensure_ascii=False)

    def lines(self) -> list[str]:
        """For people, a line for each video and each moment."""
        lines = []
        for number, result in enumerate(self.results):
            if number not in self.found:
                lines.append(
                    f"{result['video_path']}: {result['query']!r}: failed: {result['error']}"
                )
                continue
            found = self.found[number]
            lines.append(
                f"{found.video}: {found.query!r}: score {found.video_score:.3f}, moments among "
                f"{len(found.scores)} frames"
            )
            lines += [
                f"  frame {moment.source_frame} at {moment.timestamp_s:.2f} s, score "
                f"{moment.score:.3f}, {moment.start_s:.2f} s to {moment.end_s:.2f} s, "
                f"part {moment.segment} of {self.segments}"
                for moment in found.moments
            ] or ["  no moment scores high enough"]
        return lines

    def save(self, out: Path) -> None:
        """Write ``results.json``, and a strip of frames for each video with results.

        Raises:
            DataError: The folder holds something else.
        """
        refuse_foreign(
            out, lambda name: name == RESULTS or bool(_STRIP.fullmatch(name)), "retrieve"
        )
        with replacing_directory(out) as made:
            write_json(made / RESULTS, self.as_json())
            for number, found in self.found.items():
                try:
                    draw_moments(made / f"strip_{number + 1:02d}.png", found, self.segments)
                except VideoError as error:
                    self.faults.append(f"no picture: {error.message}")

    def raise_failures(self) -> None:
        """Turn failures into the error a batch ends with.

        Raises:
            BatchError: A query has no result, or a picture could not be drawn.
        """
        if self.faults:
            raise BatchError(
                f"{len(self.faults)} of {len(self.results)} not done, first: {self.faults[0]}",
                hint="Each result says its error; the others are done.",
            )


def embed_folder(
    source: Path,
    out: Path,
    asked: Asked,
    options: EmbedOptions,
    runtime: RuntimeConfig,
    hash_cache: Path | None = None,
    progress: Progress = SILENT,
) -> EmbedReport:
    """Embed a folder of videos as the command does; see :class:`EmbeddingRun`.

    Raises:
        CliplineError: Nothing could be done; single videos that fail are in the report.
    """
    set_threads(runtime.threads)
    choice = asked.choice(runtime)
    run = EmbeddingRun(source, out, options, HashCache(hash_cache))
    return run.embed(lambda: open_model(choice), asked.opened_from, progress)


def retrieve(
    target: Path | None,
    query: str | None,
    queries: Path | None,
    asked: Asked,
    runtime: RuntimeConfig,
    top_k: int | None = None,
    moments: int = 3,
    every_s: float | None = None,
) -> RetrieveReport:
    """Answer one query about a video or a folder of embeddings, or a file of queries.

    Args:
        target: A video, or what ``embed`` wrote.
        query: What to look for.
        queries: JSON of many queries instead.
        asked: The model; for a folder of embeddings the one that made them is the default.
        runtime: Of this machine.
        top_k: Most moments of a video, or most videos of a folder.
        moments: Most moments of each video of a folder.
        every_s: Seconds between two frames that are scored, at most; ``None`` is what the
            configuration says, and for a folder the frames that ``embed`` kept.

    Raises:
        ConfigError: It asks for nothing, or for two things at once.
        DataError: The query is blank, or a file cannot be used.
        VideoError: The one video cannot be read.
        WeightsError: Weights are missing, do not fit, or are untrained.
    """
    set_threads(runtime.threads)
    if queries is not None:
        if target is not None or query is not None:
            raise ConfigError("--queries goes without VIDEO and QUERY.", hint=_USAGE)
        return _answer_many(read_queries(queries), asked.choice(runtime), top_k, every_s)
    if target is None or query is None:
        raise ConfigError("No query is given.", hint=_USAGE)
    check_query(query)
    if target.is_dir():
        if moments < 1:
            raise ConfigError(f"--moments {moments}: it has to be at least 1.")
        options = MomentOptions(moments, every_s=every_s)
        return _answer_folder(target, query, asked, runtime, top_k, options)
    check_file(target)
    choice = asked.choice(runtime)
    options = MomentOptions.of(choice.settings, top_k, every_s)
    found = Searcher(open_model(choice)).in_video(target, query, options)
    return _report([found], options.segments, many=False)


def as_embedded(folder: Path, asked: Asked) -> Asked:
    """The model that made a folder of embeddings, where none is named.

    Raises:
        DataError: The folder holds no embeddings, or is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder.", hint="Give the folder that `embed` wrote.")
    if not is_catalogue(folder):
        raise DataError(
            f"{folder}: a folder without embeddings.",
            hint=f"`clipline embed {folder} --out FOLDER` makes them; then retrieve from FOLDER.",
        )
    if asked.model is None and asked.config is None:
        made_by = read_manifest(folder).opened_from
        paths = {key: Path(value) if value else None for key, value in made_by.items()}
        return Asked(paths["model"], paths["config"], asked.device, asked.allow_untrained)
    return asked


def read_queries(path: Path) -> list[Any]:
    """The queries of a JSON file.

    Raises:
        DataError: It is missing, not JSON, or holds no list.
    """
    text = read_json_text(path, "file of queries", _QUERIES)
    with naming_line(path, Lines(text)):
        scanner = JsonScanner(text)
        content = scanner.value()
        scanner.end()
    if not isinstance(content, list):
        raise DataError(f"{path}: holds no list of queries.", hint=_QUERIES)
    if not content:
        raise DataError(f"{path}: its list of queries is empty.", hint=_QUERIES)
    return content


def _answer_folder(
    folder: Path,
    query: str,
    asked: Asked,
    runtime: RuntimeConfig,
    top_k: int | None,
    wanted: MomentOptions,
) -> RetrieveReport:
    choice = as_embedded(folder, asked).choice(runtime)
    settings = MomentOptions.of(choice.settings, top_k)
    options = replace(settings, top_k=wanted.top_k, every_s=wanted.every_s)
    searcher = Searcher(open_model(choice))
    answers = searcher.in_folder(folder, query, settings.top_k, options)
    return _report(answers, options.segments, many=True)


def _answer_many(
    queries: Sequence[Any],
    choice: ModelChoice,
    top_k: int | None,
    every_s: float | None,
) -> RetrieveReport:
    options = MomentOptions.of(choice.settings, top_k, every_s)
    searcher = Searcher(open_model(choice))
    answers = [searcher.answer(query, options) for query in queries]
    return _report(answers, options.segments, many=True)


def _report(
    answers: Sequence[Found | dict[str, Any]], segments: int, *, many: bool
) -> RetrieveReport:
    report = RetrieveReport([], {}, segments, many)
    for number, answer in enumerate(answers):
        if isinstance(answer, Found):
            report.found[number] = answer
            report.results.append(answer.as_dict())
        else:
            report.results.append(answer)
            report.faults.append(str(answer["error"]))
    return report
