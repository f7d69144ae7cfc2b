"""The types and settings that all sections share."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True)

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Cosine = Annotated[float, Field(ge=-1, le=1)]

Decoder = Literal["pyav", "decord", "opencv", "ffmpeg", "torchcodec"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
TimePolicy = Literal["fail", "clamp", "drop"]
FrameSegments = Literal["equal", "original-first3"]


def as_dict(config: Any) -> dict[str, Any]:
    """A config section as plain JSON types, for fingerprints and checkpoint metadata."""
    from pydantic import TypeAdapter

    return dict(TypeAdapter(type(config)).dump_python(config, mode="json"))
