"""Many clients of a real server at a time; all bounded in number and time."""

import http.client
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest

from tests.retrieval.tiny_model import configuration, random_clip
from tests.serving.running import ROOT, running
from tests.stages.test_commands import clipline
from tests.support.video_files import constant_rate

CLIENTS, PATIENCE_S = 200, 60
WORDS = ("red", "green", "a dog", "rain", "two people", "night", "water", "slow", "fast", "a hand")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("server")
    configuration(place / "c.json", random_clip(place / "clip"))
    for number in range(12):
        constant_rate(place / "videos" / f"{number:02d}.mp4", 20 + 7 * number)
    model = ("--config", "c.json", "--allow-untrained")
    done = clipline("embed", "videos", "--out", "emb", *model, cwd=place)
    assert done.returncode == 0, done.stderr
    return place


def get(address: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def queries() -> list[str]:
    return [f"{WORDS[n % 10]} and {WORDS[n // 10 % 10]} {n}" for n in range(CLIENTS)]


def search(address: str, query: str) -> tuple[int, list[dict]]:
    status, content = get(address, f"/api/search?videos=5&q={quote(query)}")
    return status, json.loads(content).get("videos", [])


@pytest.mark.slow
def test_two_hundred_queries_at_a_time_are_answered_as_one_by_one(place):
    started = ("emb", "--allow-untrained")
    with running(*started, cwd=place) as address:
        alone = [search(address, query) for query in queries()]
    with running(*started, cwd=place) as address, ThreadPoolExecutor(CLIENTS) as clients:
        together = list(clients.map(lambda query: search(address, query), queries()))
    assert {status for status, _ in (*alone, *together)} == {200}
    for (_, one), (_, other) in zip(alone, together, strict=True):
        # Sums of a batch are taken in another order than those of one query.
        expected = {v["name"]: (pytest.approx(v["score"], abs=3e-6), v["duration_s"]) for v in one}
        found = {v["name"]: (v["score"], v["duration_s"]) for v in other}
        assert found == expected or _close_call(one, other)
        assert [v["score"] for v in other] == sorted((v["score"] for v in other), reverse=True)


def _close_call(one: list[dict], other: list[dict]) -> bool:
    """Whether only the last place differs, between two that score alike."""
    return [v["name"] for v in one[:-1]] == [v["name"] for v in other[:-1]] and (
        abs(one[-1]["score"] - other[-1]["score"]) < 3e-6
    )


@pytest.mark.slow
def test_a_burst_of_all_kinds_and_what_clients_do_not_tidy_up(place):
    with running("emb", "--allow-untrained", "--token", "auto", cwd=place) as address:
        token = address.rpartition("=")[2]
        headers = {"Authorization": f"Bearer {token}"}
        paths = [f"/api/frame/{n % 12}/{n % 7 / 10:.1f}.jpg" for n in range(100)]
        paths += [f"/media/{n % 12}" for n in range(60)] + ["/api/search?q=red"] * 40
        with ThreadPoolExecutor(len(paths)) as clients:
            answers = list(clients.map(lambda path: get(address, path, headers), paths))
        assert {status for status, _ in answers} == {200}
        # The same address gives the same bytes, whoever asked at the same time.
        assert len(set(zip(paths, (content for _, content in answers), strict=True))) == len(
            set(paths)
        )
        assert get(address, "/api/info")[0] == 401
        for path in ("/media/../../c.json", "/static/../../../c.json", "/media/..%2f..%2fc.json"):
            status, content = raw(address, path, token)
            assert status in (404, 422)
            assert b"base_encoder" not in content
        assert raw(address, "/api/info", token, version="1.0", host="")[0] in (400, 403)


def raw(
    address: str, path: str, token: str, version: str = "1.1", host: str | None = None
) -> tuple[int, bytes]:
    """A request as it is written here."""
    parts = urlsplit(address)
    named = parts.netloc if host is None else host
    line = f"GET {path} HTTP/{version}\r\nHost: {named}\r\nAuthorization: Bearer {token}\r\n"
    with socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as connection:
        connection.sendall(f"{line}Connection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--host", "0.0.0.0"), ("without a token", "--token auto")),
        (("--token", "short"), ("at least 16 characters",)),
        (("--videos", "nowhere"), ("nowhere: no such folder of videos",)),
    ],
)
def test_mistakes_get_one_clear_message(place, arguments, words):
    done = clipline_serve("emb", "--allow-untrained", *arguments, cwd=place)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_taken_port_and_a_folder_without_embeddings(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = clipline_serve("emb", "--port", port, cwd=place)
    assert done.returncode == 2
    assert f"--port {port}: another program listens on 127.0.0.1:{port}" in done.stderr
    done = clipline_serve("videos", cwd=place)
    assert done.returncode == 2
    assert "a folder without embeddings" in done.stderr


def clipline_serve(*arguments: object, cwd):
    return subprocess.run(
        [sys.executable, ROOT / "stages" / "serve.py", *map(str, arguments)],
        cwd=cwd, text=True, capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
