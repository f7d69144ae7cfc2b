import json
from pathlib import Path

import pytest

from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.own_data import building
from tests.own_data.folders import (
    captions,
    classes,
    init,
    kinds,
    questions,
    said,
    table,
    video,
)

pytestmark = pytest.mark.usefixtures("in_a_folder")


def test_building_links_every_video_and_writes_one_table_a_class():
    classes(Path("mine/videos"), fall=10, normal=10)
    table(Path("mine"), "fall", *(f"fall_{n}.mp4,00:01,2.5" for n in range(10)))
    questions(Path("mine"), "fall/fall_1.mp4", "normal_2.mp4")
    captions(Path("mine"), "videos/fall/fall_1.mp4")
    outcome = init(Path("mine"), Path("own"))
    outcome.raise_problems()
    assert outcome.built.hard == 20
    counts = {split: outcome.found.numbers[split]["classes"] for split in ("train", "val", "test")}
    assert counts["train"] == {"fall": 7, "normal": 7}
    assert sum(sum(counted.values()) for counted in counts.values()) == 20
    for found in outcome.found.videos:
        assert Path("own/videos", found.place).samefile(found.path)
    lines = Path("own/annotations/fall_timestamp.csv").read_text().splitlines()
    assert lines[:2] == ["file_name,start_time,end_time", "fall_0,1,2.5"]
    place = {found.relative: found.place for found in outcome.found.videos}
    items = json.loads(Path("own/qa.json").read_text())["data"]
    assert [item["video_path"] for item in items] == [
        place["fall/fall_1.mp4"], place["normal/normal_2.mp4"],
    ]  # fmt: skip
    (item,) = json.loads(Path("own/captions.json").read_text())
    assert item["video_path"] == place["fall/fall_1.mp4"]
    assert Path("own/.gitignore").read_text() == "/videos/\n"


def test_building_again_changes_nothing_and_another_plan_is_refused():
    classes(Path("mine"), fall=6, normal=6)
    table(Path("mine"), "fall", "fall_0,1,2")
    init(Path("mine"), Path("own"))
    before = sorted(Path("own").rglob("*"))
    again = init(Path("mine"), Path("own"))
    assert (again.built.hard, again.built.kept) == (0, 12)
    assert sorted(Path("own").rglob("*")) == before
    with pytest.raises(DataError, match="holds what this run would not make"):
        init(Path("mine"), Path("own"), seed=2)


def test_what_was_edited_or_put_into_a_layout_is_not_written_over():
    classes(Path("mine"), fall=6, normal=6)
    table(Path("mine"), "fall", "fall_0,1,2")
    built = init(Path("mine"), Path("own"))
    edited = Path("own/annotations/fall_timestamp.csv")
    text = edited.read_text()
    edited.write_text(text + "fall_1,1,2\n")
    with pytest.raises(DataError, match=r"would not make: own/annotations/fall_timestamp\.csv"):
        init(Path("mine"), Path("own"))
    edited.write_text(text)
    other = Path("own/videos", built.found.videos[0].place)
    other.unlink()
    video(other, 99)
    with pytest.raises(DataError, match=f"would not make: {other}"):
        init(Path("mine"), Path("own"))


def test_a_disk_that_takes_no_links_at_all_is_told(monkeypatch):
    def refuse(source, target):
        raise OSError(building.errno.ENOSPC, "No space left on device", target)

    monkeypatch.setattr(building.os, "link", refuse)
    classes(Path("mine"), fall=3, normal=3)
    table(Path("mine"), "fall", "fall_0,1,2")
    with pytest.raises(OSError, match="No space left"):
        init(Path("mine"), Path("own"))


def test_symbolic_links_where_hard_ones_cannot_be(monkeypatch):
    def refuse(source, target):
        raise OSError(building.errno.EXDEV, "another disk", source)

    monkeypatch.setattr(building.os, "link", refuse)
    classes(Path("mine"), fall=3, normal=3)
    table(Path("mine"), "fall", "fall_0,1,2")
    outcome = init(Path("mine"), Path("own"))
    assert outcome.built.symbolic == 6
    assert "6 symbolic links made" in said(outcome)
    (link, *_) = Path("own/videos/train/fall").iterdir()
    assert link.is_symlink()
    assert link.readlink().is_absolute()


def test_copies_never_fall_into_two_splits():
    for number in range(20):
        video(Path(f"mine/fall/f{number}.mp4"), 40 + number // 4)
        video(Path(f"mine/normal/n{number}.mp4"), 60 + number)
    table(Path("mine"), "fall", "f0,1,2")
    for seed in range(5):
        outcome = init(Path("mine"), Path("own"), seed=seed, dry_run=True)
        split_of = {found.stem: found.split for found in outcome.found.videos}
        for first in range(0, 20, 4):
            assert len({split_of[f"f{first + k}"] for k in range(4)}) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("qa.json", "{"),
        ("qa.json", '{"data": 5}'),
        ("captions.json", "3"),
        ("captions.json", '{"other": []}'),
        ("captions.json", '[{"caption": "x"}, 4]'),
    ],
)
def test_a_forced_layout_leaves_out_files_of_which_nothing_can_be_used(name, content):
    classes(Path("mine"), fall=6, normal=6)
    table(Path("mine"), "fall", "fall_0,1,2")
    Path("mine", name).write_text(content)
    assert set(kinds(init(Path("mine"), Path("own"), dry_run=True), "error"))
    assert init(Path("mine"), Path("own"), force=True).written
    assert not Path("own", name).exists()


def test_items_that_cannot_be_used_stay_as_they_are_in_a_forced_layout():
    classes(Path("mine"), fall=6, normal=6)
    table(Path("mine"), "fall", "fall_0,1,2")
    listed = [{"caption": "x"}, {"video_path": 5}, {"video_path": "fall_1.mp4", "caption": "y"}]
    Path("mine/captions.json").write_text(json.dumps(listed))
    outcome = init(Path("mine"), Path("own"), force=True)
    (place,) = [found.place for found in outcome.found.videos if found.stem == "fall_1"]
    written = json.loads(Path("own/captions.json").read_text())
    assert written == [*listed[:2], {"video_path": place, "caption": "y"}]


def test_a_file_name_of_two_videos_means_neither():
    for name, frames in (("fall", 40), ("normal", 60)):
        for number in range(6):
            video(Path("mine", name, f"{number}.mp4"), frames + number)
    table(Path("mine"), "fall", "0,1,2")
    captions(Path("mine"), "1.mp4")
    outcome = init(Path("mine"), Path("own"), dry_run=True)
    assert "video_path '1.mp4' is no video that can be used" in said(outcome)


def test_a_layout_is_not_built_inside_its_own_source():
    classes(Path("mine"), fall=3, normal=3)
    with pytest.raises(ConfigError, match="lies in mine"):
        init(Path("mine"), Path("mine/own"))
