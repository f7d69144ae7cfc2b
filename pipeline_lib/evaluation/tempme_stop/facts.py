"""What was evaluated, and what it costs: nothing here changes from machine to machine."""

from typing import Any

from pipeline_lib.backbones.retrieval_model import RetrievalModel
from pipeline_lib.networks.merge_macs import macs
from pipeline_lib.networks.merge_schedule import PRESETS, resolve, token_plan


def model_facts(model: RetrievalModel) -> dict[str, Any]:
    """Where the weights came from, and the shape of what the network sees."""
    return {
        "clip": model.source.id,
        "clip_sha256": model.source.sha256,
        "adapters_sha256": model.adapters_sha256,
        "trained": model.trained,
        "frames": model.frames,
        "clips": model.clips,
        "sim_header": model.config.sim_header,
    }


def cost(model: RetrievalModel) -> dict[str, Any]:
    """The work of the image tower on one video, and how much is trained.

    Returns:
        ``gmac``, multiply-adds in thousand millions with joining and merging, and
        ``gmac_unmerged`` of the same frames without; prompts are in neither. ``tokens`` that enter
        the blocks and ``tokens_left`` behind them. ``trained``: numbers in ``tempme`` and ``stop``.
    """
    shape, depth = model.network.clip.shape, model.network.clip.shape.vision_layers
    schedule, _ = resolve(model.config, depth)
    last = token_plan(schedule, model.frames, shape.tokens, depth)[-1]
    return {
        "gmac": macs(shape, schedule, model.frames).total / 1e9,
        "gmac_unmerged": macs(shape, PRESETS["none"].schedule, model.frames).total / 1e9,
        "tokens": model.frames * shape.tokens,
        "tokens_left": last.clips * last.tokens,
        "trained": {
            "tempme": sum(p.numel() for p in model.network.tempme_parameters().values()),
            "stop": sum(p.numel() for p in model.network.stop_parameters().values()),
        },
    }
