"""Where the work of a run happens, by name."""

from pipeline_lib.extraction.executors.base import Executor, Run
from pipeline_lib.registry import Registry

EXECUTORS: Registry[Executor] = Registry(
    "executor",
    {
        "serial": "pipeline_lib.extraction.executors.local:serial",
        "process": "pipeline_lib.extraction.executors.local:process",
        # A shard is this machine's part of the videos, done as `process` does it.
        "shard": "pipeline_lib.extraction.executors.local:process",
        "ray": "pipeline_lib.extraction.executors.ray_actors:ray_actors",
    },
)

__all__ = ["EXECUTORS", "Executor", "Run"]
