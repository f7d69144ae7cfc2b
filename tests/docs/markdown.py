"""The documentation as data: its fenced blocks, the commands in them and what they should print."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<language>[\w+-]*)[^`]*$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The page's path below the repository, `docs/mining.md`.
        line: Line of the opening fence, from 1.
        language: The word behind the fence; empty where there is none.
        text: What stands between the fences, without the fences' indentation.
        expects: The text block directly behind a bash block: what it prints.
    """

    page: str
    line: int
    language: str
    text: str
    expects: "Block | None" = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page that is held to what it says."""
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted(path for path in (ROOT / "docs").rglob("*.md") if "site" not in path.parts),
    ]


def name(page: Path) -> str:
    """A page's path below the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order; outputs hang on the block they belong to."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = list(_fenced(name(page), lines))
    joined: list[Block] = []
    for block, _ in found:
        previous = joined[-1] if joined else None
        is_output = block.language in ("", "text") and previous is not None
        if is_output and previous.language == "bash" and previous.expects is None:
            start = next(end for other, end in found if other.line == previous.line)
            if not any(line.strip() for line in lines[start : block.line - 1]):
                joined[-1] = Block(
                    previous.page, previous.line, previous.language, previous.text, block
                )
                continue
        joined.append(block)
    return joined


def _fenced(page: str, lines: list[str]) -> Iterator[tuple[Block, int]]:
    """Each block with the number of lines up to its end."""
    opened: re.Match[str] | None = None
    start = 0
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, start = fence, number
        elif line.strip() == opened["ticks"]:
            indent = len(opened["indent"])
            text = "\n".join(inner[indent:] for inner in lines[start : number - 1])
            yield Block(page, start, opened["language"], text), number
            opened = None
    if opened is not None:
        raise ValueError(f"{page}:{start}: a block that never ends")


def prose(page: Path) -> list[tuple[int, str]]:
    """The lines outside fenced blocks, with their numbers."""
    lines = page.read_text(encoding="utf-8").splitlines()
    inside = set()
    for block, end in _fenced(name(page), lines):
        inside.update(range(block.line, end + 1))
    return [(number, line) for number, line in enumerate(lines, 1) if number not in inside]


def commands(block: Block) -> list[str]:
    """The commands of a bash block: continued lines joined, comments and prompts left out.

    A script (first line `#!`) is one command, and so is everything up to the end of a `<<` or of
    a loop.
    """
    if block.text.startswith("#!"):
        return [block.text]
    found: list[str] = []
    pending = ""
    for line in block.text.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        if _is_whole(pending):
            found.append(pending)
            pending = ""
    if pending:
        raise ValueError(f"{block.place}: a command that never ends: {pending}")
    bare = (without_comment(command) for command in found)
    return [command for command in bare if command]


def _is_whole(text: str) -> bool:
    if text.rstrip().endswith("\\"):
        return False
    here = re.search(r"<<-?\s*['\"]?(\w+)", text)
    if here and text.count("\n" + here[1]) == 0:
        return False
    if re.match(r"(for|while|if)\b", text) and not re.search(r"\b(done|fi)\s*$", text):
        return False
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return bool(here)
    return True


def without_comment(command: str) -> str:
    """A command as one line without its comment; scripts and here-documents as they are."""
    if command.startswith("#!") or "<<" in command:
        return command
    command = re.sub(r"\s*\\\n\s*", " ", command).strip()
    quote = ""
    for position, letter in enumerate(command):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (position == 0 or command[position - 1].isspace()):
            return command[:position].rstrip()
    return command
