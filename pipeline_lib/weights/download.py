"""One file over HTTP: resumed where the server allows it, retried, its size checked."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.storage.atomic import want_of_room_told, write_json

_CHUNK = 1 << 18
_MEGABYTE = 1_000_000
_SPARE = 16 * _MEGABYTE  # the disk of someone's project is not to be filled to the brim
_LONGEST_WAIT_S = 60.0
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_OF_RANGES = (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
_HASH = re.compile(r"[0-9a-f]{64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class UnfetchedError(Exception):
    """A file could not be fetched; the text says why."""


class _PassingError(Exception):
    """What may be over soon.

    Attributes:
        after_s: When the server says that it is worth trying again; ``None`` where it does not.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


@dataclass(frozen=True)
class Patience:
    """How long a server is given.

    Attributes:
        attempts: In a row that bring nothing new.
        first_wait_s: Before the second of them; the next waits are twice as long each.
        connect_s: For a connection.
        read_s: Without a byte.
        wait: Waits for that many seconds.
    """

    attempts: int = 5
    first_wait_s: float = 1.0
    connect_s: float = 15.0
    read_s: float = 60.0
    wait: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Download:
    """A file to fetch.

    Attributes:
        url: Where it is.
        partial: Where its bytes are put; a file beside it says which file they are of.
        title: For the progress bar.
        sha256: Of its bytes, where known; a server that announces another one is not read.
        patience: With the server.
        progress: Where it reports to, in megabytes.
    """

    url: str
    partial: Path
    title: str
    sha256: str | None = None
    patience: Patience = Patience()
    progress: Progress = SILENT

    @property
    def facts(self) -> Path:
        """Which file the bytes in ``partial`` are of."""
        return self.partial.with_name(f"{self.partial.name}.json")

    def fetch(self) -> str | None:
        """Fetch all of it into ``partial``, which a later call resumes.

        Returns:
            The SHA-256 that the server announces, if it does.

        Raises:
            UnfetchedError: It cannot be had.
            OSError: It cannot be written.
        """
        failures = 0
        while True:
            before = _size(self.partial)
            try:
                return self._attempt()
            except _PassingError as error:
                failures = 1 if _size(self.partial) > before else failures + 1
                if failures >= self.patience.attempts:
                    raise UnfetchedError(f"{error} ({failures} attempts)") from None
                wait = error.after_s
                if wait is None:
                    wait = self.patience.first_wait_s * 2 ** (failures - 1)
                self.patience.wait(min(wait, _LONGEST_WAIT_S))

    def forget(self) -> None:
        """Remove what was fetched so far."""
        self.partial.unlink(missing_ok=True)
        self.facts.unlink(missing_ok=True)

    def _attempt(self) -> str | None:
        have, facts = self._resumable()
        if have and have == facts["total"]:
            return _hash_of(facts["identity"])
        with _answer(self.url, have, self.patience) as answer:
            identity = _identity(answer)
            resumed = have > 0 and _continues(answer, have, facts)
            if have and not resumed and answer.status_code in _OF_RANGES:
                self.forget()  # from the start, then
                raise _PassingError("the file on the server has changed", after_s=0.0)
            if not answer.ok:
                raise _refusal(answer)
            total = facts["total"] if resumed else _length(answer)
            self._check(_hash_of(identity), total, have if resumed else 0)
            if not resumed:
                self.forget()
                write_json(self.facts, {"url": self.url, "identity": identity, "total": total})
            self._read(answer, have if resumed else 0, total)
        return _hash_of(identity)

    def _resumable(self) -> tuple[int, dict[str, Any]]:
        """Bytes that can be kept, and what is known of the file they are of."""
        try:
            facts = dict(json.loads(self.facts.read_text(encoding="utf-8")))
            keys = {"url", "identity", "total"} <= facts.keys()
        except (OSError, ValueError, TypeError):
            facts, keys = {}, False
        have = _size(self.partial)
        sure = keys and facts["url"] == self.url and facts["identity"] and facts["total"]
        if not sure or have > facts["total"]:
            return 0, {}
        return have, facts

    def _check(self, announced: str | None, total: int | None, have: int) -> None:
        if announced and self.sha256 and announced != self.sha256:
            raise UnfetchedError(
                f"the server has another file: it announces sha256 {announced}, known is "
                f"{self.sha256}"
            )
        free = shutil.disk_usage(self.partial.parent).free
        if total is not None and free < total - have + _SPARE:
            raise UnfetchedError(
                f"{(total - have) // _MEGABYTE + 1} MB are missing and {free // _MEGABYTE} MB are "
                f"free on the disk of {self.partial.parent}"
            )

    def _read(self, answer: requests.Response, have: int, total: int | None) -> None:
        megabytes = -(-(total or 0) // _MEGABYTE)
        with (
            self.progress.task(f"{self.title}, MB", megabytes) as advance,
            want_of_room_told(self.partial),
            self.partial.open("ab") as file,
        ):
            advance(have // _MEGABYTE)
            shown = have // _MEGABYTE
            for chunk in _chunks(answer):
                file.write(chunk)
                have += len(chunk)
                advance(have // _MEGABYTE - shown)
                shown = have // _MEGABYTE
            if total is not None and have != total:
                raise _PassingError(f"the connection ended after {have} of {total} bytes")
            advance(megabytes - shown)


def _answer(url: str, have: int, patience: Patience) -> requests.Response:
    # Compressed, a file has another length, and other bytes at the same place.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = requests.get(
            url, headers=headers, stream=True, timeout=(patience.connect_s, patience.read_s)
        )
    except requests.exceptions.SSLError as error:
        raise UnfetchedError(f"its certificate cannot be verified: {_short(error)}") from None
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _PassingError(_short(error)) from None
    except requests.RequestException as error:
        raise UnfetchedError(_short(error)) from None
    hops = [step.url for step in (*answer.history, answer)]
    if url.startswith("https:") and not all(hop.startswith("https:") for hop in hops):
        answer.close()
        raise UnfetchedError("the server leads to an address without encryption")
    return answer


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(_CHUNK)
    except (requests.RequestException, OSError) as error:
        raise _PassingError(_short(error)) from None


def _identity(answer: requests.Response) -> str | None:
    """What stays the same as long as the file does."""
    for step in (*answer.history, answer):
        # The hub announces a large file's hash, before it leads to wherever the bytes are.
        linked = step.headers.get("X-Linked-Etag", "").strip('W/"')
        if linked:
            return linked
    return answer.headers.get("ETag")


def _hash_of(identity: str | None) -> str | None:
    return identity if identity and _HASH.fullmatch(identity) else None


def _continues(answer: requests.Response, have: int, facts: dict[str, Any]) -> bool:
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return (
        answer.status_code == HTTPStatus.PARTIAL_CONTENT
        and found is not None
        and (int(found[1]), int(found[2])) == (have, facts["total"])
        and _identity(answer) == facts["identity"]
    )


def _refusal(answer: requests.Response) -> Exception:
    reason = f"the server answers {answer.status_code} {answer.reason}"
    if answer.status_code in _PASSING or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        after = answer.headers.get("Retry-After", "")
        return _PassingError(reason, float(after) if after.isdecimal() else None)
    return UnfetchedError(reason)


def _length(answer: requests.Response) -> int | None:
    said = answer.headers.get("Content-Length", "")
    return int(said) if said.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _short(error: Exception) -> str:
    """The cause in a few words: requests wraps it in its own and in urllib3's names."""
    text = str(error).strip() or type(error).__name__
    inner = re.search(r"(\[Errno -?\d+\] [^'\")]+|[Tt]imed out[^'\")]*|[Rr]ead timed out)", text)
    return inner[1] if inner else text.splitlines()[0][:200]


def host_of(url: str) -> str:
    """The host of an address."""
    return urlsplit(url).hostname or url
