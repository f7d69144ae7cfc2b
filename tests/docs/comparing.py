"""Printed text against what a page says is printed: the same words, whatever the numbers are."""

import re

# In order: what differs between two runs, two machines or two sizes of the data.
_VARIABLE = (
    (re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]"), ""),
    # Rows of a tree or a table and progress bars are as long as their content.
    (re.compile(r"^\s*[─━═]+\s*$"), ""),
    (re.compile(r"[─━═]{2,}"), "─"),
    (re.compile(r"-{3,}"), "---"),
    (re.compile(r"\b\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?"), "#"),
    # A task of DVC's queue, and when it was made.
    (re.compile(r"^\s*[a-f0-9]{7} +\S+(?= )"), "task"),
    (re.compile(r"\b(AM|PM)\b"), ""),
    (re.compile(r"\b(?=[a-f0-9]*\d)(?=[a-f0-9]*[a-f])[a-f0-9]{7,64}\b"), "#"),
    # DVC names experiments in two words.
    (re.compile(r"\[[a-z]+-[a-z]+\]"), "[#]"),
    (re.compile(r"(?<=^Queued experiment )'[a-z]+-[a-z]+'"), "#"),
    (re.compile(r"(?<![\w/])/(?:[\w.@+-]+/)+[\w.@+-]*"), "/#"),
    (re.compile(r"\b(warning|error|video)s\b"), r"\1"),
    (re.compile(r"\b(nan|null|None|-)(?=\s|$)"), "#"),
    (re.compile(r"\b\d+(\.\d+)+\+\w+"), "#"),
    (re.compile(r"(?<![A-Za-z])[+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?(?![A-Za-z]*\d*-bit)"), "#"),
    (re.compile(r"#( ?)(ms|s|min|h|kB|MB|GB|KiB|MiB|GiB|B|%)(?=\W|$)"), "#"),
    (re.compile(r"#(:#)+"), "#"),
    (re.compile(r"\bTrue|False|true|false\b"), "#"),
)


def shape(line: str) -> str:
    """A line without what may differ: numbers become `#`, space becomes one blank."""
    check = re.match(r"\s+(?:ok|warn|fail)\s+([\w ]+): ", line)
    if check:  # of `clipline doctor`: what it looked at counts, what it found is this machine's
        return f"check {check[1]}"
    branch = re.match(r"\s*[├└]──", line)
    if branch:  # an experiment: its columns count, their content is what was tried
        cells = re.split(r"\s{2,}", line[branch.end() :].strip())
        return "├── " + " ".join("…" if cell == "…" else "#" for cell in cells)
    for pattern, sign in _VARIABLE:
        line = pattern.sub(sign, line)
    return re.sub(r"\s+", " ", line).strip()


def difference(expected: list[str], printed: list[str]) -> str | None:
    """The first place where the text printed is not the text expected; None where they agree.

    A line of `…` alone stands for any lines, one inside a line for any words. Neighbouring lines
    of one shape count as one, for their number follows the size of the data.
    """
    wanted, got = _condensed(expected), _condensed(printed)
    if _fits(wanted, got):
        return None
    for line in wanted:
        if line != "…" and not any(_same(line, other) for other in got):
            return f"never printed: {line}"
    for line in got:
        if "…" not in wanted and not any(_same(other, line) for other in wanted):
            return f"not said: {line}"
    return "the lines come in another order"


def unexpected(expected: list[str], printed: list[str]) -> str | None:
    """The first line printed that is not among those expected; at least one has to be.

    For what leaves out the rows that did not change.
    """
    wanted, got = _condensed(expected), _condensed(printed)
    if not got:
        return "nothing was printed"
    return next((f"not said: {g}" for g in got if not any(_same(w, g) for w in wanted)), None)


def _condensed(lines: list[str]) -> list[str]:
    shapes = [shape(line) for line in lines]
    shapes = [line for line in shapes if line]
    return [line for i, line in enumerate(shapes) if i == 0 or line != shapes[i - 1]]


def _fits(wanted: list[str], got: list[str]) -> bool:
    """Whether the lines match one by one, with `…` for any number of lines."""
    reached = {0}
    for line in wanted:
        if line in ("…", "..."):
            reached = set(range(min(reached, default=len(got) + 1), len(got) + 1))
        else:
            reached = {i + 1 for i in reached if i < len(got) and _same(line, got[i])}
    return len(got) in reached


def _same(wanted: str, got: str) -> bool:
    parts = [re.escape(part.strip()) for part in wanted.split("…")]
    return re.fullmatch(r"\s*" + r".*".join(parts) + r"\s*", got) is not None
