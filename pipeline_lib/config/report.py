"""The section ``report``."""

from pydantic.dataclasses import dataclass

from pipeline_lib.config.sections import STRICT, Natural, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReportConfig:
    """What the report page shows of many.

    Attributes:
        timelines: Most videos whose timeline is shown, those that were classified wrongly first.
        examples: Most pictures of every other kind.
        frame_every_s: Seconds between two video frames above a timeline, at least; long videos
            have fewer.
        picture_width: Widest picture, in pixels; wider ones are scaled down.
    """

    timelines: Natural = 12
    examples: Natural = 8
    frame_every_s: Positive = 2.0
    picture_width: Natural = 1000
