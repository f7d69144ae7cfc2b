"""RandAugment (https://arxiv.org/abs/1909.13719) of a clip, in the notation of timm.

``rand-m7-n4-mstd0.5-inc1`` is four operations of magnitude 7 with a deviation of 0.5, out of those
whose effect grows with the magnitude. Operations and their ranges are those of timm
(https://github.com/huggingface/pytorch-image-models, ``auto_augment.py``); all frames of a clip get
the same, and shifted pixels are interpolated bilinearly where timm draws a filter.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipeline_lib.errors import ConfigError
from pipeline_lib.runtime.torchvision_ops import import_transforms

OFF = "none"
_MAX_LEVEL = 10.0
_GREY = [128.0, 128.0, 128.0]
_OPTION = re.compile(r"(mstd|inc|m|n|p)(\d+(?:\.\d+)?)")
# Those without inc1, whose effect falls with the magnitude, are not there.
_ALLOWED: dict[str, Callable[[float], bool]] = {
    "m": lambda value: value <= _MAX_LEVEL,
    "n": lambda value: value.is_integer(),
    "p": lambda value: value <= 1,
    "inc": lambda value: value == 1,
}
_FIELD = "train.videomamba.augment.rand_augment"
_HINT = "An example is rand-m7-n4-mstd0.5-inc1; none leaves it out."


@dataclass(frozen=True)
class RandAugment:
    """Random operations on the pixels of a clip.

    Attributes:
        magnitude: Of each operation, from 0 to 10.
        operations: How many of them, each done by chance.
        deviation: Of the magnitude, normally distributed.
        probability: Of each chosen operation to be done.
    """

    magnitude: float
    operations: int
    deviation: float
    probability: float

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """uint8 [T, 3, H, W], of uint8 [T, 3, H, W]."""
        names = list(_OPERATIONS)
        for place in rng.integers(len(names), size=self.operations).tolist():
            if rng.random() >= self.probability:
                continue
            drawn = rng.normal(self.magnitude, self.deviation)
            level = float(np.clip(drawn, 0.0, _MAX_LEVEL)) / _MAX_LEVEL
            sign = -1.0 if rng.random() < 0.5 else 1.0
            frames = _OPERATIONS[names[place]](frames, level, sign)
        return frames


def parse_rand_augment(text: str) -> RandAugment | None:
    """What a text in timm's notation describes; ``None`` for ``none``.

    Raises:
        ConfigError: It is not understood, or asks for other operations (it has no ``inc1``).
    """
    if text == OFF:
        return None
    name, *parts = text.split("-")
    matches = {part: _OPTION.fullmatch(part) for part in parts}
    unknown = [part for part, match in matches.items() if match is None]
    if name != "rand" or unknown:
        wrong = unknown[0] if name == "rand" else name
        raise ConfigError(f"{_FIELD} = {text!r}: {wrong!r} is unknown.", hint=_HINT)
    given = {match[1]: float(match[2]) for match in matches.values() if match is not None}
    options = {"m": _MAX_LEVEL, "n": 2.0, "mstd": 0.0, "p": 0.5, "inc": 0.0} | given
    for option, allowed in _ALLOWED.items():
        if not allowed(options[option]):
            raise ConfigError(
                f"{_FIELD} = {text!r}: {option} = {options[option]:g} is not possible.",
                hint=_HINT,
            )
    # Threads must not be the first to import it.
    import_transforms()
    return RandAugment(options["m"], int(options["n"]), options["mstd"], options["p"])


Operation = Callable[[Tensor, float, float], Tensor]


def _rotate(frames: Tensor, level: float, sign: float) -> Tensor:
    v2 = import_transforms()
    bilinear = v2.InterpolationMode.BILINEAR
    return v2.functional.rotate(frames, sign * 30.0 * level, interpolation=bilinear, fill=_GREY)


def _shear(axis: int) -> Operation:
    def shear(frames: Tensor, level: float, sign: float) -> Tensor:
        # As PIL shears: about the corner, by the tangent of the angle.
        angle = float(np.degrees(np.arctan(sign * 0.3 * level)))
        angles = [angle, 0.0] if axis == 0 else [0.0, angle]
        return _moved(frames, shear=angles, center=[0.0, 0.0])

    return shear


def _translate(axis: int) -> Operation:
    def translate(frames: Tensor, level: float, sign: float) -> Tensor:
        side = frames.shape[-1 - axis]
        shift = round(sign * 0.45 * level * side)
        return _moved(frames, translate=[shift, 0] if axis == 0 else [0, shift])

    return translate


def _moved(frames: Tensor, **how: list[float] | list[int]) -> Tensor:
    v2 = import_transforms()
    bilinear = v2.InterpolationMode.BILINEAR
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return v2.functional.affine(frames, **{**still, **how}, interpolation=bilinear, fill=_GREY)


def _enhance(name: str) -> Operation:
    def enhance(frames: Tensor, level: float, sign: float) -> Tensor:
        function = getattr(import_transforms().functional, f"adjust_{name}")
        return function(frames, max(0.1, 1.0 + sign * 0.9 * level))

    return enhance


def _plain(name: str) -> Operation:
    def change(frames: Tensor, level: float, sign: float) -> Tensor:
        del level, sign
        return getattr(import_transforms().functional, name)(frames)

    return change


def _posterize(frames: Tensor, level: float, sign: float) -> Tensor:
    del sign
    return import_transforms().functional.posterize(frames, 4 - int(4 * level))


def _solarize(frames: Tensor, level: float, sign: float) -> Tensor:
    del sign
    threshold = 256 - min(256, int(256 * level))
    # A byte cannot be compared with 256.
    return frames.where(frames.short() < threshold, ~frames)


def _solarize_add(frames: Tensor, level: float, sign: float) -> Tensor:
    del sign
    # Only values below 128 grow, by less than 128: no overflow.
    return frames.where(frames >= 128, frames + int(110 * level))


_OPERATIONS: dict[str, Operation] = {
    "AutoContrast": _plain("autocontrast"),
    "Equalize": _plain("equalize"),
    "Invert": _plain("invert"),
    "Rotate": _rotate,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "SolarizeAdd": _solarize_add,
    "Color": _enhance("saturation"),
    "Contrast": _enhance("contrast"),
    "Brightness": _enhance("brightness"),
    "Sharpness": _enhance("sharpness"),
    "ShearX": _shear(0),
    "ShearY": _shear(1),
    "TranslateX": _translate(0),
    "TranslateY": _translate(1),
}
