"""Text-video retrieval: embedding folders, searching them, and finding the moment.

Names are imported when they are first used: configurations need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline_lib.retrieval.api import (
        UnifiedTempMeSTOPModel,
        batch_retrieve_events,
        create_unified_model,
        extract_directory_embeddings,
        extract_video_embedding,
        retrieve_event,
    )
    from pipeline_lib.retrieval.unified_config import (
        STOPConfig,
        TempMeConfig,
        TrainingConfig,
        UnifiedModelConfig,
    )

__all__ = [
    "STOPConfig",
    "TempMeConfig",
    "TrainingConfig",
    "UnifiedModelConfig",
    "UnifiedTempMeSTOPModel",
    "batch_retrieve_events",
    "create_unified_model",
    "extract_directory_embeddings",
    "extract_video_embedding",
    "retrieve_event",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "unified_config" if name.endswith("Config") else "api"
    return getattr(import_module(f"{__name__}.{module}"), name)
