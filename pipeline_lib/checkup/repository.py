"""git and DVC: what they keep, how it is linked into the project, and where it is shared."""

import configparser
import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline_lib.checkup.check import Row
from pipeline_lib.checkup.context import Context
from pipeline_lib.errors import ConfigError

_FICLONE = 0x40049409  # Linux's number of the request that makes a reflink
_GIT_TIMEOUT_S = 20
# Links to the cache itself: whoever writes into them writes into the cache.
_SHARED = {"hardlink", "symlink"}
_DEFAULT_TYPES = ["reflink", "copy"]


def check_git(context: Context) -> Iterator[Row]:
    """Whether the folder is a git repository: DVC's experiments need one."""
    if shutil.which("git") is None:
        yield Row("git", "fail", "not installed", "apt-get install git")
        return
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=context.project, capture_output=True, text=True, check=False, timeout=_GIT_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode == 0:
        yield Row("git", "ok", f"a repository at {done.stdout.strip()}")
    elif "not a git repository" in done.stderr:
        yield Row("git", "warn", "this folder is no repository", "git init, or clone the project.")
    else:
        yield Row("git", "warn", (done.stderr.strip() or "no commit").splitlines()[0],
                  "`dvc exp run` needs a commit.")  # fmt: skip


def check_dvc(context: Context) -> Iterator[Row]:
    """DVC's version, its cache and its remote."""
    try:
        version = importlib.metadata.version("dvc")
    except importlib.metadata.PackageNotFoundError:
        yield Row("dvc", "fail", "not installed", "pip install -c constraints.txt dvc")
        return
    folder = context.project / ".dvc"
    if not folder.is_dir():
        yield Row("dvc", "warn", f"{version}; this folder is no DVC project",
                  "Run it in the project's folder.")  # fmt: skip
        return
    yield Row("dvc", "ok", version)
    config = _config(folder)
    yield _cache(context.project, cache_folder(context.project), config)
    yield _remote(config)


def cache_folder(project: Path) -> Path:
    """Where DVC keeps contents."""
    config = _config(project / ".dvc")
    return project / ".dvc" / Path(config.get("cache", "dir", fallback="cache")).expanduser()


def _config(folder: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    home = Path(os.environ.get("XDG_CONFIG_HOME", "~/.config")).expanduser() / "dvc" / "config"
    for path in (home, folder / "config", folder / "config.local"):
        try:
            config.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            said = str(error).splitlines()[0]
            hint = "Correct it by hand, or take it from git: dvc reads it, too."
            raise ConfigError(f"{path}: no valid configuration ({said})", hint=hint) from None
    return config


def _cache(project: Path, cache: Path, config: configparser.ConfigParser) -> Row:
    asked = config.get("cache", "type", fallback="")
    types = [word.strip() for word in asked.split(",") if word.strip()] or _DEFAULT_TYPES
    there = next(path for path in (cache, *cache.parents) if path.is_dir())
    possible = _possible_links(there, project)
    used = next((name for name in types if name in possible), "copy")
    text = f"{cache}: {used} (possible here: {', '.join(possible)})"
    if used in _SHARED:
        harm = "`dvc add` of linked videos makes your own files read-only"
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            harm = "root can overwrite files linked to the cache, and the cache with them"
        return Row("dvc cache", "warn", f"{text}; {harm}", "dvc config cache.type reflink,copy")
    if used == "copy" and "hardlink" in possible:
        return Row("dvc cache", "ok", f"{text}; everything is on the disk twice")
    return Row("dvc cache", "ok", text)


def _remote(config: configparser.ConfigParser) -> Row:
    sections = [name.strip("'") for name in config.sections()]
    names = [name.split('"')[1] for name in sections if name.startswith('remote "')]
    default = config.get("core", "remote", fallback="")
    if default in names:
        return Row("dvc remote", "ok", f"{default} is the default of {len(names)}")
    if names:
        return Row("dvc remote", "warn", f"{', '.join(names)}, none of them the default",
                   f"dvc remote default {names[0]}")  # fmt: skip
    return Row("dvc remote", "ok", "none; nothing is shared (see docs/sharing.md)")


def _possible_links(cache: Path, project: Path) -> list[str]:
    """The kinds of links that can be made from the project into the cache's file system."""
    possible = []
    with (
        tempfile.TemporaryDirectory(dir=cache, prefix=".checkup-") as source_folder,
        tempfile.TemporaryDirectory(dir=project, prefix=".checkup-") as target_folder,
    ):
        source, target = Path(source_folder) / "a", Path(target_folder)
        source.write_bytes(b"x" * 4096)
        for name, make in (("reflink", _reflink), ("hardlink", os.link), ("symlink", os.symlink)):
            try:
                make(source, target / name)
            except OSError:
                continue
            possible.append(name)
    return [*possible, "copy"]


def _reflink(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
