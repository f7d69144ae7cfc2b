"""README and CONTRIBUTING as pages of the site, with links that fit both it and the repository."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent
# Files of the top level that are pages here.
PAGES = {"README.md": "overview.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the top level and the pictures that they show."""
    for name, page in PAGES.items():
        text, pictures = as_page((ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
        for address, path in pictures.items():
            if not files.get_file_from_path(address):
                files.append(File.generated(config, address, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to the repository's top level into links to its pages here."""
    up = "../" * page.file.src_uri.count("/")

    def pointed(match: re.Match[str]) -> str:
        bang, words, address, anchor = match.groups()
        name = address.removeprefix(f"{up}../")
        if name == address or name not in PAGES:
            return match[0]
        return f"{bang}[{words}]({up}{PAGES[name]}{anchor or ''})"

    return _LINK.sub(pointed, markdown)


def as_page(text: str) -> tuple[str, dict[str, Path]]:
    """A file of the top level as a page.

    Returns:
        The text, and address and place of its pictures that lie outside ``docs/``. A picture that
        the pipeline has not drawn yet becomes its words.
    """
    pictures: dict[str, Path] = {}

    def pointed(match: re.Match[str]) -> str:
        bang, words, address, anchor = match.groups()
        if "://" in address:
            return match[0]
        if address in PAGES:
            return f"[{words}]({PAGES[address]}{anchor or ''})"
        if address.startswith("docs/"):
            return f"{bang}[{words}]({address.removeprefix('docs/')}{anchor or ''})"
        if not bang:
            return f"`{address}`" if words == address else f"{words} (`{address}`)"
        if not (ROOT / address).is_file():
            return f"*{words}: `{address}`, which `dvc repro` draws*"
        place = "pictures/" + address.replace("/", "_")
        pictures[place] = ROOT / address
        return f"![{words}]({place})"

    return _LINK.sub(pointed, text), pictures
