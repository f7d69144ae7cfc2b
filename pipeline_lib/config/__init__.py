"""What ``params.yaml`` may say: one frozen dataclass a section, checked before any work starts."""

from dataclasses import field

from pydantic.dataclasses import dataclass

from pipeline_lib.config.data import (
    DataConfig,
    DemoClipConfig,
    DemoDataConfig,
    DemoMotionsConfig,
    DemoVitConfig,
    KindsPerSplit,
    VideosPerClass,
)
from pipeline_lib.config.evaluate import (
    EvaluateConfig,
    EvaluatePosNegConfig,
    FewShotConfig,
    SimMConfig,
)
from pipeline_lib.config.extract import (
    ClipConfig,
    DinoV2Config,
    ExtractConfig,
    MineConfig,
    MobileClipConfig,
    SlowFastConfig,
    VideoMambaBackboneConfig,
)
from pipeline_lib.config.report import ReportConfig
from pipeline_lib.config.retrieval import (
    EvaluateTempMeStopConfig,
    QbNormConfig,
    SimHeader,
    TempMeStopConfig,
    TempMeStopModelConfig,
    VideoTextConfig,
)
from pipeline_lib.config.runtime import RuntimeConfig
from pipeline_lib.config.sections import STRICT, Decoder, FrameSegments, Precision, as_dict
from pipeline_lib.config.train import PosNegConfig, TrainConfig, TrainSection, WindowConfig
from pipeline_lib.config.videomamba import (
    AugmentConfig,
    EvaluateVideoMambaConfig,
    Scan,
    VideoListConfig,
    VideoMambaConfig,
    VideoMambaModelConfig,
    VideoMambaPretrainConfig,
)

__all__ = [
    "AugmentConfig",
    "ClipConfig",
    "DataConfig",
    "Decoder",
    "DemoClipConfig",
    "DemoDataConfig",
    "DemoMotionsConfig",
    "DemoVitConfig",
    "DinoV2Config",
    "EvaluateConfig",
    "EvaluatePosNegConfig",
    "EvaluateTempMeStopConfig",
    "EvaluateVideoMambaConfig",
    "ExtractConfig",
    "FewShotConfig",
    "FrameSegments",
    "KindsPerSplit",
    "MineConfig",
    "MobileClipConfig",
    "Params",
    "PosNegConfig",
    "Precision",
    "QbNormConfig",
    "ReportConfig",
    "RuntimeConfig",
    "Scan",
    "SimHeader",
    "SimMConfig",
    "SlowFastConfig",
    "TempMeStopConfig",
    "TempMeStopModelConfig",
    "TrainConfig",
    "TrainSection",
    "VideoListConfig",
    "VideoMambaBackboneConfig",
    "VideoMambaConfig",
    "VideoMambaModelConfig",
    "VideoMambaPretrainConfig",
    "VideoTextConfig",
    "VideosPerClass",
    "WindowConfig",
    "as_dict",
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Params:
    """All of ``params.yaml``."""

    data: DataConfig
    demo_data: DemoDataConfig = field(default_factory=DemoDataConfig)
    demo_clip: DemoClipConfig = field(default_factory=DemoClipConfig)
    demo_clip_vit: DemoVitConfig = field(default_factory=DemoVitConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    mine: MineConfig = field(default_factory=MineConfig)
    train: TrainSection = field(default_factory=TrainSection)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    few_shot: FewShotConfig = field(default_factory=FewShotConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
