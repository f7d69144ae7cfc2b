"""Which targets of the pipeline this data is enough for, and what the others lack."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline_lib.config import Params
from pipeline_lib.own_data.companions import CAPTIONS, Companion
from pipeline_lib.own_data.parameters import DEMO_WEIGHTS
from pipeline_lib.own_data.source import SourceVideo


@dataclass(frozen=True)
class Target:
    """What can be asked of ``dvc repro``.

    Attributes:
        name: What it does.
        command: The command.
        lacks: What is missing; empty where it can be run.
        beware: What a user should know before.
    """

    name: str
    command: str
    lacks: str
    beware: str = ""

    @property
    def ready(self) -> bool:
        """Whether it can be run."""
        return not self.lacks

    def line(self) -> str:
        """For people."""
        answer = "yes" if self.ready else "no"
        said = ": ".join(filter(None, (answer, self.lacks or self.beware)))
        return f"{self.command:34} {said}"


def targets(
    blocked: str,
    videos: Sequence[SourceVideo],
    questions: Companion | None,
    captions: Companion | None,
    params: Params,
) -> tuple[Target, ...]:
    """Judge each target.

    Args:
        blocked: Why nothing can be run at all; empty where that is not so.
        videos: The sound ones, with split and class.
        questions: The question file, where there is one.
        captions: The caption file, where there is one.
        params: As they will be.
    """
    clip = params.extract.clip
    demo = clip is not None and DEMO_WEIGHTS in clip.model
    beware = "with the demo CLIP, which knows rendered shapes only; see --clip" if demo else ""
    ask = blocked or _lacking(
        questions, params.data.questions, ("train", "val"), params.train.pos_neg.split == "ratio"
    )
    find = blocked or _lacking(captions, CAPTIONS, ("train", "test"), False)
    vit = getattr(params.extract, params.train.tempme_stop.backbone, None)
    small = "its network and rates fit the demo: see docs/retrieval.md"
    moving = "its network and rates fit the demo: see docs/videomamba.md"
    return (
        Target("prompts for classes (CoOp)", "dvc repro evaluate-coop", blocked, beware),
        Target("frames for questions", "dvc repro evaluate-pos-neg", ask, beware),
        Target(
            "text-video retrieval", "dvc repro evaluate-tempme-stop", find,
            small if vit is not None and DEMO_WEIGHTS in str(getattr(vit, "model", "")) else "",
        ),
        Target("classes by motion (VideoMamba)", "dvc repro evaluate-videomamba",
               blocked or _few_clips(videos), moving),
    )  # fmt: skip


def _lacking(companion: Companion | None, name: str, splits: Sequence[str], any_split: bool) -> str:
    if companion is None:
        return f"needs {name}"
    if not companion.items:
        return f"{name} has no item that can be used"
    missing = [split for split in splits if split not in companion.splits]
    return f"{name} has no item of {' and '.join(missing)}" if missing and not any_split else ""


def _few_clips(videos: Sequence[SourceVideo]) -> str:
    classes = Counter(video.class_name for video in videos if video.split == "train")
    return "" if len(classes) > 1 else "needs training videos of two classes"
