"""One backbone's features directory: what identifies its features, and how they are written."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline_lib.backbones.base import Backbone
from pipeline_lib.config import ExtractConfig
from pipeline_lib.extraction.collect import Collector
from pipeline_lib.extraction.schedule import Grid, Stream
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.storage.features import Manifest, VideoEntry, write_features, write_manifest

# Raised whenever this package changes the features it writes for the same frames.
VERSION = 2


class Output:
    """The features of one backbone.

    Args:
        name: The backbone's name, recorded in the manifest.
        backbone: The loaded network.
        config: Grid and decoder settings.
        directory: Where the features go.

    Attributes:
        stream: What the backbone sees of a video.
        fingerprint: Changes with anything that changes a feature.
    """

    def __init__(
        self, name: str, backbone: Backbone, config: ExtractConfig, directory: Path
    ) -> None:
        self.name = name
        self.backbone = backbone
        self.directory = directory
        self._config = config
        frames = backbone.frames_per_sample
        self.stream = Stream(
            backbone.resize,
            Grid(config.every_s, config.clip_len_s, config.fps, config.boundaries),
            frames if frames > 1 else None,
        )
        self.fingerprint = fingerprint(
            {
                "version": VERSION,
                "backbone": backbone.identity,
                # Another batch shape may round differently in the last bit.
                "batch_size": backbone.batch_size,
                "decoder": config.decoder,
                "tolerant": config.tolerant,
                "partial_clip": config.partial_clip,
                "stream": asdict(self.stream),
            }
        )

    def collector(self) -> Collector:
        """For the features of one more video."""
        return Collector(self.stream, self.backbone.dim)

    def write(self, video_id: str, collected: Collector, facts: Mapping[str, Any]) -> VideoEntry:
        """Write the features of one video; they are whole or not there."""
        rows = collected.rows()
        clips = collected.clips(dict(facts), self._config.partial_clip == "keep")
        backbone, config = self.backbone, self._config
        averaged = "mean of un-normalised frame embeddings"
        meta = {
            "backbone": self.name,
            "fingerprint": self.fingerprint,
            "weights_id": backbone.weights_id,
            "weights_sha256": backbone.weights_sha256,
            "trained": backbone.trained,
            "preprocess": backbone.identity["preprocess"],
            "precision": backbone.precision,
            "pooling": averaged if rows is not None else "the network's own",
            "decoder": config.decoder,
            "every_s": None if rows is None else config.every_s,
            "clip_len_s": config.clip_len_s,
            "fps": config.fps,
            "boundaries": config.boundaries,
            "partial_clip": config.partial_clip,
            "rows": None if rows is None else len(rows),
            "clips": len(clips.features),
            "dim": backbone.dim,
            **{key: value for key, value in facts.items() if key != "clip_bounds"},
        }
        return write_features(self.directory, video_id, rows, clips, meta)

    def write_manifest(self, entries: Mapping[str, VideoEntry]) -> None:
        """Write what the directory holds."""
        backbone = self.backbone
        write_manifest(
            self.directory,
            Manifest(
                backbone=self.name,
                fingerprint=self.fingerprint,
                weights_id=backbone.weights_id,
                weights_sha256=backbone.weights_sha256,
                trained=backbone.trained,
                dim=backbone.dim,
                every_s=None if self.stream.frames_per_clip else self._config.every_s,
                videos=entries,
            ),
        )
