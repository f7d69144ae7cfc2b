import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_lib.config import DataConfig, EvaluateConfig, Params, TrainSection
from pipeline_lib.datasets.index_tables import read_event_table, read_windows
from pipeline_lib.errors import DataError
from pipeline_lib.storage.features import write_manifest
from pipeline_lib.windowing import Places, write_windows
from tests.datasets.test_window_table import manifest

ROOT = Path(__file__).parent.parent
HEADER = "file_name,start_time,end_time\n"
VIDEOS = {
    "train/fall/a": 20,
    "train/fall/b": 10,
    "train/normal/n": 5,
    "val/fall/v": 6,
    "test/normal/t": 4,
}


class Project:
    """A data root with annotations, beside the features of its videos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = Places(
            table=folder / "windows.parquet",
            events=folder / "events.parquet",
            metrics=folder / "m.json",
            timelines=folder / "timelines",
        )

    def features(self, rows: dict[str, int], **times: float) -> None:
        write_manifest(self.folder / "features/clip", manifest(rows, **times))

    def annotate(self, **tables: str) -> None:
        folder = self.folder / "data/annotations"
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            (folder / f"{name}_timestamp.csv").write_text(HEADER + rows, encoding="utf-8")

    def run(self, timelines: int = 200, **train) -> str:
        params = Params(
            data=DataConfig(root=str(self.folder / "data")),
            train=TrainSection(**train),
            evaluate=EvaluateConfig(timelines=timelines),
        )
        return write_windows(params, self.folder / "features", self.places)

    def counts(self) -> dict:
        return json.loads(self.places.metrics.read_text())


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.features(VIDEOS)
    return made


def test_without_training_videos_there_are_windows_to_measure(project):
    project.features({"test/fall/a": 3, "test/normal/b": 2})
    assert "5 windows of 2 videos, 5 kept" in project.run(strict_normal_sampling=False)


def test_everything_is_written(project):
    project.annotate(fall="a.mp4,5,8\na.mp4,12,15\nb,0:02,0:04\nv,1,2\nlost,1,2\n")
    said = project.run()
    table = read_windows(project.places.table)
    assert len(table) == 45
    assert f"windows.parquet: 45 windows of 5 videos, {table['kept'].sum()} kept" in said
    counts = project.counts()
    assert counts["unmatched_rows"] == 1
    assert counts["train"]["events"] == 3
    assert counts["train"]["kept_per_label"] == {"fall": 6 + 2, "normal": 5 + 2 + 5}
    assert counts["train"]["dropped"]["after_first_event"] == 9 + 6
    assert counts["val"]["kept_per_label"] == {"fall": 1, "normal": 5}
    assert sorted(path.name for path in project.places.timelines.iterdir()) == [
        "test__normal__t.png",
        "train__fall__a.png",
        "train__fall__b.png",
        "train__normal__n.png",
        "val__fall__v.png",
    ]


def test_the_events_are_kept_as_they_labelled(project):
    project.annotate(fall="b,3,4\na,12,15\na,5,7\na,7,8\nb,9,12\nv,60,61\n", normal="n,1,2\n")
    project.run()
    table = read_event_table(project.places.events)
    # Merged, sorted, cut at the end of the video; none beyond it, none of the normal class.
    assert table.to_numpy().tolist() == [
        ["train/fall/a", 5.0, 8.0],
        ["train/fall/a", 12.0, 15.0],
        ["train/fall/b", 3.0, 4.0],
        ["train/fall/b", 9.0, 10.0],
    ]


def test_events_end_where_shifted_rows_end(project, caplog):
    project.features(VIDEOS, offset_s=-1.0)
    project.annotate(fall="a,5,8\nb,8.5,9.5\nv,5,6\n")
    project.run()
    # The ten rows of b end at 9 s, the six of v at 5 s.
    assert read_event_table(project.places.events).to_numpy().tolist() == [
        ["train/fall/a", 5.0, 8.0],
        ["train/fall/b", 8.5, 9.0],
    ]
    assert "train/fall/b [8.5, 9.5) s in 9 s of video" in caplog.text
    table = read_windows(project.places.table)
    assert table["start_s"].min() == -1.0
    assert table.loc[table["overlaps_event"], "start_s"].tolist() == [5, 6, 7, 8]


def test_an_event_before_the_first_row_is_said(project, caplog):
    project.features(VIDEOS, offset_s=3.0)
    project.annotate(fall="a,5,8\nb,1,3\nv,1,3.5\n")
    project.run()
    said = "1 videos have an event that ends before their first row starts, at 3 s"
    assert f"{said}; no window shows it. First: train/fall/b." in caplog.text


def test_no_events_are_a_table_too(project):
    project.features({"train/normal/a": 3})
    project.run()
    table = read_event_table(project.places.events)
    assert table.empty
    assert [str(kind) for kind in table.dtypes] == ["str", "float64", "float64"]


def test_at_most_so_many_timelines_are_drawn(project, caplog):
    project.annotate(fall="a,5,8\nb,2,4\nv,1,2\n")
    with caplog.at_level("INFO"):
        said = project.run(timelines=3)
    assert sorted(path.name for path in project.places.timelines.iterdir()) == [
        "test__normal__t.png", "train__fall__b.png", "val__fall__v.png",
    ]  # fmt: skip
    assert "timelines: 3 timelines" in said
    assert "3 of 5 videos are drawn (evaluate.timelines)" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        assert "0 timelines" in project.run(timelines=0)
        assert list(project.places.timelines.iterdir()) == []
        project.run(timelines=5)
    assert "5 of 5" not in caplog.text


def outputs(folder: Path) -> dict[str, bytes]:
    files = [folder / name for name in ("windows.parquet", "events.parquet", "m.json")]
    found = [*files, *(folder / "timelines").iterdir()]
    return {path.name: path.read_bytes() for path in found}


def test_a_second_run_writes_the_same_bytes_and_nothing_stale(project):
    project.annotate(fall="a,5,8\nb,2,4\nv,1,2\n")
    project.features({**VIDEOS, "train/fall/gone": 3})
    project.run()
    assert "train__fall__gone.png" in outputs(project.folder)
    project.features(VIDEOS)
    project.run()
    first = outputs(project.folder)
    assert "train__fall__gone.png" not in first
    project.run()
    assert outputs(project.folder) == first


def test_unannotated_videos_are_said(project, caplog):
    project.annotate(fall="a,5,8\n")
    project.run()
    assert "2 videos have no annotated event; all their windows carry their class" in caplog.text
    assert "train/fall/b, val/fall/v" in caplog.text
    assert project.counts()["train"]["unannotated_videos"] == 1


@pytest.mark.parametrize("empty", [True, False])
def test_annotations_are_needed_for_the_strict_rule(project, empty, caplog):
    if empty:
        project.annotate()
    with pytest.raises(DataError, match=r"annotation folder") as caught:
        project.run()
    assert "strict_normal_sampling" in caught.value.hint
    project.run(strict_normal_sampling=False)
    assert "every window is of its video's class" in caplog.text
    assert project.counts()["train"]["kept_per_label"] == {"fall": 30, "normal": 5}


def test_only_a_normal_class_needs_no_annotations(project):
    project.features({"train/normal/a": 3, "val/normal/b": 2})
    project.run()
    assert project.counts()["train"]["kept_per_label"] == {"normal": 3}


def test_annotations_of_the_normal_class_are_ignored_aloud(project, caplog):
    project.annotate(normal="n,1,2\n", fall="a,5,8\n")
    project.run()
    assert "is ignored: videos of the normal class 'normal' have no events" in caplog.text
    assert project.counts()["train"]["kept_per_label"]["normal"] == 5 + 5
    assert project.counts()["unmatched_rows"] == 0


def test_no_normal_class_is_said(project, caplog):
    project.annotate(fall="a,5,8\nb,2,4\n")
    project.features({"train/fall/a": 20, "train/normale/n": 5})
    project.run()
    assert "normal_class 'normal' is no class" in caplog.text
    assert "Did you mean 'normale'?" in caplog.text
    assert project.counts()["train"]["dropped"]["no_normal_class"] == 5
    assert project.counts()["settings"]["normal_class"] is None


def test_videos_outside_the_splits_are_said(project, caplog):
    project.annotate(fall="a,5,8\n")
    project.features({**VIDEOS, "qa/x": 3})
    project.run()
    assert "1 videos lie outside {train,val,test}/{class}/" in caplog.text


def test_no_training_window_kept(project):
    project.annotate(fall="a,5,8\nb,5,8\n")
    with pytest.raises(
        DataError, match=r"3 of them shorter than one window; dropped: none"
    ) as caught:
        project.run(unit_duration=50)
    assert "train.unit_duration = 50" in caught.value.hint
    project.features({"train/fall/x": 2})
    with pytest.raises(DataError, match=r"2 windows of 1 videos, 0 .* dropped: 2 unannotated"):
        project.run(unannotated="skip")
    assert not project.places.table.exists()


def test_a_class_missing_from_val_keeps_the_training_classes(project):
    project.features({"train/a/1": 2, "train/b/1": 2, "val/b/1": 2})
    project.annotate(a="1,0,1\n", b="1,0,1\n")
    project.run()
    assert list(project.counts()["val"]["kept_per_label"]) == ["a", "b"]
    assert project.counts()["val"]["kept_per_label"] == {"a": 0, "b": 1}


def test_the_stage(project, tmp_path):
    project.annotate(fall="a,5,8\nb,2,4\nv,1,2\n")
    write_manifest(tmp_path / "data/features/clip", manifest(VIDEOS))
    (tmp_path / "params.yaml").write_text("data: {root: data}\n")
    command = [sys.executable, str(ROOT / "stages/annotate_filter.py")]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "wrote data/index/windows.parquet: 45 windows of 5 videos" in done.stdout
    assert "wrote data/index/events.parquet" in done.stdout
    assert "metrics/plots/timelines: 5 timelines" in done.stdout
    project.annotate(fall="a,5,-\n")
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert "row 2: end_time '-' is blank" in done.stderr
