"""The section ``runtime``."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from pipeline_lib.config.sections import STRICT, Natural, Positive
from pipeline_lib.config.videomamba import Scan


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RuntimeConfig:
    """How this machine runs the work; never part of a result's fingerprint.

    Attributes:
        device: Where networks run.
        threads: CPU threads; 0 takes all cores.
        executor: Where extraction happens: ``process`` decodes ahead in other processes,
            ``serial`` in its own, ``shard`` does one part of the videos, ``ray`` uses a cluster.
        decode_workers: Decoding processes; 0 takes one a core.
        decode_stall_s: Seconds without progress after which a decoding process is stopped.
        mine_workers: Videos mined at the same time; 0 takes one a core.
        scan: What runs VideoMamba's recurrence: ``torch`` everywhere; ``compiled`` is faster but
            needs a C compiler; ``cuda`` is mamba-ssm's kernel; ``auto`` is one of these where it
            works, else ``torch``.
        ray_actors: Ray actors, each with its own networks; 0 takes one a GPU, or one a CPU.
    """

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")] = "auto"
    threads: Natural = 0
    executor: Literal["serial", "process", "shard", "ray"] = "process"
    decode_workers: Natural = 0
    decode_stall_s: Positive = 60.0
    mine_workers: Natural = 0
    ray_actors: Natural = 0
    scan: Scan = "auto"
