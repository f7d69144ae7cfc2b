"""How names in tables and on disk are compared: suffixes, Unicode form, letter case."""

from collections.abc import Iterable

from pipeline_lib.paths import VIDEO_SUFFIXES, nfc

_FEATURE_SUFFIXES = frozenset({".npy", ".npz"})
# UCF-Crime's videos carry the encoder in their names; its annotation tables often do not.
_ENCODER = "_x264"


def stem_of(file_name: str) -> str:
    """``file_name`` in NFC without a video or feature suffix; ``cam.1_003`` stays whole."""
    name = nfc(file_name)
    stem, dot, suffix = name.rpartition(".")
    known = f"{dot}{suffix}".lower() in VIDEO_SUFFIXES | _FEATURE_SUFFIXES
    return stem if stem and known else name


def without_encoder(stem: str) -> str:
    """``stem`` without a trailing ``_x264``."""
    return stem.removesuffix(_ENCODER)


def match_name(name: str, known: Iterable[str]) -> str | None:
    """The known name equal to ``name``, else the only one equal but for letter case, else None."""
    names = list(known)
    if name in names:
        return name
    alike = [other for other in names if other.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None
