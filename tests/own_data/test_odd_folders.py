from pathlib import Path

import pytest

from pipeline_lib.errors import ConfigError, DataError
from tests.own_data.folders import PARAMS, classes, init, kinds, project, said, table

pytestmark = pytest.mark.usefixtures("in_a_folder")


def test_the_folder_of_the_videos_is_not_taken_for_the_data_root():
    folder = project(Path("own"), fall=5, normal=5)
    with pytest.raises(DataError, match="is the 'videos' of a data root") as caught:
        init(folder / "videos")
    assert caught.value.hint == f"Name the folder above: clipline init {folder.resolve()}"
    classes(Path("other/videos"), fall=3, normal=3)
    table(Path("other"), "fall", "fall_0,1,2")
    with pytest.raises(DataError, match="annotations lie beside it"):
        init(Path("other/videos"), Path("built"))


def test_a_class_called_as_a_split_is_told_by_its_neighbours():
    outcome = init(classes(Path("mine"), car=3, bus=3, train=3), Path("built"))
    assert "beside" in kinds(outcome, "error")
    assert "bus, car beside train, which names a split" in said(outcome)
    assert "If train is a class, rename it" in said(outcome)


def test_a_file_and_a_link_to_itself_are_clear_errors():
    classes(Path("mine"), fall=3, normal=3)
    with pytest.raises(DataError, match=r"fall_0\.mp4: is a file"):
        init(Path("mine/fall/fall_0.mp4"))
    Path("mine/self").symlink_to("self")
    with pytest.raises(DataError, match="mine/self: is a link to itself"):
        init(Path("mine"))


def test_a_name_with_a_line_break_stays_on_one_line():
    classes(Path("mine"), **{"fa\nll": 3, "normal": 3})
    assert r"mine/fa\nll" in said(init(Path("mine"), Path("built")))


def test_line_ends_and_links_of_the_parameters_stay_and_the_old_copy_is_exact():
    old = b"\xef\xbb\xbf" + PARAMS.replace("\n", "\r\n").encode()
    Path("real.yaml").write_bytes(old)
    Path("params.yaml").symlink_to("real.yaml")
    init(project(Path("own"), fall=5, normal=5))
    assert Path("params.yaml").is_symlink()
    new = Path("real.yaml").read_bytes()
    assert b"root: own  " in new
    assert new.count(b"\n") == new.count(b"\r\n") == old.count(b"\r\n")
    assert Path("params.yaml.old").read_bytes() == old


def test_a_scheme_without_a_name_is_no_clip():
    with pytest.raises(ConfigError, match="--clip 'hf-hub:' is not MODEL:WEIGHTS"):
        init(project(Path("own"), fall=5, normal=5), clip="hf-hub:")


def test_what_dvc_add_writes_into_the_gitignore_is_no_other_plan():
    classes(Path("mine"), fall=3, normal=3)
    table(Path("mine"), "fall", "fall_0,1,2")
    init(Path("mine"), Path("built")).raise_problems()
    Path("built/.gitignore").write_text("/videos")
    init(Path("mine"), Path("built")).raise_problems()
    assert Path("built/.gitignore").read_text() == "/videos"
    Path("built/.gitignore").write_text("*.log")
    init(Path("mine"), Path("built")).raise_problems()
    assert Path("built/.gitignore").read_text() == "*.log\n/videos/\n"
