import os
import shutil
from pathlib import Path

import pytest

from pipeline_lib.errors import DataError, VideoError
from pipeline_lib.serving.media import Span, asked_span
from pipeline_lib.serving.refusal import RefusalError
from tests.retrieval.test_embed import embed
from tests.serving.site import client, opened
from tests.support.video_files import constant_rate

MIDDLE = 1


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-", Span(0, 10)),
        ("bytes=4-7", Span(4, 8)),
        ("bytes=4-999", Span(4, 10)),
        ("bytes=9-", Span(9, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-99", Span(0, 10)),
        ("bytes = 1 - 2", Span(1, 3)),
        ("bytes=7-4", None),
        ("bytes=-", None),
        ("bytes=1-2,4-5", None),
        ("bytes=a-b", None),
        ("bytes=0x1-2", None),
        ("bytes=٣-٤", None),
        ("items=0-1", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("", None),
    ],
)
def test_ranges(header, span):
    assert asked_span(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={10**29}-"])
def test_ranges_behind_the_end(header):
    with pytest.raises(RefusalError, match="has 10 bytes") as refused:
        asked_span(header, 10)
    assert refused.value.status == 416
    assert refused.value.headers == {"Content-Range": "bytes */10"}


def test_whole_and_in_parts(page, made):
    content = (made / "videos" / "middle.mp4").read_bytes()
    whole = page.get(f"/media/{MIDDLE}")
    assert whole.status_code == 200
    assert whole.content == content
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-type"] == "video/mp4"
    part = page.get(f"/media/{MIDDLE}", headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, content[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(content)}"
    assert part.headers["content-length"] == "200"
    last = page.get(f"/media/{MIDDLE}", headers={"Range": "bytes=-5"})
    assert (last.status_code, last.content) == (206, content[-5:])
    behind = page.get(f"/media/{MIDDLE}", headers={"Range": f"bytes={len(content)}-"})
    assert behind.status_code == 416
    assert behind.headers["content-range"] == f"bytes */{len(content)}"


def test_head_tells_the_length(page, made):
    size = (made / "videos" / "middle.mp4").stat().st_size
    answer = page.head(f"/media/{MIDDLE}", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(size)


def test_conditions(page):
    etag = page.head(f"/media/{MIDDLE}").headers["etag"]
    same = page.get(f"/media/{MIDDLE}", headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    part = {"Range": "bytes=0-1", "If-Range": etag}
    assert page.get(f"/media/{MIDDLE}", headers=part).status_code == 206
    other = {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert page.get(f"/media/{MIDDLE}", headers=other).status_code == 200


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no list of open files")
def test_no_answer_leaves_its_file_open(page, made):
    path = made / "videos" / "middle.mp4"
    etag = page.head(f"/media/{MIDDLE}").headers["etag"]
    asked = ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=999999999-"}, {"If-None-Match": etag})
    for headers in asked:
        page.get(f"/media/{MIDDLE}", headers=headers)
    page.get(f"/api/frame/{MIDDLE}/0.4.jpg")
    still_open = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    assert str(path.resolve()) not in still_open


def test_a_frame_that_cannot_be_decoded_is_told(page, monkeypatch):
    def broken(path, threads):
        raise VideoError(f"{path}: oh", reason="corrupt")

    monkeypatch.setattr("pipeline_lib.serving.stills.open_video", broken)
    answer = page.get(f"/api/frame/{MIDDLE}/0.4.jpg")
    assert (answer.status_code, answer.json()["kind"]) == (410, "corrupt")
    assert answer.json()["error"] == "middle.mp4: this frame cannot be decoded."


def test_a_folder_that_was_embedded_again_is_told(own_page, place):
    constant_rate(place / "videos" / "middle.mp4", 61)
    embed(place / "videos", place / "out")
    answer = own_page.get("/api/search", params={"q": "frame 30"})
    assert answer.status_code == 503
    assert answer.json()["hint"] == "Restart `clipline serve`."


def _refused(page, kind, words):
    """All ways to a video tell the same."""
    for path in (f"/media/{MIDDLE}", f"/api/frame/{MIDDLE}/0.4.jpg"):
        answer = page.get(path)
        assert answer.status_code == 410, path
        assert answer.json()["kind"] == kind
        assert words in answer.json()["error"]
        assert answer.json()["hint"]
    found = page.get("/api/search", params={"q": "frame 30"}).json()["videos"]
    assert {video["name"]: (video["problem"] or {}).get("kind") for video in found} == {
        "middle.mp4": kind, "short.mp4": None, "long.mp4": None,
    }  # fmt: skip


def test_a_video_that_is_gone(own_page, place):
    assert own_page.get(f"/media/{MIDDLE}").status_code == 200
    assert own_page.get(f"/api/frame/{MIDDLE}/0.4.jpg").status_code == 200
    (place / "videos" / "middle.mp4").unlink()
    _refused(own_page, "missing", "middle.mp4: the file is gone")


def test_a_video_that_has_changed(own_page, place):
    assert own_page.get(f"/api/frame/{MIDDLE}/0.4.jpg").status_code == 200
    path = constant_rate(place / "videos" / "middle.mp4", 61)
    os.utime(path, (1e9, 1e9))  # settled long ago, so that its hash is remembered
    _refused(own_page, "changed", "has changed since it was embedded")


def test_a_link_out_of_the_folder(place):
    secret = place / "secret.mp4"
    shutil.move(place / "videos" / "middle.mp4", secret)
    (place / "videos" / "middle.mp4").symlink_to(secret)
    with client(opened(place / "out", videos=place / "videos")) as page:
        _refused(page, "outside", "a link that leads out of the folder")
    with client(opened(place / "out", videos=place / "videos", follow_links=True)) as page:
        assert page.get(f"/media/{MIDDLE}").content == secret.read_bytes()
        secret.write_text("root:x:0:0")
        answer = page.get(f"/media/{MIDDLE}")
        assert (answer.status_code, answer.json()["kind"]) == (410, "changed")


def test_a_link_inside_the_folder_and_a_linked_folder(place):
    videos = place / "videos"
    (videos / "kept").mkdir()
    shutil.move(videos / "middle.mp4", videos / "kept" / "m.mp4")
    (videos / "middle.mp4").symlink_to("kept/m.mp4")
    (place / "linked").symlink_to(videos)
    with client(opened(place / "out", videos=place / "linked")) as page:
        assert page.get(f"/media/{MIDDLE}").status_code == 200


@pytest.mark.parametrize("made_by", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file(own_page, place, made_by):
    path = place / "videos" / "middle.mp4"
    path.unlink()
    made_by(path)
    answer = own_page.get(f"/media/{MIDDLE}")
    assert (answer.status_code, answer.json()["kind"]) == (410, "missing")


def test_videos_at_another_place(place):
    shutil.move(place / "videos", place / "moved")
    with client(opened(place / "out", videos=place / "moved")) as page:
        assert page.get("/media/0").status_code == 200
    with pytest.raises(DataError, match=r"videos: no such folder of videos"):
        opened(place / "out", videos=place / "videos")


def test_remembered_hashes_are_kept_between_runs(place):
    cache = place / "hashes.json"
    for path in (place / "videos").iterdir():
        os.utime(path, (1e9, 1e9))
    with client(opened(place / "out", videos=place / "videos", hashes=cache)) as page:
        assert page.get("/media/0").status_code == 200
    assert "long.mp4" in cache.read_text()
