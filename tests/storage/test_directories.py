"""Directories replaced as a whole."""

import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.storage.directories import refuse_foreign, replacing_directory


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_nothing_of_the_old_directory_survives(tmp_path):
    path = tmp_path / "out"
    (path / "old").mkdir(parents=True)
    with replacing_directory(path) as made:
        (made / "new").touch()
        assert names(path) == ["old"]
    assert names(path) == ["new"]
    assert names(tmp_path) == ["out"]


def test_an_error_leaves_the_old_directory(tmp_path):
    path = tmp_path / "out"
    (path / "old").mkdir(parents=True)
    with pytest.raises(FileNotFoundError), replacing_directory(path) as made:
        (made / "no such folder" / "new").touch()
    assert names(path) == ["old"]
    assert names(tmp_path) == ["out"]


def test_a_second_run_at_the_same_time_is_refused(tmp_path):
    path = tmp_path / "out"
    with replacing_directory(path) as made:
        (made / "first").touch()
        with pytest.raises(DataError, match="out: another run is at work on it"):
            replacing_directory(path).__enter__()
        assert names(made) == ["first"]
    assert names(path) == ["first"]
    with replacing_directory(path) as made:
        (made / "second").touch()
    assert names(path) == ["second"]
    assert names(tmp_path) == ["out"]


def test_missing_parents_are_made_and_leftovers_of_a_killed_run_removed(tmp_path):
    path = tmp_path / "a" / "out"
    with replacing_directory(path) as made:
        leftover = made
    leftover.mkdir()
    (leftover / "half").touch()
    with replacing_directory(path) as made:
        assert names(made) == []
    assert names(tmp_path / "a") == ["out"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "disk" / "out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "out")
    with replacing_directory(tmp_path / "link") as made:
        (made / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "disk" / "out") == ["new"]


def test_only_what_the_maker_made_may_be_replaced(tmp_path):
    path = tmp_path / "out"
    refuse_foreign(path, lambda name: name == "ours", "the maker")
    path.mkdir()
    (path / "ours").touch()
    refuse_foreign(path, lambda name: name == "ours", "the maker")
    (path / "b").touch()
    (path / "a").touch()
    with pytest.raises(DataError, match="out holds 'a', which the maker did not make"):
        refuse_foreign(path, lambda name: name == "ours", "the maker")
    with pytest.raises(DataError, match="not a directory"):
        refuse_foreign(path / "a", lambda name: True, "the maker")
