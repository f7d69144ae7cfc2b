import csv
import json
import resource
import shutil
import unicodedata
from pathlib import Path

import pytest

from pipeline_lib.backbones import video_embedding
from pipeline_lib.errors import BatchError, DataError
from pipeline_lib.storage.directories import claimed
from pipeline_lib.storage.hash_cache import HashCache
from pipeline_lib.top_frames.batch import QueryRunner
from pipeline_lib.top_frames.options import ChoiceOptions
from pipeline_lib.top_frames.queries import read_queries
from tests.support.video_files import constant_rate, garbage
from tests.top_frames.number_clip import NumberClip


@pytest.fixture
def videos(tmp_path):
    constant_rate(tmp_path / "videos" / "a.mp4", 50)
    constant_rate(tmp_path / "videos" / "sub" / "b.mp4", 30)
    return tmp_path / "videos"


def query(name, video="a.mp4", caption="frame 20"):
    return {"id": name, "video": video, "caption": caption}


@pytest.fixture
def run(tmp_path, videos):
    def run(content, clip=None, cache=None, **options):
        path = tmp_path / "queries.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        clip = clip or NumberClip()
        out, chosen = tmp_path / "out", ChoiceOptions(fps=25, **options)
        runner = QueryRunner(clip, chosen, videos, out, HashCache(cache))
        return runner.run(read_queries(path))

    return run


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def indices(report, name):
    return [frame["source_index"] for frame in report.records[name]["frames"]]


def test_queries_in_both_formats(run, tmp_path):
    question = {
        "id": 7, "question": "frame 3", "choices": [], "video_path": "sub/b.mp4",
        "support_frames": [1.0],
    }  # fmt: skip
    report = run({"version": 1, "data": [query("one"), question]}, k=2)
    assert indices(report, "one") == [20, 25]
    assert indices(report, "7") == [3, 15]
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert [(r["id"], r["video"], r["caption"]) for r in index["results"]] == [
        ("7", "sub/b.mp4", "frame 3"), ("one", "a.mp4", "frame 20"),
    ]  # fmt: skip
    assert index["failed"] == 0
    before = files(tmp_path / "out")
    assert "one/strip.png" in before
    assert "one/top_01_f000020.png" in before
    assert not [name for name in before if "failures" in name]
    again = run([query("one"), question], k=2)
    assert again.kept == 2
    assert files(tmp_path / "out") == before


def test_a_video_is_decoded_once_for_all_its_captions(run, monkeypatch):
    opened = []
    original = video_embedding.open_video

    def counting(path, **options):
        opened.append(path.name)
        return original(path, **options)

    monkeypatch.setattr(video_embedding, "open_video", counting)
    clip = NumberClip()
    report = run([query(f"q{n}", caption=f"frame {n}") for n in range(6)], clip)
    assert opened == ["a.mp4"]
    assert sum(clip.batches) == 50
    assert [indices(report, f"q{n}")[0] for n in range(6)] == list(range(6))


def test_what_is_done_is_kept_and_what_changed_is_done_again(run, tmp_path, videos):
    queries = [query("a"), query("b", "sub/b.mp4"), query("c", caption="frame 5")]
    cache = tmp_path / "hashes.json"
    assert run(queries, cache=cache).kept == 0
    assert run(queries, cache=cache).kept == 3
    (tmp_path / "out" / "b" / "strip.png").unlink()
    assert run(queries, cache=cache).kept == 2
    constant_rate(videos / "sub" / "b.mp4", 31)
    assert run(queries, cache=cache).kept == 2
    queries[2]["caption"] = "frame 6"
    assert run(queries, cache=cache).kept == 2
    assert run(queries, NumberClip(version=2)).kept == 0
    assert run(queries, NumberClip(version=2), k=3).kept == 0
    report = run(queries, NumberClip(version=2), k=3)
    assert report.kept == 3
    assert indices(report, "c") == [6, 16, 33]


def test_a_second_run_at_the_same_time_is_refused(run, tmp_path):
    out = tmp_path / "out"
    with claimed(out, out), pytest.raises(DataError, match="out: another run is at work on it"):
        run([query("a")])
    assert list(out.iterdir()) == []


def test_more_queries_of_a_video_than_a_process_may_open_files(run):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Whatever the tests before this one have left open in this process.
    used = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, before[1]))
    try:
        report = run([query(f"q{number}") for number in range(80)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(report.records) == 80


def test_results_do_not_depend_on_the_other_queries(run, tmp_path):
    run([query("a"), query("b", caption="frame 3"), query("c", "sub/b.mp4")])
    together = files(tmp_path / "out" / "b")
    shutil.rmtree(tmp_path / "out")
    run([query("b", caption="frame 3")])
    assert files(tmp_path / "out" / "b") == together


def test_failures_are_listed_and_the_others_done(run, tmp_path, videos):
    garbage(videos / "bad.mp4")
    queries = [
        query("good"),
        query("gone", "nope.mp4"),
        query("bad", "bad.mp4"),
        query("up", "../a.mp4"),
        query("blank", caption=" "),
        query("Twice"),
        query("twice"),
        query("con"),
        query("index.json"),
        {"id": "bare"},
        3,
    ]
    report = run(queries)
    assert list(report.records) == ["good"]
    with (tmp_path / "out" / "failures.csv").open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "gone": "missing", "bad": "unreadable", "up": "bad_query", "blank": "bad_query",
        "Twice": "repeated_id", "twice": "repeated_id", "con": "bad_query",
        "index.json": "bad_query", "bare": "bad_query", "": "bad_query",
    }  # fmt: skip
    assert (
        "queries.json:1: query 'bare': video is missing; caption is missing"
        in (rows["bare"]["message"])
    )
    assert "leaves its folder" in rows["up"]["message"]
    assert "caption is blank" in rows["blank"]["message"]
    with pytest.raises(BatchError, match="10 of 11 queries have no frames"):
        report.raise_failures(tmp_path / "out")
    assert run(queries[:1]).failures == []
    assert not (tmp_path / "out" / "failures.csv").exists()


def test_a_query_that_fails_now_has_no_old_results(run, tmp_path, videos):
    run([query("a"), query("b", "sub/b.mp4")])
    (videos / "sub" / "b.mp4").unlink()
    report = run([query("a"), query("b", "sub/b.mp4")])
    assert (report.kept, len(report.failures)) == (1, 1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a", "failures.csv", "index.json",
    ]  # fmt: skip


def test_an_id_that_leads_out_of_the_results_removes_nothing(run, tmp_path):
    run([query("a")])
    (tmp_path / "out" / "a").rename(tmp_path / "kept")
    outside = [query("../kept"), query(str(tmp_path / "kept"))]
    assert len(run([query("b"), *outside]).failures) == 2
    assert (tmp_path / "kept" / "frames.json").is_file()


def test_names_in_another_unicode_form_are_found(run, videos):
    constant_rate(videos / unicodedata.normalize("NFD", "é.mp4"), 10)
    report = run([query("a", unicodedata.normalize("NFC", "é.mp4"), "frame 2")], k=1)
    assert indices(report, "a") == [2]


@pytest.mark.parametrize("name", ["notes.txt", "folder/notes.txt", "folder/strip.png"])
def test_a_folder_with_something_else_stays(run, tmp_path, name):
    foreign = tmp_path / "out" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    with pytest.raises(DataError, match="did not make"):
        run([query("a")])
    assert foreign.read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not valid JSON"),
        ('[{"id": "a"},\n {"id" "b"}]', r"q\.json:2: not valid JSON"),
        ('"text"', "holds no list of queries"),
        ('{"queries": []}', "holds no list of queries"),
        ('{"data": 3}', "holds no list of queries"),
        ("[]", "list of queries is empty"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_files_that_hold_no_queries(tmp_path, content, words):
    path = tmp_path / "q.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=words):
        read_queries(path)
    with pytest.raises(DataError, match="No file of queries"):
        read_queries(tmp_path / "other.json")
