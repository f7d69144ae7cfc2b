"""The networks of an evaluation: the trained one, and its controls that watch videos too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.backbones.base import Placement, WeightsSource
from pipeline_lib.backbones.videomamba_folder import LoadedVideoMamba, open_videomamba
from pipeline_lib.config import Params
from pipeline_lib.errors import WeightsError
from pipeline_lib.evaluation.videomamba.answers import (
    RANDOM_INIT,
    REVERSED,
    SCRATCH,
    SHUFFLED_FRAMES,
    TRAINED,
)
from pipeline_lib.evaluation.videomamba.viewing import Contender
from pipeline_lib.runtime.device import choose_device, fix_product_order, set_threads
from pipeline_lib.runtime.seeding import numpy_stream
from pipeline_lib.trainers.videomamba.starting import scratch_start


def load_contenders(folder: Path, params: Params) -> dict[str, Contender]:
    """The trained network and its controls.

    ``random_init`` is the same network without training, ``reversed`` and ``shuffled_frames`` are
    the trained one with the frames in another order, and ``scratch`` is what training wrote as a
    control beside it, where it did.

    Args:
        folder: A model folder such as ``data/models/videomamba/best``, or a published checkpoint.
        params: The sections ``extract``, ``train.videomamba`` and ``runtime``.

    Raises:
        WeightsError: No model, or the one from scratch is of another network.
    """
    runtime = params.runtime
    set_threads(runtime.threads)
    fix_product_order()
    device = choose_device(runtime.device)
    placement = Placement(device, params.extract.precision, scan=runtime.scan)
    trained = open_videomamba(folder, placement)
    contenders = {
        TRAINED: Contender(trained),
        RANDOM_INIT: Contender(_untrained(trained, params)),
        REVERSED: Contender(trained, reverse),
        SHUFFLED_FRAMES: Contender(trained, shuffle),
    }
    beside = folder.parent / SCRATCH / folder.name
    if folder.is_dir() and beside.is_dir():
        scratch = open_videomamba(beside, placement)
        _require_alike(beside, scratch, trained)
        contenders[SCRATCH] = Contender(scratch)
    return contenders


def reverse(clip: str, frames: int) -> NDArray[np.int64]:
    """The last frame first."""
    del clip
    return np.arange(frames, dtype=np.int64)[::-1].copy()


def shuffle(clip: str, frames: int) -> NDArray[np.int64]:
    """A random order, always the same for a clip."""
    return numpy_stream("videomamba frame order", clip).permutation(frames)


def _untrained(trained: LoadedVideoMamba, params: Params) -> LoadedVideoMamba:
    outputs = trained.classes or tuple(map(str, range(trained.network.head.out_features)))
    section, scan = params.train.videomamba, params.runtime.scan
    network = scratch_start(section, trained.shape, outputs, drop_path=0.0, scan=scan).network
    return replace(
        trained,
        network=network.eval().requires_grad_(False).to(trained.device),
        source=WeightsSource("untrained", f"untrained-{section.seed}", trained=False),
    )


def _require_alike(path: Path, scratch: LoadedVideoMamba, trained: LoadedVideoMamba) -> None:
    told = ((scratch.shape, trained.shape), (scratch.classes, trained.classes))
    for found, wanted in told:
        if found != wanted:
            raise WeightsError(
                f"{path}: has {found}, but the network beside it {wanted}: they are of different "
                "trainings.",
                hint="Train both again: `dvc repro`.",
            )
