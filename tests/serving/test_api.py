import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.retrieval.search import MomentOptions, Searcher
from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from tests.retrieval.number_model import NumberModel
from tests.serving.site import NAMES, client, opened
from tests.support.video_files import read_number


def test_what_is_served(page):
    info = page.get("/api/info").json()
    assert (info["videos"], info["not_embedded"], info["trained"]) == (3, 0, True)
    assert info["duration_s"] == pytest.approx((12 + 60 + 160) / 25)
    assert info["model"] == "numbers"
    assert (info["longest_query"], info["most_videos"], info["most_moments"]) == (500, 50, 12)


def test_a_search_finds_what_retrieve_finds(page, made):
    options = MomentOptions(top_k=2, every_s=None)
    expected = Searcher(NumberModel()).in_folder(made / "out", "frame 30", 2, options)
    answer = page.get("/api/search", params={"q": " frame  30 ", "videos": 2, "moments": 2}).json()
    assert (answer["query"], answer["tokens_cut"]) == ("frame 30", 0)
    assert [video["name"] for video in answer["videos"]] == [one.video.name for one in expected]
    for video, one in zip(answer["videos"], expected, strict=True):
        assert NAMES[video["number"]] == video["name"]
        assert video["score"] == one.video_score
        assert [m["frame"] for m in video["moments"]] == [m.source_frame for m in one.moments]
        assert video["curve"]["scores"] == one.scores.tolist()
        assert video["problem"] is None
    # Of the frames 2, 7, … 57 that were embedded; 17 to 42 lie less than 15.8 degrees off, half
    # way to the lower quartile.
    assert answer["videos"][0]["moments"][0] == {
        "time_s": 1.28, "start_s": 0.6, "end_s": 1.8, "score": pytest.approx(0.99939, abs=1e-5),
        "frame": 32,
    }  # fmt: skip


def test_the_end_of_a_long_query_is_told(page):
    answer = page.get("/api/search", params={"q": "frame 30 and much more"}).json()
    assert answer["tokens_cut"] > 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "query is empty"),
        ({"q": " \t "}, "query is empty"),
        ({"q": "a" * 501}, "has 501 characters; at most 500"),
        ({"q": "frame 1", "videos": "0"}, "videos = '0'"),
        ({"q": "frame 1", "videos": "51"}, "videos = '51'"),
        ({"q": "frame 1", "moments": "many"}, "moments = 'many'"),
    ],
)
def test_what_cannot_be_asked(page, fields, words):
    answer = page.get("/api/search", params=fields)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_moments_below_the_threshold_are_none(made):
    settings = UnifiedModelConfig(similarity_threshold=0.9999)
    with client(opened(made / "out", settings=settings)) as page:
        answer = page.get("/api/search", params={"q": "frame 30"}).json()
    assert [video["moments"] for video in answer["videos"]] == [[], [], []]


def test_a_frame_is_the_one_shown_at_that_time(page):
    answer = page.get("/api/frame/0/1.28.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (256, 96)
    assert read_number(np.asarray(picture)) == 32
    again = page.get("/api/frame/0/1.28.jpg", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/frame/3/0.jpg", 404),
        ("/api/frame/0/6.6.jpg", 404),
        ("/api/frame/0/nan.jpg", 422),
        ("/api/frame/0/inf.jpg", 422),
        ("/api/frame/0/-1.jpg", 422),
        ("/api/frame/-1/0.jpg", 422),
        ("/api/frame/zero/0.jpg", 422),
        ("/api/frame/0/0.png", 404),
        ("/media/3", 404),
        ("/media/-1", 422),
        ("/media/99999999999999999999", 422),
        ("/static/missing.js", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
    ],
)
def test_what_is_not_there(page, path, status):
    answer = page.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_page_and_its_files(page):
    home = page.get("/")
    assert home.headers["content-type"] == "text/html; charset=utf-8"
    for name, kind in (("style.css", "text/css"), ("main.js", "javascript"), ("icon.svg", "svg")):
        assert f"/static/{name}" in home.text
        answer = page.get(f"/static/{name}")
        assert kind in answer.headers["content-type"]
        tag = {"If-None-Match": answer.headers["etag"]}
        assert page.get(f"/static/{name}", headers=tag).status_code == 304
    assert "http" not in home.text  # nothing is loaded from elsewhere


def test_untrained_weights_are_told(tmp_path, made):
    shutil.copytree(made / "out", tmp_path / "out")
    manifest = tmp_path / "out" / "index" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["model"]["trained"] = False
    manifest.write_text(json.dumps(content))
    with client(opened(tmp_path / "out")) as page:
        assert page.get("/api/info").json()["trained"] is False


def test_a_folder_that_is_not_whole_is_told(own_page, place):
    (place / "out" / "frames" / "middle.npz").unlink()
    answer = own_page.get("/api/search", params={"q": "frame 30"})
    assert answer.status_code == 503
    assert "not whole" in answer.json()["error"]


def test_a_bug_is_told_without_its_trace(made):
    site = opened(made / "out")

    def broken() -> None:
        raise RuntimeError("secret")

    site.info = broken
    with client(site, raise_server_exceptions=False) as page:
        answer = page.get("/api/info")
    assert answer.status_code == 500
    assert "bug in Clipline" in answer.json()["error"]
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
