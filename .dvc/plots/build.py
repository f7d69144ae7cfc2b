"""Makes offline.html, the template of `dvc plots` pages that open without a network.

DVC's own page loads Vega from a content delivery network and stays blank without one. This one
has the libraries inside. It is neither a stage nor a measurement, so it lies beside what it makes;
it is needed only to raise a version: `python .dvc/plots/build.py` with npm and a network.
"""

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# In the order of loading; the hash is of the library's build/<name>.min.js.
LIBRARIES = {
    "vega": ("5.33.1", "463f3db6a40b20e9747b4ed38f37ed0add508838f9141b1cf8366784b07b30c8"),
    "vega-lite": ("5.23.0", "58c27358e26f2d319cf62f45bc17a4c8362f08645001df2ec8d341eee4097c7f"),
    "vega-embed": ("6.29.0", "12d02acfbe3ec59ef9a37dd4822a2e04e2961b5bbb671bbe661d2221715b99da"),
}


def main() -> None:
    """Download the libraries, check them and write the template."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = [
            _script(name, version, _library(name, version, sha256, Path(folder)))
            for name, (version, sha256) in LIBRARIES.items()
        ]
    page = (HERE / "page.html").read_text(encoding="utf-8")
    licences = (HERE / "licences.txt").read_text(encoding="utf-8")
    page = page.replace("{libraries}", "\n".join(scripts)).replace("{licences}", licences.rstrip())
    (HERE / "offline.html").write_text(page, encoding="utf-8")


def _library(name: str, version: str, sha256: str, folder: Path) -> str:
    """One library's code, as its authors published it."""
    command = ["npm", "pack", "--silent", f"{name}@{version}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(folder / f"{name}-{version}.tgz") as archive:
        member = archive.extractfile(f"package/build/{name}.min.js")
        code = member.read() if member else b""
    found = hashlib.sha256(code).hexdigest()
    if found != sha256:
        raise SystemExit(f"error: {name}@{version} has SHA-256 {found}; LIBRARIES says {sha256}")
    return code.decode("utf-8")


def _script(name: str, version: str, code: str) -> str:
    # With its last line a browser's tools would look for a source map beside the page.
    body = code.partition("\n//# sourceMappingURL=")[0]
    if "</script" in body.lower():
        raise SystemExit(f"error: {name}@{version} holds </script and cannot stand inside a page")
    return f"<script>\n/*! {name} {version}: licence at the end of this page */\n{body}\n</script>"


if __name__ == "__main__":
    main()
