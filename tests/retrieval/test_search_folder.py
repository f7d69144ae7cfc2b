import shutil

import pytest

from pipeline_lib.errors import DataError, VideoError, WeightsError
from pipeline_lib.retrieval.command import RetrieveReport
from pipeline_lib.retrieval.search import Found, MomentOptions, Searcher
from tests.retrieval.number_model import NumberModel
from tests.retrieval.test_embed import embed
from tests.support.video_files import constant_rate

OPTIONS = MomentOptions(top_k=2, segments=8, every_s=None)


@pytest.fixture
def folder(tmp_path):
    for name, frames in (("short", 12), ("middle", 60), ("long", 160)):
        constant_rate(tmp_path / "videos" / f"{name}.mp4", frames)
    embed(tmp_path / "videos", tmp_path / "out")
    return tmp_path / "out"


def test_the_best_videos_with_their_moments(folder):
    model = NumberModel()
    found = Searcher(model).in_folder(folder, "frame 30", 2, OPTIONS)
    assert [one.video.name for one in found] == ["middle.mp4", "short.mp4"]
    assert found[0].video_score > found[1].video_score
    assert found[0].moments[0].source_frame == 32  # of the frames 2, 7, … 57 that were seen
    assert model.seen == []
    alone = Searcher(NumberModel()).in_video(found[0].video, "frame 30", OPTIONS)
    assert alone.moments == found[0].moments
    assert alone.video_score == found[0].video_score


def test_all_videos_where_more_are_wanted(folder):
    assert len(Searcher(NumberModel()).in_folder(folder, "frame 1", 10, OPTIONS)) == 3


def test_frames_all_along_the_videos_of_a_folder(folder, tmp_path):
    options = MomentOptions(top_k=1, segments=8, every_s=0.08)
    kept = Searcher(NumberModel()).in_folder(folder, "frame 31", 3, OPTIONS)
    shutil.move(tmp_path / "videos" / "short.mp4", tmp_path / "elsewhere.mp4")
    dense = Searcher(NumberModel()).in_folder(folder, "frame 31", 3, options)
    assert [one.video.name for one in dense if isinstance(one, Found)] == ["middle.mp4", "long.mp4"]
    [gone] = [one for one in dense if not isinstance(one, Found)]
    assert "short.mp4: no such file" in gone["error"]
    assert dense[0].video_score == kept[0].video_score
    # The frames that embed kept are 2, 7, … 57; now there is one of every two.
    assert kept[0].moments[0].source_frame == 32
    assert abs(dense[0].moments[0].source_frame - 31) <= 1
    assert len(dense[0].scores) == 36


def test_another_model_is_refused(folder):
    with pytest.raises(WeightsError, match="embedded by another model"):
        Searcher(NumberModel(version=2)).in_folder(folder, "frame 1", 1, OPTIONS)


def test_only_pictures_need_the_videos(folder, tmp_path):
    shutil.move(tmp_path / "videos" / "middle.mp4", tmp_path / "elsewhere.mp4")
    found = Searcher(NumberModel()).in_folder(folder, "frame 30", 3, OPTIONS)
    results = [one.as_dict() for one in found]
    report = RetrieveReport(results, dict(enumerate(found)), 8, many=True)
    report.save(tmp_path / "results")
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == ["results.json", "strip_02.png", "strip_03.png"]
    assert len(report.faults) == 1
    assert "middle.mp4: no such file" in report.faults[0]
    constant_rate(tmp_path / "videos" / "middle.mp4", 61)
    again = RetrieveReport(results, dict(enumerate(found)), 8, many=True)
    again.save(tmp_path / "results")
    assert "not the file that was embedded" in again.faults[0]


def test_pictures_are_the_same_every_time(folder, tmp_path):
    for name in ("first", "second"):
        found = Searcher(NumberModel()).in_folder(folder, "frame 30", 1, OPTIONS)
        RetrieveReport([found[0].as_dict()], {0: found[0]}, 8, many=False).save(tmp_path / name)
    first, second = tmp_path / "first" / "strip_01.png", tmp_path / "second" / "strip_01.png"
    assert first.read_bytes() == second.read_bytes()


def test_results_replace_only_results(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("…")
    with pytest.raises(DataError, match=r"holds 'thesis.tex', which retrieve did not make"):
        RetrieveReport([], {}, 8, many=True).save(tmp_path / "mine")


def test_a_folder_that_is_not_whole(folder):
    (folder / "frames" / "middle.npz").unlink()
    with pytest.raises(DataError, match="not whole"):
        Searcher(NumberModel()).in_folder(folder, "frame 30", 1, OPTIONS)
    (folder / "index" / "videos.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"videos.parquet: not a readable parquet"):
        Searcher(NumberModel()).in_folder(folder, "frame 30", 1, OPTIONS)
    (folder / "index" / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest.json: not readable"):
        Searcher(NumberModel()).in_folder(folder, "frame 30", 1, OPTIONS)
    with pytest.raises(DataError, match="holds no embeddings"):
        Searcher(NumberModel()).in_folder(folder / "frames", "frame 30", 1, OPTIONS)


def test_a_damaged_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match="0 bytes"):
        Searcher(NumberModel()).in_video(tmp_path / "a.mp4", "frame 1", OPTIONS)
