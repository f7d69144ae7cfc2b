"""Writes docs/options.md and docs/commands.md from the code: `python docs/site/tables.py`."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import griffe
import typer
from pydantic import TypeAdapter

from pipeline_lib.config import Params
from stages.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
OPTIONS = ROOT / "docs" / "options.md"
COMMAND_PAGE = ROOT / "docs" / "commands.md"
OPTIONS_HEAD = """# Parameters

Everything that `params.yaml` may say. The defaults here are those of the code, which hold where
`params.yaml` does not name a parameter; the file itself names nearly all, with values for the
embedded demo. A misspelt or impossible one is refused before any work starts.

To change one for a single experiment, see [Experiments](experiments.md).

Written by `python docs/site/tables.py` from `pipeline_lib/config/`.
"""
COMMANDS_HEAD = """# Commands

Each command prints the same with `--help`. What a stage of the pipeline computes is set in
`params.yaml` and not here, see [Parameters](options.md). Exit codes: 0 done, 2 your input is at
fault (the message says what repairs it), 1 a bug.

Written by `python docs/site/tables.py` from `stages/`.
"""


@dataclass(frozen=True)
class Section:
    """One dataclass of ``params.yaml`` and the places that it describes."""

    paths: tuple[str, ...]
    config: Any


def sections(config: Any = Params, path: str = "") -> Iterator[Section]:
    """Every section of ``params.yaml`` in the order of the file; one class once a parent."""
    below: dict[Any, list[str]] = {}
    for name, kind in _kinds(config).items():
        if is_dataclass(kind):
            below.setdefault(kind, []).append(f"{path}.{name}".lstrip("."))
    for kind, paths in below.items():
        yield Section(tuple(paths), kind)
        yield from sections(kind, paths[0])


def meanings(config: Any) -> dict[str, str]:
    """Field to meaning, from the docstrings of a dataclass and of those that it extends."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        if base is object or not base.__doc__:
            continue
        for part in griffe.Docstring(base.__doc__, lineno=1).parse("google"):
            if part.kind is griffe.DocstringSectionKind.attributes:
                for attribute in part.value:
                    words = " ".join(attribute.description.split())
                    found[attribute.name] = words.replace("``", "`")
    return found


def options_page() -> str:
    """The text of docs/options.md."""
    return OPTIONS_HEAD + "".join(_section(section) for section in sections())


def commands_page() -> str:
    """The text of docs/commands.md."""
    lines = [COMMANDS_HEAD]
    for name, (module, summary) in COMMANDS.items():
        command = typer.main.get_command(import_module(f"stages.{module}").app)
        lines.append(f"\n## {name}\n")
        if hasattr(command, "commands"):
            lines.append(f"{summary}\n")
            for sub, inner in sorted(command.commands.items()):
                lines.append(f"\n### {name} {sub}\n")
                lines += _command(f"{name} {sub}", inner)
        else:
            lines += _command(name, command)
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _kinds(config: Any) -> dict[str, Any]:
    """Field to the section that it holds, or to its type."""
    hints = get_type_hints(config)
    kinds = {}
    for each in fields(config):
        inner = [a for a in get_args(hints[each.name]) if is_dataclass(a)]
        kinds[each.name] = inner[0] if inner else hints[each.name]
    return kinds


def _section(section: Section) -> str:
    first, *others = section.paths
    lines = [f"\n## {first}\n"]
    if others:
        lines.append("The same for " + " and ".join(f"`{path}`" for path in others) + ".\n")
    schema = TypeAdapter(section.config).json_schema()
    said, kinds = meanings(section.config), _kinds(section.config)
    lines += [f"{_summary(section.config)}\n", "| parameter | default | may be | meaning |"]
    lines.append("|---|---|---|---|")
    for each in fields(section.config):
        if is_dataclass(kinds[each.name]):
            continue
        shape = schema["properties"][each.name]
        default = f"`{_plain(_default(each))}`" if _has_default(each) else "needed"
        cells = (f"`{each.name}`", default, _allowed(shape), said.get(each.name, ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if len(lines) > 3 and lines[-1].startswith("|---"):
        del lines[-2:]
    return "\n".join(lines) + "\n"


def _has_default(each: Field[Any]) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _summary(config: Any) -> str:
    """The first paragraphs of a docstring, before its attributes."""
    text = griffe.Docstring(config.__doc__, lineno=1).parse("google")[0].value
    return text.replace("``", "`")


def _plain(value: Any) -> str:
    """A default as it would stand in the file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{}" if not value else str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(each) for each in value) + "]"
    return str(value) if value != "" else '""'


def _allowed(shape: dict[str, Any]) -> str:
    """What a JSON schema lets a value be, in words."""
    if "anyOf" in shape:
        return " or ".join(_allowed(each) for each in shape["anyOf"])
    if "enum" in shape:
        return ", ".join(f"`{each}`" for each in shape["enum"])
    if "const" in shape:
        return f"`{shape['const']}`"
    kind = shape.get("type")
    if kind == "array":
        items = shape.get("items") or shape["prefixItems"][0]
        return f"list of {_allowed(items)}"
    if kind == "object":
        return "names and values"
    words = {"integer": "whole number", "number": "number", "string": "text"}
    words |= {"boolean": "`true`, `false`", "null": "null"}
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {shape[key]:g}" for key, sign in limits.items() if key in shape]
    said += [f"multiple of {shape['multipleOf']}"] if "multipleOf" in shape else []
    said += [f"like `{shape['pattern']}`"] if "pattern" in shape else []
    return " ".join([words[str(kind)], ", ".join(said)]).strip()


def _command(name: str, command: Any) -> list[str]:
    """The table of one command."""
    summary = " ".join((command.help or "").split("\n\n")[0].split())
    places = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(p.name.upper() if p.required else f"[{p.name.upper()}]" for p in places)
    lines = [f"{summary}\n", f"`clipline {name} {usage}`\n" if usage else ""]
    rows = [_parameter(p) for p in command.params if p.name != "help"]
    if rows:
        lines += ["| | default | |", "|---|---|---|", *rows]
    return [*lines, ""]


def _parameter(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    names = [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.name.upper()]
    words = " ".join((parameter.help or "").split())
    kind = getattr(parameter, "type_descriptor", None)
    choices = get_args(getattr(kind, "annotation", None))
    if choices and all(isinstance(each, str) for each in choices):
        words += " One of " + ", ".join(f"`{each}`" for each in choices) + "."
    default = parameter.default
    if isinstance(default, list | tuple):
        default = ",".join(str(each) for each in default)
    shown = "" if default in (None, "") or callable(default) else f"`{default}`"
    if isinstance(default, bool):
        shown = f"`{names[0]}`" if default else ""
    if parameter.required:
        shown = "needed"
    cells = (", ".join(f"`{each}`" for each in names), shown, words)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    OPTIONS.write_text(options_page(), encoding="utf-8")
    COMMAND_PAGE.write_text(commands_page(), encoding="utf-8")
