"""Fonts for names in any script."""

from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

_BASE_FONT = "DejaVu Sans"
# matplotlib's own font has no Hangul, Kana or Han; the first of these that is installed is asked
# for the characters it lacks.
_CJK_FONTS = (
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Droid Sans Fallback",
)


def font_families(texts: Iterable[str]) -> list[str]:
    """matplotlib's own font, and one for East Asian scripts where ``texts`` need and find it."""
    if all(_drawn_by_base(text) for text in texts):
        return [_BASE_FONT]
    installed = set(font_manager.get_font_names())
    return [_BASE_FONT, *[font for font in _CJK_FONTS if font in installed][:1]]


def _drawn_by_base(text: str) -> bool:
    known = _base_characters()
    return all(ord(character) in known for character in text)


@cache
def _base_characters() -> frozenset[int]:
    path = font_manager.findfont(_BASE_FONT)
    return frozenset(FT2Font(path).get_charmap())
