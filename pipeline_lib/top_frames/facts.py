"""What chosen frames depend on, as their records say it."""

from typing import Any

from pipeline_lib.backbones.clip import ClipBackbone
from pipeline_lib.fingerprint import fingerprint
from pipeline_lib.top_frames.options import ChoiceOptions

# Raised whenever the same inputs give other files.
_VERSION = 1


def facts_of(
    model: ClipBackbone, options: ChoiceOptions, video_sha256: str, caption: str
) -> dict[str, Any]:
    """Model, options, and a fingerprint of everything that the chosen frames depend on.

    Args:
        model: That scores frames.
        options: How they are chosen.
        video_sha256: Of the video's bytes.
        caption: What is looked for.
    """
    inputs = {
        "version": _VERSION,
        "video_sha256": video_sha256,
        "caption": caption,
        "model": dict(model.identity),
        "options": options.as_dict(),
    }
    return {
        "video_sha256": video_sha256,
        "model": model.weights_id,
        "weights_sha256": model.weights_sha256,
        "trained": model.trained,
        "precision": model.precision,
        **options.as_dict(),
        "fingerprint": fingerprint(inputs),
    }
