"""Numbers as the page writes them."""

import math

_SMALLEST_PLAIN = 1e-3
_LARGEST_PLAIN = 1e5
_MINUS = "−"  # as wide as a plus


def number_words(value: float | int | None) -> str:
    """A number in about four digits; ``—`` where it is undefined."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "—"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f").replace("-", _MINUS)
    if value and not _SMALLEST_PLAIN <= abs(value) < _LARGEST_PLAIN:
        return f"{value:.2e}".replace("-", _MINUS)
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}".replace("-", _MINUS)


def signed_words(value: float | None) -> str:
    """A difference with its sign; ``±0`` where there is none, ``—`` where it is undefined."""
    if value is None or not math.isfinite(value):
        return "—"
    words = number_words(value)
    if not any(digit in words for digit in "123456789"):
        return "±0"
    if abs(value) < _SMALLEST_PLAIN:
        words = f"{value:.1e}".replace("-", _MINUS)
    return words if value < 0 else f"+{words}"


def byte_words(size: int) -> str:
    """A file size: ``864 kB``."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def readable(name: str) -> str:
    """A name as words: ``balanced_accuracy`` is ``balanced accuracy``."""
    return name.replace("_", " ")
