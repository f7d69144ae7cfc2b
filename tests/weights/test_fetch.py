import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import replace

import pytest

from pipeline_lib.errors import BatchError, WeightsError
from pipeline_lib.weights import download
from pipeline_lib.weights.fetch import fetch
from pipeline_lib.weights.lockfile import FIRST_FETCH, Recorded, read_lock, record
from tests.weights.conftest import CONTENT, SHA256, item_of, there


def fails(item, place, match):
    outcome = fetch([item], place)
    with pytest.raises(WeightsError, match=match) as caught:
        raise outcome.error()
    assert not there(place, item.network).exists()
    return caught.value


def partial(place):
    return there(place).with_name(".weights.pt.partial")


def test_a_file_is_fetched_whole_and_nothing_else_is_left(server, place):
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT
    assert (result.sha256, result.new, result.origin) == (SHA256, True, "published by its maker")
    assert [path.name for path in result.path.parent.iterdir()] == ["weights.pt"]
    assert not place.lock.exists()
    assert server.behaviour.encodings == {"identity"}  # compressed, lengths and places differ


def test_what_is_there_is_not_fetched_again(server, place):
    fetch([item_of(server.url)], place)
    (result,) = fetch([item_of(server.url)], place).fetched
    assert not result.new
    assert len(server.behaviour.asked) == 1


def test_a_cut_connection_is_resumed_where_it_ended(server, place, waits):
    server.behaviour.cut = [1_000_000, 500_000, None]
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT
    first, *rest = server.behaviour.asked
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in rest]
    assert first is None
    assert len(starts) == 2
    assert 0 < starts[0] <= 1_000_000
    assert starts[0] < starts[1] <= 1_500_000
    assert waits == [1.0, 1.0]  # each attempt brought something, so patience begins anew


def test_a_server_without_ranges_is_read_from_the_start(server, place):
    server.behaviour.ranges = False
    server.behaviour.cut = [1_000_000, None]
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_read_from_the_start(server, place, waits):
    server.behaviour.content = b"x" * len(CONTENT)
    server.behaviour.cut = [1_000_000]
    fetch([item_of(server.url)], replace(place, patience=replace(place.patience, attempts=1)))
    assert partial(place).stat().st_size > 0
    server.behaviour.content, server.behaviour.etag = CONTENT, '"two"'
    server.behaviour.cut = [None]
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT
    assert waits == [0.0]  # seen by the ETag, before anything of it was read


def test_a_file_that_has_grown_meanwhile_is_read_from_the_start(server, place, waits):
    server.behaviour.cut = [1_000_000, None]
    server.behaviour.content = CONTENT[:2_000_000]
    item = item_of(server.url, sha256=None)
    fetch([item], replace(place, patience=replace(place.patience, attempts=1)))
    server.behaviour.content = CONTENT
    (result,) = fetch([item], place).fetched
    assert result.path.read_bytes() == CONTENT
    assert waits == [0.0]


@pytest.mark.parametrize("etag", [None, ""])
def test_without_an_etag_nothing_is_resumed(server, place, etag):
    server.behaviour.etag = etag
    server.behaviour.cut = [1_000_000, None]
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT
    assert server.behaviour.asked == [None, None]


def test_what_a_killed_run_had_already_read_whole_is_not_asked_for_again(server, place):
    server.behaviour.cut = [1_000_000]
    fetch([item_of(server.url)], replace(place, patience=replace(place.patience, attempts=1)))
    partial(place).write_bytes(CONTENT)
    asked = len(server.behaviour.asked)
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.new
    assert len(server.behaviour.asked) == asked


def test_a_rest_that_is_too_long_or_of_another_address_is_not_resumed(server, place):
    server.behaviour.cut = [1_000_000, None]
    once = replace(place, patience=replace(place.patience, attempts=1))
    fetch([item_of(server.url)], once)
    partial(place).write_bytes(CONTENT + b"x")
    fetch([item_of(server.url)], place)
    assert server.behaviour.asked == [None, None]
    there(place).unlink()
    server.behaviour.cut = [1_000_000, None]
    fetch([item_of(server.url)], once)
    (result,) = fetch([item_of(server.url + "?moved")], place).fetched
    assert result.path.read_bytes() == CONTENT
    assert server.behaviour.asked == [None] * 4


def test_a_damaged_rest_of_an_earlier_run_is_fetched_anew(server, place):
    server.behaviour.cut = [1_000_000, None]
    fetch([item_of(server.url)], replace(place, patience=replace(place.patience, attempts=1)))
    size = partial(place).stat().st_size
    partial(place).write_bytes(b"\0" * size)
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT


def test_wrong_content_is_deleted(server, place):
    server.behaviour.content = b"x" * 1000
    error = fails(item_of(server.url), place, "instead of .* and was deleted")
    assert SHA256 in error.message
    assert list(there(place).parent.iterdir()) == []


def test_a_passing_fault_of_the_server_is_waited_for(server, place, waits):
    server.behaviour.status = [500, 503, 200]
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT
    assert waits == [1.0, 2.0]


def test_a_fault_that_stays_is_told_after_five_attempts(server, place, waits):
    server.behaviour.status = [503]
    fails(item_of(server.url), place, r"127.0.0.1: the server answers 503 .*\(5 attempts\)")
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_the_servers_own_waiting_time_counts_but_not_for_ever(server, place, waits):
    server.behaviour.status = [429, 429, 200]
    server.behaviour.retry_after = "7000"
    fetch([item_of(server.url)], place)
    assert waits == [60.0, 60.0]


def test_a_fault_of_the_server_keeps_what_was_read(server, place):
    server.behaviour.cut = [1_000_000, None]
    server.behaviour.status = [200, 500, 200]
    fetch([item_of(server.url)], place)
    _, refused, served = server.behaviour.asked
    assert refused == served
    assert served is not None


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_told_at_once_with_the_way_by_hand(server, place, waits, status):
    server.behaviour.status = [status]
    error = fails(item_of(server.url), place, f"slowfast:some: .*answers {status}")
    assert waits == []
    assert server.url in error.hint
    assert str(there(place)) in error.hint
    assert "clipline weights verify slowfast:some" in error.hint


def test_a_silent_server_is_given_up(server, place):
    server.behaviour.pause_s = 1.0
    patience = replace(place.patience, read_s=0.1, attempts=1)
    fails(item_of(server.url), replace(place, patience=patience), "[Tt]imed out")


def test_offline_ends_at_once(place, monkeypatch, waits, server):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    start = time.monotonic()
    error = fails(
        item_of("https://weights.example.org/weights.pt"),
        place,
        "cannot fetch weights.pt: weights.example.org cannot be reached from this machine",
    )
    assert time.monotonic() - start < 1
    assert waits == []
    assert f"copy it to {there(place)}" in error.hint


def test_a_closed_port_is_told(place, server, waits):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fails(item_of(f"http://127.0.0.1:{port}/weights.pt"), place, r"refused .*\(5 attempts\)")


def test_encryption_is_never_given_up_on_the_way(monkeypatch, place):
    class Answer:
        url, history = "http://elsewhere/weights.pt", ()

        def close(self):
            pass

    monkeypatch.setattr(download.requests, "get", lambda *a, **k: Answer())
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [])
    fails(item_of("https://example.org/weights.pt"), place, "without encryption")


def test_a_certificate_that_cannot_be_verified_is_not_tried_again(monkeypatch, place, waits):
    def refuse(*args, **kwargs):
        raise download.requests.exceptions.SSLError("certificate verify failed")

    monkeypatch.setattr(download.requests, "get", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: [])
    fails(item_of("https://example.org/weights.pt"), place, "certificate cannot be verified")
    assert waits == []


def test_a_full_disk_is_told_before_anything_is_read(server, place, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage(0, 0, 17_000_000))
    fails(item_of(server.url), place, "4 MB are missing and 17 MB are free")
    assert not partial(place).exists()


def test_a_hash_of_which_nothing_is_known_is_recorded_and_held_to(server, place):
    item = item_of(server.url, sha256=None)
    fetch([item], place)
    entry = read_lock(place.lock)[server.url]
    assert (entry.sha256, entry.bytes, entry.origin) == (SHA256, len(CONTENT), FIRST_FETCH)
    there(place).unlink()
    server.behaviour.content = b"y" * 1000
    fails(item, place, "instead of")


def test_a_hash_that_the_hub_announces_is_checked_and_recorded(server, place):
    server.behaviour.linked = f'"{SHA256}"'
    fetch([item_of(server.url, sha256=None)], place)
    assert "announced by 127.0.0.1" in read_lock(place.lock)[server.url].origin
    there(place).unlink()
    place.lock.unlink()
    server.behaviour.content = b"z" * 1000
    fails(item_of(server.url, sha256=None), place, f"instead of {SHA256}")


def test_another_announced_hash_is_told_before_anything_is_read(server, place):
    server.behaviour.linked = '"' + "0" * 64 + '"'
    fails(item_of(server.url), place, "the server has another file: it announces sha256 000")
    assert not partial(place).exists()


def test_a_file_that_is_there_with_another_hash_is_left_and_told(server, place):
    there(place).parent.mkdir(parents=True)
    there(place).write_bytes(b"mine")
    error = fetch([item_of(server.url)], place).error()
    assert f"{SHA256} is known of it" in error.message
    assert there(place).read_bytes() == b"mine"


def test_one_failure_does_not_keep_the_others(server, place, monkeypatch):
    bad = item_of("http://127.0.0.1:1/weights.pt", network="dinov2")
    outcome = fetch([bad, item_of(server.url)], place)
    assert [result.path for result in outcome.fetched] == [there(place)]
    with pytest.raises(BatchError, match=r"1 of 2 files are not there:\ndinov2:some"):
        raise outcome.error()


def test_two_runs_at_once_fetch_one_file_once(server, place):
    server.behaviour.pause_s = 0.002
    outcomes = []
    runs = [
        threading.Thread(target=lambda: outcomes.append(fetch([item_of(server.url)], place)))
        for _ in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(outcome.fetched[0].new for outcome in outcomes) == [False, False, True]
    assert len(server.behaviour.asked) == 1


def test_where_there_are_no_locks_two_runs_do_not_share_a_file(server, place, monkeypatch):
    import contextlib

    @contextlib.contextmanager
    def unlocked(folder):
        folder.mkdir(parents=True, exist_ok=True)
        yield False

    monkeypatch.setattr("pipeline_lib.weights.fetch.taking_turns", unlocked)
    (result,) = fetch([item_of(server.url)], place).fetched
    assert [path.name for path in result.path.parent.iterdir()] == ["weights.pt"]


KILLED = """
import sys
from pathlib import Path
from tests.weights.conftest import item_of
from pipeline_lib.weights.fetch import fetch
from pipeline_lib.weights.place import Place
fetch([item_of(sys.argv[1])], Place(Path(sys.argv[2])))
"""


def test_a_killed_download_is_resumed(server, place):
    server.behaviour.pause_s = 0.05
    run = subprocess.Popen([sys.executable, "-c", KILLED, server.url, str(place.folder)])
    deadline = time.monotonic() + 60
    while not partial(place).exists() or partial(place).stat().st_size < 500_000:
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    had = partial(place).stat().st_size
    server.behaviour.pause_s = 0.0
    (result,) = fetch([item_of(server.url)], place).fetched
    assert result.path.read_bytes() == CONTENT
    assert server.behaviour.asked[-1] == f"bytes={had}-"


def test_a_file_is_on_the_disk_before_it_has_its_name(server, place, monkeypatch):
    flushed = []
    flush = os.fsync

    def watched(number):
        if os.fstat(number).st_size == len(CONTENT):
            flushed.append(there(place).exists())
        flush(number)

    monkeypatch.setattr(os, "fsync", watched)
    fetch([item_of(server.url)], place)
    assert flushed == [False]


def test_a_recorded_hash_is_never_written_over(place):
    record(place.lock, "b", Recorded(SHA256, 1, "x"))
    record(place.lock, "a", Recorded("0" * 64, 1, "x"))
    with pytest.raises(WeightsError, match=f"b has sha256 {SHA256}, not 0000"):
        record(place.lock, "b", Recorded("0" * 64, 1, "x"))
    assert list(read_lock(place.lock)) == ["a", "b"]
    assert read_lock(place.lock)["b"].sha256 == SHA256


def test_a_damaged_lock_file_is_told(place, server):
    place.lock.write_text("[]")
    with pytest.raises(WeightsError, match="not a lock file of weights"):
        raise fetch([item_of(server.url)], place).error()
    place.lock.write_text(json.dumps({"u": {"sha256": "../x", "bytes": 1, "origin": ""}}))
    with pytest.raises(WeightsError, match=r"has sha256 '\.\./x'"):
        raise fetch([item_of(server.url)], place).error()
