"""A server on this machine that gives one file, rightly or with faults."""

import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import pytest

from pipeline_lib.backbones.weight_files import PublishedFile
from pipeline_lib.weights.catalogue import Item
from pipeline_lib.weights.download import Patience
from pipeline_lib.weights.place import Place

CONTENT = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does; the lists give one entry to each request, the last one for ever."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    linked: str | None = None
    ranges: bool = True
    status: list[int] = field(default_factory=lambda: [200])
    cut: list[int | None] = field(default_factory=lambda: [None])
    retry_after: str | None = None
    leads_to: str | None = None
    pause_s: float = 0.0
    asked: list[str | None] = field(default_factory=list)
    encodings: set[str | None] = field(default_factory=set)

    def next(self, name: str):
        values = getattr(self, name)
        return values.pop(0) if len(values) > 1 else values[0]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        does: Behaviour = self.server.behaviour
        does.asked.append(self.headers.get("Range"))
        does.encodings.add(self.headers.get("Accept-Encoding"))
        if does.leads_to:
            return self._empty(302, Location=does.leads_to)
        status = does.next("status")
        if status != 200:
            return self._empty(status, **{"Retry-After": does.retry_after})
        start = 0
        if does.ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(does.content):
                return self._empty(416)
        self._give(does, start)

    def _give(self, does, start):
        body, total = does.content[start:], len(does.content)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        for name, value in (("ETag", does.etag), ("X-Linked-Etag", does.linked)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        cut = does.next("cut")
        body = body if cut is None else body[:cut]
        for at in range(0, len(body), 1 << 16):
            self.wfile.write(body[at : at + (1 << 16)])
            time.sleep(does.pause_s)
        if cut is not None:
            self.close_connection = True

    def _empty(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that hangs up, as a killed one does


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with QuietServer(("127.0.0.1", 0), Handler) as served:
        served.behaviour = Behaviour()
        served.url = f"http://127.0.0.1:{served.server_port}/weights.pt"
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def waits():
    """How long each wait was, which nobody waits for."""
    return []


@pytest.fixture
def place(tmp_path, waits) -> Place:
    patience = Patience(read_s=2.0, wait=waits.append)
    return Place(tmp_path / "published", tmp_path / "weights.lock.json", patience)


def item_of(url: str, sha256: str | None = SHA256, network: str = "slowfast") -> Item:
    path = PurePosixPath(network, "weights.pt")
    file = PublishedFile(url, "Apache-2.0", sha256, 3)
    return Item(network, "some", {path: file}, path, {})


def there(place: Place, network: str = "slowfast") -> Path:
    return place.folder / network / "weights.pt"
