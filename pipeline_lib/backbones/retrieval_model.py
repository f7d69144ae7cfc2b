"""A TempMe-STOP network with its CLIP, from parameters or from the folder of a trained one."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.backbones.base import Placement, WeightsSource
from pipeline_lib.backbones.open_clip_weights import LoadedClip, load_open_clip
from pipeline_lib.backbones.retrieval_adapters import load_adapters
from pipeline_lib.backbones.retrieval_folder import architecture, read_folder, save_adapters
from pipeline_lib.backbones.transformers_clip import is_transformers_clip, load_transformers_clip
from pipeline_lib.backbones.weight_files import UNTRAINED, require_fit
from pipeline_lib.config import ClipConfig, TempMeStopModelConfig, as_dict
from pipeline_lib.errors import WeightsError
from pipeline_lib.networks.clip_shape import ClipShape, clip_shape, clip_tensors
from pipeline_lib.networks.merge_schedule import resolve
from pipeline_lib.networks.tempme_stop import TempMeStop, VideoVectors
from pipeline_lib.runtime.device import autocast, choose_precision, precision_name, to_device

# Raised whenever this file or the network changes the vectors it gives for the same weights.
VERSION = 1
_CLIP = "clip."
# Of the architecture, what only says where its other values came from.
_NAMES_ONLY = ("backbone", "merging")
_SHOWN = 3


class RetrievalModel:
    """A network for text-video retrieval with all that is needed to use it.

    Attributes:
        network: In eval mode, on ``device``; its weights are fp32.
        config: Its architecture, every field that a preset decides filled in.
        section: Where the CLIP comes from.
        preprocess: How its image tower wants frames.
        frames: Frames N of a video that it sees.
        clips: Clips C that are left of them.
        dim: Length D of an embedding.
        tokenizer: Texts to int64 token ids [n, words]; longer texts are cut.
        source: Where the CLIP's weights came from.
        adapters_sha256: SHA-256 of the file of trained tensors; ``None`` for new ones.
        trained_adapters: False for new ones.
        trained: False where the CLIP or the adapters are untrained.
        identity: JSON-able facts that change an embedding, as the model was loaded.
        device: Where it runs.
        dtype: Of its matrix products in ``encode_videos`` and ``encode_texts``.
        batch_size: Frames, or captions, in one forward pass of them.
    """

    def __init__(
        self,
        network: TempMeStop,
        loaded: LoadedClip,
        clip: tuple[ClipConfig, ClipShape],
        config: TempMeStopModelConfig,
        placement: Placement,
        adapters_sha256: str | None,
    ) -> None:
        self.section, shape = clip
        self.config = config
        self.source = loaded.source
        self.preprocess = loaded.preprocess
        words = min(config.max_words, shape.context_length)
        self.tokenizer: Any = partial(loaded.tokenizer, context_length=words)
        self.adapters_sha256 = adapters_sha256
        self.trained_adapters = adapters_sha256 is not None
        learned = network.learned()
        # A network without anything to train is CLIP itself.
        self.trained = self.source.trained and (self.trained_adapters or not learned)
        self.device = placement.device
        self.dtype = choose_precision(placement.precision, placement.device)
        self.batch_size = placement.batch_size
        self.frames, self.clips, self.dim = network.frames, network.clips, network.dim
        self.identity: dict[str, Any] = {
            "network": "TempMe-STOP",
            "version": VERSION,
            "architecture": {k: v for k, v in as_dict(config).items() if k not in _NAMES_ONLY},
            "clip_sha256": self.source.sha256,
            "adapters_sha256": adapters_sha256 or f"{UNTRAINED}-{_digest(learned)}",
            "trained": self.trained,
            "precision": precision_name(self.dtype),
            "preprocess": {
                **asdict(self.preprocess.resize),
                "mean": list(self.preprocess.mean),
                "std": list(self.preprocess.std),
            },
        }
        self.network = network.eval().to(self.device)
        self._mean = 255 * torch.tensor(self.preprocess.mean, device=self.device)
        self._std = 255 * torch.tensor(self.preprocess.std, device=self.device)

    def pixels(self, frames: NDArray[np.uint8]) -> Tensor:
        """What the network reads.

        Args:
            frames: uint8 [B, N, S, S, 3], scaled and cropped by ``preprocess.resize``.

        Returns:
            fp32 [B, N, 3, S, S] on the device.
        """
        raw = to_device(frames, self.device)
        return raw.float().sub_(self._mean).div_(self._std).movedim(-1, 2)

    def encode_videos(self, frames: NDArray[np.uint8]) -> VideoVectors:
        """Embed videos, without gradient.

        Every forward pass has the same shape (the last one is filled up and cut again), so a
        video's bits do not depend on the videos beside it.

        Args:
            frames: uint8 [B, N, S, S, 3], scaled and cropped by ``preprocess.resize``.

        Returns:
            fp32 on the CPU.
        """
        rows = max(1, self.batch_size // self.frames)
        parts = []
        for start in range(0, len(frames), rows):
            part = frames[start : start + rows]
            filled = np.concatenate([part, *[part[-1:]] * (rows - len(part))])
            with torch.no_grad(), autocast(self.device, self.dtype):
                vectors = self.network.forward_video(self.pixels(filled))
            parts.append([vector[: len(part)].float().cpu() for vector in vectors])
        if not parts:
            sizes = ((self.dim,), (self.clips, self.dim), (self.frames, self.dim))
            return VideoVectors(*(torch.zeros(0, *size) for size in sizes))
        return VideoVectors(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed captions, without gradient.

        Args:
            texts: Longer ones than ``config.max_words`` tokens are cut.

        Returns:
            fp32 [n, D] on the CPU, of length 1.
        """
        parts = [torch.zeros(0, self.dim)]
        for start in range(0, len(texts), self.batch_size):
            tokens = self.tokenizer(list(texts[start : start + self.batch_size]))
            with torch.no_grad(), autocast(self.device, self.dtype):
                parts.append(self.network.encode_text(tokens.to(self.device)).float().cpu())
        return torch.cat(parts)

    def save(
        self,
        out: Path,
        facts: Mapping[str, Any] | None = None,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write a folder that :func:`open_retrieval_model` reads.

        Args:
            out: The folder; it is replaced as a whole.
            facts: Further JSON-able facts for its ``config.json``.
            tensors: The trained tensors by name; by default the network's, as they are now.

        Raises:
            WeightsError: A tensor holds NaN or infinity.
        """
        kept = self.network.learned() if tensors is None else tensors
        save_adapters(out, kept, self.config, (self.section, self.source), facts)


def load_retrieval_model(
    section: ClipConfig,
    config: TempMeStopModelConfig,
    placement: Placement,
    adapters: Path | None = None,
    *,
    seed: int = 42,
) -> RetrievalModel:
    """Load the CLIP that ``section`` names, with trained adapters or new ones made from ``seed``.

    Args:
        section: The CLIP, a ViT.
        config: The architecture.
        placement: Where and how it runs.
        adapters: A trained model's folder of the same architecture, or a checkpoint of TempMe.
        seed: Of new adapters.

    Raises:
        ConfigError: The CLIP is no plain ViT, or the architecture does not fit it.
        WeightsError: Weights are missing, unreadable, not finite, or do not fit.
    """
    load = load_transformers_clip if is_transformers_clip(section.model) else load_open_clip
    loaded = load(section)
    shape = clip_shape(loaded.model)
    config = filled_in(config, shape.vision_layers)
    with torch.device("meta"):  # nothing is drawn for tensors that are loaded
        network = TempMeStop(shape, config)
    network.to_empty(device="cpu")
    _take_clip(network, clip_tensors(loaded.model), loaded.source)
    network.reset_parameters(seed)
    sha256 = None
    if adapters is not None:
        sha256 = load_adapters(network, config, adapters, loaded.source)
    _require_finite(network, loaded.source.id, adapters)
    return RetrievalModel(network, loaded, (section, shape), config, placement, sha256)


def open_retrieval_model(folder: Path, placement: Placement) -> RetrievalModel:
    """Load a trained model from its folder.

    Raises:
        ConfigError: Its CLIP cannot be built any more.
        WeightsError: The folder is not whole, or its CLIP has other weights today.
    """
    content = read_folder(folder)
    return load_retrieval_model(content.section, content.config, placement, folder)


def filled_in(config: TempMeStopModelConfig, depth: int) -> TempMeStopModelConfig:
    """The architecture of ``config`` with every value that its preset decides.

    Args:
        config: The section, or one that says more.
        depth: Blocks of the image tower.

    Raises:
        ConfigError: The values do not fit each other or the tower.
    """
    schedule, clips = resolve(config, depth)
    return replace(
        architecture(config),
        clips=clips,
        merge_layer=schedule.layers,
        merge_frame_num=schedule.frame_nums,
        merge_across=schedule.across,
        merge_within=schedule.within,
        tome_r=schedule.tome_r,
    )


def _take_clip(network: TempMeStop, tensors: Mapping[str, Tensor], source: WeightsSource) -> None:
    learned = network.clip.added()
    own = {name: t for name, t in network.clip.state_dict().items() if name not in learned}
    require_fit(own, tensors, Path(source.id))
    network.clip.load_state_dict(
        {name: tensor.float().contiguous() for name, tensor in tensors.items()},
        strict=False,  # what TempMe adds is not among them
        assign=True,  # the loaded model's memory, not a copy
    )


def _require_finite(network: TempMeStop, clip: str, adapters: Path | None) -> None:
    broken = [name for name, tensor in network.state_dict().items() if not tensor.isfinite().all()]
    if broken:
        culprit = adapters if adapters and network.learned().keys() & set(broken) else clip
        more = ", …" if len(broken) > _SHOWN else ""
        raise WeightsError(
            f"{culprit}: not finite: {', '.join(broken[:_SHOWN])}{more}.",
            hint="The file is damaged; fetch it again, or train anew.",
        )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """16 hex digits that name the values of tensors on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
