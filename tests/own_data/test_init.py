import subprocess
import unicodedata
from pathlib import Path

import pytest

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.own_data.findings import Findings
from pipeline_lib.params_file import load_params
from tests.own_data.folders import (
    HEADER,
    PARAMS,
    captions,
    classes,
    init,
    kinds,
    project,
    questions,
    said,
    table,
    video,
)
from tests.support.video_files import constant_rate, garbage

pytestmark = pytest.mark.usefixtures("in_a_folder")


def test_the_projects_layout_is_taken_as_it_is():
    outcome = init(project(Path("own"), fall=5, normal=5))
    outcome.raise_problems()
    assert kinds(outcome, "error") == kinds(outcome, "warning") == []
    params = load_params(Path("params.yaml"))
    assert params.data.root == "own"
    assert outcome.found.numbers["train"]["classes"] == {"fall": 5, "normal": 5}
    assert outcome.found.numbers["train"]["events"] == 5
    assert [target.ready for target in outcome.targets] == [True, False, False, True]
    assert "needs qa.json" in said(outcome)


def test_keys_that_named_the_demos_data_are_pointed_to_ones_own_and_comments_stay():
    init(project(Path("own"), fall=5, normal=5))
    params = load_params(Path("params.yaml"))
    assert params.train.tempme_stop.dataset.annotations == "own/captions.json"
    assert params.train.tempme_stop.dataset.videos == "own/videos"
    assert params.train.videomamba.dataset.videos == "own/videos"
    text = Path("params.yaml").read_text()
    assert "root: own" in text
    assert text.count("#") == PARAMS.count("#")
    assert "data/demo/" not in text


def test_only_keys_that_change_are_in_the_diff_and_a_second_run_changes_nothing():
    first = init(project(Path("own"), fall=5, normal=5))
    assert len([line for line in first.edit.diff() if line.startswith("+ ")]) == 4
    again = init(Path("own"))
    assert again.edit.changes == {}
    assert "fits as it is" in said(again)


def test_the_old_parameters_are_kept_unless_git_has_them():
    outcome = init(project(Path("own"), fall=5, normal=5))
    assert outcome.old_copy is not None
    assert outcome.old_copy.read_text() == PARAMS
    Path("params.yaml").write_text(PARAMS)
    assert init(Path("own")).old_copy == Path("params.yaml.old2")
    Path("params.yaml").write_text(PARAMS)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    outcome = init(Path("own"))
    assert outcome.old_copy is None
    assert "git diff params.yaml" in said(outcome)


def test_a_dry_run_writes_nothing():
    classes(Path("mine"), fall=6, normal=6)
    table(Path("mine"), "fall", "fall_0,1,2")
    outcome = init(Path("mine"), Path("own"), dry_run=True)
    outcome.raise_problems()
    assert Path("params.yaml").read_text() == PARAMS
    assert not Path("own").exists()
    assert "would change" in said(outcome)


def test_classes_without_splits_have_to_be_built():
    classes(Path("mine"), fall=6, normal=6)
    table(Path("mine"), "fall", "fall_0,1,2")
    outcome = init(Path("mine"))
    with pytest.raises(DataError, match="not the layout") as caught:
        outcome.raise_problems()
    assert "--into data/own" in caught.value.hint
    assert Path("params.yaml").read_text() == PARAMS


def test_one_recording_in_two_splits_is_an_error():
    folder = project(Path("own"), fall=5, normal=5)
    video(folder / "videos/train/fall/twin.mp4", 99)
    video(folder / "videos/test/fall/other.mp4", 99)
    outcome = init(folder)
    assert kinds(outcome, "error") == ["leak"]
    assert "train" in said(outcome)
    with pytest.raises(DataError, match="1 error to be mended"):
        outcome.raise_problems()
    assert Path("params.yaml").read_text() == PARAMS
    assert init(folder, force=True).written


def test_one_recording_in_two_classes_is_an_error():
    folder = project(Path("own"), fall=5, normal=5)
    for name in ("fall", "normal"):
        video(folder / "videos/train" / name / f"twin_{name}.mp4", 99)
    table(folder, "fall", "twin_fall,1,2")
    outcome = init(folder)
    assert kinds(outcome, "error") == ["two_classes"]
    assert "in the classes fall and normal" in said(outcome)


def test_splits_called_otherwise_and_a_missing_val():
    for split in ("Training", "testing"):
        for name in ("fall", "normal"):
            for number in range(8):
                frames = 40 + number + 10 * (name == "fall") + 20 * (split == "testing")
                video(Path("mine", split, name, f"{split}{number}.mp4"), frames)
    table(Path("mine"), "fall", "Training1,1,2")
    outcome = init(Path("mine"), Path("own"))
    outcome.raise_problems()
    counts = {s: outcome.found.numbers[s]["videos"] for s in ("train", "val", "test")}
    assert counts == {"train": 14, "val": 2, "test": 16}


def test_a_flat_folder_takes_its_classes_from_tables_and_the_rest_is_normal():
    for number in range(12):
        video(Path(f"mine/clip{number}.mp4"), 40 + number)
    rows = "".join(f"clip{n}.mp4,1,2,{'fall' if n < 4 else 'fire'}\n" for n in range(8))
    Path("mine/events.csv").write_text("file_name,start_time,end_time,class\n" + rows)
    outcome = init(Path("mine"), Path("own"))
    outcome.raise_problems()
    assert outcome.found.classes == ("fall", "fire", "normal")
    assert {p.name for p in Path("own/annotations").iterdir()} == {
        "fall_timestamp.csv", "fire_timestamp.csv",
    }  # fmt: skip
    assert "4 videos that no table names" in said(outcome)


def test_a_video_with_events_of_two_classes_is_an_error():
    for number in range(6):
        video(Path(f"mine/clip{number}.mp4"), 40 + number)
    table(Path("mine"), "fall", "clip0,1,2")
    table(Path("mine"), "fire", "clip0,2,3", "clip1,2,3")
    outcome = init(Path("mine"), Path("own"))
    assert "two_classes" in kinds(outcome, "error")
    assert "fall_timestamp.csv:2" in said(outcome)


def test_broken_videos_are_named_and_can_be_left_out():
    folder = project(Path("own"), fall=5, normal=5)
    train = folder / "videos/train/fall"
    garbage(train / "noise.mp4")
    (train / "empty.mp4").write_bytes(b"")
    whole = video(train / "x.mp4", 90).read_bytes()
    (train / "x.mp4").write_bytes(whole[: len(whole) - 900])
    (train / "dead.mp4").symlink_to("/nowhere.mp4")
    outcome = init(folder)
    broken = {"unreadable", "empty", "missing"}
    assert broken <= set(kinds(outcome, "error"))
    assert len(outcome.found.broken) == 4
    outcome = init(folder, exclude_broken=True)
    outcome.raise_problems()
    assert sorted(load_params(Path("params.yaml")).data.exclude) == [
        "train/fall/dead.mp4", "train/fall/empty.mp4", "train/fall/noise.mp4", "train/fall/x.mp4",
    ]  # fmt: skip
    again = init(folder)
    assert kinds(again, "error") == []
    assert again.edit.changes == {}


def test_an_event_of_a_broken_video_is_not_told_a_second_time():
    folder = project(Path("own"), fall=5, normal=5)
    garbage(folder / "videos/train/fall/noise.mp4")
    table(folder, "fall", "noise,1,2", *(f"{s}_{n},1,2" for s in ("train", "val", "test")
                                         for n in range(5)))  # fmt: skip
    assert kinds(init(folder, exclude_broken=True), "warning") == ["unreadable"]


def test_the_length_of_a_container_that_does_not_tell_it():
    folder = project(Path("own"), fall=5, normal=5)
    before = init(folder).found.numbers["train"]["windows"]
    constant_rate(folder / "videos/train/normal/long.mkv", 100, 10)
    outcome = init(folder)
    assert kinds(outcome, "error") == []
    assert outcome.found.numbers["train"]["windows"] > before


def test_events_may_stand_in_any_order():
    folder = project(Path("own"), fall=5, normal=5)
    table(folder, "fall", "train_0,3,4", "train_0,1,2")
    outcome = init(folder)
    assert "overlap" not in kinds(outcome, "warning")
    assert [entry.times for entry in outcome.found.rows["train/fall/train_0"]] == [(1, 2), (3, 4)]


def test_annotations_are_checked_row_by_row():
    folder = project(Path("own"), fall=5, normal=5)
    table(
        folder, "fall", "train_0,1,2", "train_1,3,2", "train_2,soon,2", "train_3,50,60",
        "train_4,2,9", "train_0,1.5,3", "val_O,1,2", "nobody,1,2",
    )  # fmt: skip
    table(folder, "fal", "train_0,1,2")
    outcome = init(folder)
    text = said(outcome)
    assert sorted(kinds(outcome, "error")) == ["beyond_end", "class", "row", "row"]
    for line in (
        "fall_timestamp.csv:3: end_time '2' is not after",
        "fall_timestamp.csv:4: start_time 'soon' is not a time",
        "fall_timestamp.csv:5: [50, 60) s starts after the end of train/fall/train_3",
        "fall_timestamp.csv:6: [2, 9) s ends after train/fall/train_4",
        "fall_timestamp.csv:7: overlaps with line 2",
        "fall_timestamp.csv:8: no video 'val_O' of class 'fall'. Is 'val_",
        "fal_timestamp.csv:2: there is no class 'fal'. Did you mean 'fall'?",
        "val_0.mp4: has no annotated event",
    ):
        assert line in text


def test_a_table_saved_by_a_spreadsheet_with_semicolons():
    folder = project(Path("own"), fall=5, normal=5)
    path = table(folder, "fall")
    path.write_text(HEADER.replace(",", ";") + "train_0;1;2\n")
    outcome = init(folder)
    assert "Separate the fields with commas" in said(outcome)
    path.write_text(HEADER + "train_0,1,2\r\n", encoding="utf-8-sig")
    assert kinds(init(folder), "error") == []


def test_classes_that_cannot_be_learned_or_measured():
    folder = project(Path("own"), fall=2, normal=5)
    video(folder / "videos/test/fal/odd.mp4", 80)
    (folder / "videos/val/fall/val_0.mp4").unlink()
    (folder / "videos/val/fall/val_1.mp4").unlink()
    outcome = init(folder)
    text = said(outcome)
    assert "test/fal: this class is not in train. Did you mean 'fall'?" in text
    assert "val: no video of fall" in text
    assert "class 'fall' has 2 training videos" in text


def test_names_that_are_one_after_normalisation_or_but_for_the_suffix():
    folder = project(Path("own"), fall=5, normal=5)
    for form in ("NFC", "NFD"):
        video(folder / "videos/train/fall" / unicodedata.normalize(form, "é.mp4"), 88)
    (folder / "videos/train/normal/TRAIN_0.mkv").write_bytes(
        (folder / "videos/train/normal/train_0.mp4").read_bytes()
    )
    found = kinds(init(folder), "error")
    assert "spelling" in found
    assert "same_stem" in found


def test_what_is_skipped_is_said():
    folder = project(Path("own"), fall=5, normal=5)
    (folder / "videos/train/fall/._a.mp4").write_bytes(b"x")
    (folder / "videos/train/fall/a.vob").write_bytes(b"x")
    elsewhere = classes(Path("elsewhere"), x=1).resolve()
    (folder / "videos/train/linked").symlink_to(elsewhere)
    outcome = init(folder)
    assert "suffix" in kinds(outcome, "warning")
    assert "linked_folder" in kinds(outcome, "warning")
    assert "hidden" in kinds(outcome, "note")


def test_questions_and_captions_are_read_by_their_own_readers():
    folder = project(Path("own"), fall=5, normal=5)
    questions(folder, "train/fall/train_0.mp4", "val/fall/val_0.mp4", "gone.mp4")
    captions(folder, "train/fall/train_0.mp4", "nowhere/x.mp4")
    outcome = init(folder)
    assert "qa.json:1: video_path 'gone.mp4' is no video" in said(outcome)
    assert "captions" in kinds(outcome, "error")
    questions(folder, "train/fall/train_0.mp4", "val/fall/val_0.mp4")
    captions(folder, "train/fall/train_0.mp4", "test/fall/test_0.mp4")
    outcome = init(folder)
    assert [target.ready for target in outcome.targets] == [True] * 4


def test_the_normal_class_is_found_or_has_to_be_named():
    folder = project(Path("own"), fall=5, Normal=5)
    (folder / "annotations/Normal_timestamp.csv").unlink()
    init(folder)
    assert load_params(Path("params.yaml")).train.normal_class == "Normal"
    folder = project(Path("other"), fall=5, calm=5)
    assert "normal" in kinds(init(folder), "warning")
    (folder / "annotations/calm_timestamp.csv").unlink()
    outcome = init(folder, normal_class="calm")
    assert kinds(outcome, "warning") == []
    assert load_params(Path("params.yaml")).train.normal_class == "calm"
    with pytest.raises(ConfigError, match="calmm"):
        init(folder, normal_class="calmm")


def test_another_clip_takes_the_demos_values_along():
    folder = project(Path("own"), fall=5, normal=5)
    init(folder, clip="ViT-B-32-quickgelu:openai")
    params = load_params(Path("params.yaml"))
    assert (params.extract.clip.model, params.extract.clip.weights) == (
        "ViT-B-32-quickgelu", "openai",
    )  # fmt: skip
    assert params.mine.threshold == 0.95
    with pytest.raises(ConfigError, match="open_clip has no model 'ViT-B-33'"):
        init(folder, clip="ViT-B-33:openai")
    with pytest.raises(ConfigError, match="not MODEL:WEIGHTS"):
        init(folder, clip="ViT-B-32")


def test_values_of_ones_own_stay_when_the_clip_changes():
    Path("params.yaml").write_text(PARAMS.replace("0.85", "0.9"))
    init(project(Path("own"), fall=5, normal=5), clip="ViT-B-32-quickgelu:openai")
    assert load_params(Path("params.yaml")).mine.threshold == 0.9


def test_run_together_class_names_become_words():
    init(project(Path("own"), RoadAccident=5, normal=5))
    names = load_params(Path("params.yaml")).train.class_names
    assert names == {"RoadAccident": "Road Accident"}


def test_a_folder_without_videos_is_one_clear_error():
    Path("mine").mkdir()
    with pytest.raises(DataError, match="holds no videos"):
        init(Path("mine"))
    with pytest.raises(DataError, match="no such folder"):
        init(Path("gone"))


def test_a_video_without_a_class_folder_is_of_no_class_in_the_projects_layout():
    folder = project(Path("own"), fall=5, normal=5)
    video(folder / "videos/train/loose.mp4", 95)
    table(folder, "fall", "loose,1,2", "train_0,1,2")
    outcome = init(folder)
    assert "outside" in kinds(outcome, "warning")
    assert len(outcome.found.videos) == 30


def test_many_lost_rows_are_counted_and_the_first_are_shown():
    folder = project(Path("own"), fall=5, normal=5)
    table(folder, "fall", "train_0,1,2", *(f"lost_{n},1,2" for n in range(30)))
    outcome = init(folder)
    assert kinds(outcome, "warning").count("no_video") == 30
    assert "and 20 more of the kind 'no_video'" in said(outcome)


def test_each_kind_of_finding_is_counted_by_itself():
    findings = Findings()
    findings.warning("rare", "a", "x")
    for _ in range(16):
        findings.warning("often", "b", "y")
    for _ in range(13):  # met first, and the last to have more than are shown
        findings.warning("rare", "a", "x")
    assert [line.strip() for line in findings.lines() if "more of the kind" in line] == [
        "and 6 more of the kind 'often' (--json lists all)",
        "and 4 more of the kind 'rare' (--json lists all)",
    ]
