"""What the documentation refers to by name: commands, parameters, paths, links."""

import dataclasses
import re
import shlex
import subprocess
import types
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import typer.main
from ruamel.yaml import YAML

from pipeline_lib.config import Params
from pipeline_lib.errors import did_you_mean
from stages.cli import COMMANDS
from tests.docs.markdown import ROOT, blocks, commands, name, prose

# Behind a dot these are files, not parameters: `train.csv`.
FILE_SUFFIXES = {
    "csv", "html", "json", "md", "mp4", "npy", "npz", "parquet", "png", "pt", "py", "safetensors",
    "toml", "txt", "yaml",
}  # fmt: skip
# Options that every command takes.
EVERYWHERE = {"--help", "--progress", "--quiet"}
# Written by runs, kept out of git and out of dvc.yaml.
UNDECLARED = (".dvc/cache", ".dvc/tmp", "data/.scratch", "data/own", "data/tensorboard")


def spans(page: Path) -> Iterator[tuple[str, str]]:
    """The inline code of a page, each with its place."""
    for number, line in prose(page):
        for match in re.finditer(r"(?<!`)`([^`]+)`(?!`)", line):
            yield f"{name(page)}:{number}", match[1].replace(r"\|", "|").strip()


def shell_lines(page: Path) -> list[tuple[str, str]]:
    """The commands in the bash blocks of a page, each with its place."""
    found = [block for block in blocks(page) if block.language == "bash"]
    return [(block.place, line) for block in found for line in commands(block)]


def said_commands(page: Path) -> Iterator[tuple[str, str]]:
    """Every `clipline …` of a page, in blocks and in the running text, each with its place."""
    for place, text in (*shell_lines(page), *spans(page)):
        for match in re.finditer(r"(?:^|[\s;&|('\"/])clipline ([^;&|\n)]*)", text):
            yield place, match[1].strip(" '\"")


def command_problems(line: str) -> list[str]:
    """What is wrong with the words behind `clipline`: an unknown command, argument or option."""
    words = _words(line)
    if not words or words[0].startswith("-"):
        return []
    if words[0] not in COMMANDS:
        if re.fullmatch(r"[A-Z…<].*", words[0]):
            return []  # a placeholder: clipline COMMAND
        return [f"`clipline {words[0]}`: no such command. {did_you_mean(words[0], COMMANDS)}"]
    command, rest = app(words[0]), words[1:]
    while rest and rest[0] in verbs(command):
        command = verbs(command)[rest.pop(0)]
    if verbs(command) and rest and not rest[0].startswith(("-", "…", "<")):
        return [f"`clipline {line}`: no {rest[0]!r}. {did_you_mean(rest[0], verbs(command))}"]
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    given = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return [
        f"`clipline {line}`: no option {option}. {did_you_mean(option, known)}"
        for option in given
        if option not in known | EVERYWHERE
    ]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


@cache
def app(command: str) -> Any:
    """The click command behind `clipline <command>`; typer brings a click of its own."""
    module = import_module(f"stages.{COMMANDS[command][0]}")
    return typer.main.get_command(module.app)


def verbs(command: Any) -> dict[str, Any]:
    """The commands below a command, by name."""
    return getattr(command, "commands", {})


def parameter_problem(key: str) -> str | None:
    """What is wrong with `a.b.c` as a path into params.yaml; None where it leads somewhere."""
    kind: Any = Params
    for position, part in enumerate(key.split(".")):
        if isinstance(kind, types.GenericAlias) or get_origin(kind) in (dict, Mapping):
            return None  # free keys: class names, numbers of a split
        choices = [k for k in _alternatives(kind) if dataclasses.is_dataclass(k)]
        known = {f: t for choice in choices for f, t in get_type_hints(choice).items()}
        if part not in known:
            before = ".".join(key.split(".")[:position]) or "params.yaml"
            return f"`{key}`: {before} has no {part!r}. {did_you_mean(part, known)}"
        kind = known[part]
    return None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(k for arg in get_args(kind) for k in _alternatives(arg))
    if hasattr(kind, "__metadata__"):
        return _alternatives(kind.__origin__)
    return (kind,)


def said_parameters(page: Path) -> Iterator[tuple[str, str, str | None]]:
    """Place, key and value (None where only the key is named) of every parameter on a page."""
    sections = {field.name for field in dataclasses.fields(Params)}
    lines = shell_lines(page)
    for place, text in (*spans(page), *lines):
        for key in re.findall(r"-S ['\"]?([\w.]+)=", text):
            yield place, key, None
        match = re.fullmatch(r"([a-z_]+(?:\.[a-z_0-9]+)+)(?:(?:: ?|=)(.*))?", text)
        if not match or match[1].split(".")[0] not in sections:
            continue
        if match[1].split(".")[-1] in FILE_SUFFIXES:
            continue
        yield place, match[1], match[2]


@cache
def tracked() -> frozenset[str]:
    """Files and folders that git has, or would."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files = [line for line in done.stdout.splitlines() if (ROOT / line).exists()]
    parents = {str(parent) for file in files for parent in Path(file).parents}
    return frozenset(files) | parents


@cache
def outputs() -> tuple[str, ...]:
    """The outputs of all stages, foreach stages with every registered item, and what runs write."""
    graph = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")
    found: list[str] = []
    for stage in graph["stages"].values():
        stage = stage.get("do", stage)
        for kind in ("outs", "metrics", "plots"):
            for out in stage.get(kind, []):
                path = out if isinstance(out, str) else next(iter(out))
                found.append(path.replace("${item}", "*"))
    return (*found, *graph.get("metrics", []), *UNDECLARED, *_defaults())


def _defaults() -> set[str]:
    """The folders and files that commands write to where nothing else is said."""
    apps = [app(command) for command in COMMANDS]
    each = [*apps, *(verb for command in apps for verb in verbs(command).values())]
    parameters = [p for command in each for p in command.params]
    return {str(p.default) for p in parameters if isinstance(p.default, Path)}


def said_paths(page: Path) -> Iterator[tuple[str, str]]:
    """Every path below a folder of this project that a page names in backticks."""
    tops = {path.split("/")[0] for path in (*tracked(), *outputs()) if "/" in path}
    for place, text in spans(page):
        text = re.sub(r"^local-dir:", "", text)
        if " " in text or "/" not in text or text.split("/")[0] not in tops:
            continue
        if re.fullmatch(r"[\w./{},<>*…\[\]-]+", text):
            yield place, text


def path_problem(text: str) -> str | None:
    """What is wrong with a path: neither a file of the project nor an output of a stage."""
    for path in expanded(text):
        pattern = re.sub(r"<[^>]*>|…", "*", path).rstrip("/")
        if _is_there(pattern) or _is_made(pattern):
            continue
        return f"`{text}`: neither in the project nor an output of dvc.yaml: {path}"
    return None


def _is_there(pattern: str) -> bool:
    shape = glob_pattern(pattern)
    return any(shape.fullmatch(path) for path in tracked())


def _is_made(pattern: str) -> bool:
    """An output, a file below one, or a folder above one."""
    parts = pattern.split("/")
    for out in outputs():
        known = out.split("/")
        pairs = list(zip(parts, known, strict=False))
        if all(a == b or "*" in (a, b) for a, b in pairs):
            return True
    return False


def glob_pattern(pattern: str) -> re.Pattern[str]:
    """A path with `*` as a regular expression; a star stays within one folder."""
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))


def expanded(text: str) -> list[str]:
    """`a/{b,c}.py` as `a/b.py` and `a/c.py`."""
    match = re.search(r"\{([^{}]*)\}", text)
    if not match:
        return [text]
    choices = match[1].split(",")
    return [p for c in choices for p in expanded(text[: match.start()] + c + text[match.end() :])]


def demo_video_problem(text: str) -> str | None:
    """What is wrong with `data/demo/videos/<split>/<class>/<class>_NNN.mp4`: no such number."""
    match = re.search(r"data/demo/videos/(\w+)/(\w+)/(\w+)_(\d+)\.", text)
    if not match:
        return None
    sizes = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")["demo_data"]["videos_per_class"]
    splits = list(sizes)
    if match[1] in splits and match[2] == match[3]:
        first = sum(sizes[split] for split in splits[: splits.index(match[1])])
        if int(match[4]) in range(first, first + sizes[match[1]]):
            return None
    return f"{match[0]}: the demo has no such video"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    found: dict[str, int] = {}
    slugs = set(re.findall(r"(?:<a id=\"|\{ ?#)([\w-]+)", page.read_text(encoding="utf-8")))
    for _, line in prose(page):
        heading = re.match(r"#+ +(.*)", line)
        if not heading:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        count = found.get(slug, 0)
        slugs.add(f"{slug}-{count}" if count else slug)
        found[slug] = count + 1
    return slugs


def link_problems(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere, with their places."""
    problems = []
    for number, line in prose(page):
        for target in re.findall(r"(?<!\\)\]\(([^)\s]+)(?: \"[^\"]*\")?\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            place = f"{name(page)}:{number}"
            if not file.exists():
                problems.append(f"{place}: {target}: there is no such file")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                close = did_you_mean(anchor, anchors(file))
                problems.append(f"{place}: {target}: no such heading. {close}")
    return problems
