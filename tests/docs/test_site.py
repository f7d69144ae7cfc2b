"""The documentation site: complete, no warning, valid links, nothing fetched from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.browser import PHONE, browser, console_errors, requests, set_width

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "docs" / "site" / "mkdocs.yml"
# Made by the site itself from files of the top level.
GENERATED = {"overview.md", "contributing.md"}
WIDE, NARROW = ["index.html", "options.html", "decoders.html"], ["api/video.html", "overview.html"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, str]:
    """The site, and what building it said."""
    pytest.importorskip("mkdocs", reason="pip install 'clipline[docs]'")
    site = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(site)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return site, done.stdout


class Page(HTMLParser):
    """The addresses and anchors of a built page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("script", "img", "iframe", "source", "video") and "src" in given:
            self.fetched.append(given["src"])
        elif tag == "link" and "href" in given:
            self.fetched.append(given["href"])


@pytest.fixture(scope="module")
def parsed(built) -> dict[Path, Page]:
    return {path: Page(path) for path in built[0].rglob("*.html") if path.name != "404.html"}


def test_building_warns_of_nothing(built):
    said = [line for line in built[1].splitlines() if re.match(r"(WARNING|ERROR)", line)]
    assert said == []


def test_every_page_is_in_the_navigation_once():
    named = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", CONFIG.read_text(), re.MULTILINE)
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(named) == sorted(there | GENERATED)


def test_links_and_anchors_lead_somewhere(parsed):
    problems = []
    for path, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                problems.append(f"{path.name}: {link}")
            elif target in parsed and unquote(parts.fragment) not in {"", *parsed[target].ids}:
                problems.append(f"{path.name}: {link}: no such anchor")
    assert problems == []


def test_nothing_is_fetched_from_elsewhere(parsed):
    elsewhere, missing = [], []
    for path, page in parsed.items():
        for address in page.fetched:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                elsewhere.append(f"{path.name}: {address}")
            elif not (path.parent / unquote(parts.path)).is_file():
                missing.append(f"{path.name}: {address}")
    assert elsewhere == []
    assert missing == []


def test_pages_open_and_are_searched_as_files(built):
    with browser() as driver:
        for name in (*WIDE, *NARROW):
            driver.get((built[0] / name).as_uri())
        # A page that is too wide for a phone is scrolled sideways: tables do that by themselves.
        set_width(driver, *PHONE)
        for name in (*WIDE, *NARROW):
            driver.get((built[0] / name).as_uri())
            width = driver.execute_script("return document.documentElement.scrollWidth")
            assert width <= PHONE[0], name
        set_width(driver, 1280, 900)
        driver.get((built[0] / "index.html").as_uri())
        assert "failures.csv" in _found(driver, "decoder_mismatch")
        assert console_errors(driver) == []
        asked = [url for url in requests(driver) if not url.startswith(("file:", "data:", "blob:"))]
        assert asked == []


def _found(driver, words: str) -> str:
    """What the search of the site finds."""
    field = driver.find_element("css selector", "input.md-search__input")
    driver.execute_script("document.querySelector('#__search').click()")
    field.send_keys(words)
    for _ in range(100):
        text = driver.find_element("css selector", ".md-search-result").text
        if "matching" in text:
            return text
        time.sleep(0.1)
    pytest.fail(f"the search found nothing: {text!r}")


def test_readme_builds_where_the_pipeline_has_drawn_nothing(tmp_path):
    """A fresh clone has no pictures of runs; the page then names them."""
    pytest.importorskip("mkdocs", reason="pip install 'clipline[docs]'")
    for name in ("docs", "pipeline_lib", "README.md", "CONTRIBUTING.md"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", "docs/site/mkdocs.yml"],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        text=True, capture_output=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "which <code>dvc repro</code> draws" in (tmp_path / "site/overview.html").read_text()
