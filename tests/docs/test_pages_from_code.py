"""Pages that follow from the code: parameters, commands, file formats, quoted messages."""

import ast
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline_lib.annotations.events_csv import _COLUMNS as ANNOTATION_COLUMNS
from pipeline_lib.datasets.index_tables import EVENT_COLUMNS, WINDOW_COLUMNS
from pipeline_lib.datasets.mined import FRAME_COLUMNS, ITEM_COLUMNS
from pipeline_lib.datasets.question_fields import FIELDS
from pipeline_lib.datasets.window_store import VIDEO_COLUMNS
from pipeline_lib.retrieval.catalogue import _COLUMNS as CATALOGUE_COLUMNS
from tests.docs.markdown import blocks

ROOT = Path(__file__).parent.parent.parent
FORMATS = ROOT / "docs" / "formats.md"
TROUBLE = ROOT / "docs" / "troubleshooting.md"
OF_CONSTANTS = {
    "Annotations": ANNOTATION_COLUMNS,
    "Questions": FIELDS,
    "data/index/windows.parquet": WINDOW_COLUMNS,
    "data/index/events.parquet": EVENT_COLUMNS,
    "data/windows/clip/videos.parquet": VIDEO_COLUMNS,
    "data/mined/mined.parquet": FRAME_COLUMNS,
    "data/mined/items.parquet": ITEM_COLUMNS,
}


@cache
def tables_module():
    """docs/site/tables.py, which is no package."""
    pytest.importorskip("griffe", reason="pip install 'clipline[docs]'")
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs/site/tables.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["options", "commands"])
def test_a_page_of_tables_is_the_code_s(page):
    written = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert written == getattr(tables_module(), f"{page}_page")(), (
        "python docs/site/tables.py writes it again"
    )


def test_every_parameter_has_a_meaning():
    silent = re.findall(r"^\| `(\w+)` \|.*\|\s+\|$", tables_module().options_page(), re.MULTILINE)
    assert silent == []


def test_the_page_of_parameters_has_every_line_of_params_yaml():
    """Found by walking the file, where the page walks the dataclasses."""
    from ruamel.yaml import YAML

    text = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for name in re.findall(r"The same for (.*)\.$", text, re.MULTILINE):
        for other in re.findall(r"`([\w.]+)`", name):
            sections[other] = next(body for body in sections.values() if name in body)
    # `git show` would be needed for other data; names are the same whatever the values.
    tree = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    missing = [key for key in _keys(tree) if not _is_described(key, sections)]
    assert missing == []


def _keys(tree: dict, before: str = "") -> list[str]:
    found = []
    for key, value in tree.items():
        path = f"{before}.{key}".lstrip(".")
        found += _keys(value, path) if isinstance(value, dict) and value else [path]
    return found


def _is_described(key: str, sections: dict[str, str]) -> bool:
    section, _, name = key.rpartition(".")
    if section.endswith("class_names"):
        return True  # names of the user's own
    return f"\n| `{name}` |" in sections.get(section, "")


@cache
def documented() -> dict[str, list[str]]:
    """Heading to the names in the first column of the table of columns below it."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in FORMATS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif re.match(r"\| (column|key|array) \| type \|", line):
            found[heading] = []
        elif heading in found and line.startswith("| `"):
            found[heading] += re.findall(r"`([^`]+)`", line.split("|")[1])
    return found


@pytest.mark.parametrize("heading", OF_CONSTANTS)
def test_columns_are_those_of_the_code(heading):
    assert sorted(documented()[heading]) == sorted(OF_CONSTANTS[heading])


def _mismatch(path: Path, names: list[str], real: list[str]) -> list[str]:
    """Columns of a file that are not described, and described ones that it has not."""
    shapes = {n: re.compile(re.sub(r"<\w+>", ".+", re.escape(n))) for n in names}
    unknown = [c for c in real if not any(s.fullmatch(c) for s in shapes.values())]
    absent = [n for n, s in shapes.items() if not any(s.fullmatch(c) for c in real)]
    told = {"not described": unknown, "not there": absent}
    return [f"{path}: {what}: {columns}" for what, columns in told.items() if columns]


def test_columns_are_those_of_the_files_that_are_here():
    problems = []
    for heading, names in documented().items():
        path = ROOT / heading
        if path.suffix == ".parquet" and path.is_file():
            problems += _mismatch(path, names, pq.read_schema(path).names)
        elif path.suffix == ".csv" and path.is_file():
            problems += _mismatch(path, names, list(pd.read_csv(path, nrows=0).columns))
    assert problems == []


def test_the_catalogue_of_embeddings_is_described():
    row = re.search(r"^\| `index/videos.parquet` \| (.*) \|$", FORMATS.read_text(), re.MULTILINE)
    assert re.findall(r"`(\w+)`", row[1]) == list(CATALOGUE_COLUMNS)


def test_every_reason_for_a_failure_is_explained():
    said = FORMATS.read_text(encoding="utf-8").split("### failures.csv")[1].split("\n## ")[0]
    folders = ("video", "extraction")
    # Of features made elsewhere, and of a file that changes while it is read.
    others = {"wrong_type", "wrong_shape", "wrong_size", "before_start", "no_direction"}
    code = "\n".join(
        path.read_text() for f in folders for path in (ROOT / "pipeline_lib" / f).rglob("*.py")
    )
    reasons = set(re.findall(r"reason=\"(\w+)\"", code)) - others
    reasons |= set(re.findall(r"FailEvent\([\w.]+, \"(\w+)\"", code))
    reasons |= set(re.findall(r"\.fail\([^\"]*\"(\w+)\"", code))
    assert {reason for reason in reasons if f"`{reason}`" not in said} == set()


@cache
def messages() -> list[str]:
    """Every text of the code; what is filled in is a NUL."""
    texts: list[str] = []
    for folder in ("pipeline_lib", "stages"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [v.value if isinstance(v, ast.Constant) else "\0" for v in node.values]
                    texts.append("".join(str(part) for part in parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return texts


QUOTED = [
    pytest.param(line.strip(), id=f"line {block.line}: {line.strip()[:40]}")
    for block in blocks(TROUBLE)
    if block.language == "text"
    for line in block.text.splitlines()
    if re.search(r"\w", line)
]


@pytest.mark.parametrize("line", QUOTED)
def test_a_quoted_message_is_one_of_the_code(line):
    fragments = [f.strip() for f in line.removeprefix("error: ").split("…")]
    wanted = [f for f in fragments if re.search(r"\w", f)]
    shape = re.compile(".*".join(re.escape(f) for f in wanted), re.DOTALL)
    assert wanted
    assert any(shape.search(text) for text in messages()), "no text of the code has these words"
