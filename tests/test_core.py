"""Errors, registry, fingerprints, paths and seeds."""

import json
import re
import unicodedata

import numpy as np
import pytest

from pipeline_lib.errors import ConfigError, DataError, did_you_mean, nearest
from pipeline_lib.fingerprint import fingerprint, sha256_file
from pipeline_lib.paths import name_fault, nfc, same_file_key, under
from pipeline_lib.registry import Registry
from pipeline_lib.runtime.seeding import numpy_stream, torch_stream


def test_nearest_name_or_all_names():
    assert nearest("evaluat", ["evaluate", "extract"]) == "evaluate"
    assert "Did you mean 'clip'?" in did_you_mean("cilp", ["clip", "dinov2"])
    assert did_you_mean("zzz", ["clip", "dinov2"]) == "Known: clip, dinov2."
    many = [f"video_{number:04d}" for number in range(5000)]
    assert did_you_mean("zzz", many).endswith("video_0018, video_0019 and 4980 more.")


def test_registry_imports_only_what_is_asked_for():
    registry: Registry[object] = Registry("thing", {"loads": "json:loads", "gone": "no.such:x"})
    assert registry.get("loads") is json.loads
    assert list(registry) == ["gone", "loads"]
    with pytest.raises(ConfigError, match=r"Unknown thing 'laods'\.") as caught:
        registry.get("laods")
    assert "'loads'" in caught.value.hint


def test_fingerprint_ignores_key_order_and_sees_values():
    assert fingerprint({"a": 1, "b": [1.5, None]}) == fingerprint({"b": [1.5, None], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_file_hash_is_the_well_known_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("../x", r"leaves its folder by '\.\.'"),
        ("a/../../x", r"leaves its folder by '\.\.'"),
        ("/etc/passwd", "is absolute"),
        ("c:/x", "is absolute"),
        ("a\\x", "holds a backslash"),
        ("a\0b", "holds a NUL"),
        ("", "names no file"),
        ("./", "names no file"),
    ],
)
def test_paths_from_data_cannot_leave_the_root(tmp_path, path, fault):
    with pytest.raises(DataError, match=fault):
        under(tmp_path, path)


def test_a_link_below_the_root_is_the_wish_of_its_owner(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/out").symlink_to(tmp_path)
    assert under(tmp_path / "root", "out/x.mp4") == tmp_path / "root/out/x.mp4"
    with pytest.raises(DataError, match="leaves its folder"):
        under(tmp_path / "root", "out/../x.mp4")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("a/b", "holds a slash"),
        ("a\\b", "holds a slash"),
        ("..", "starts with a dot"),
        (".hidden", "starts with a dot"),
        ("a\nb", "control or invisible character"),
        ("a\0b", "control or invisible character"),
        ("a\u2028b", "control or invisible character"),
        ("a\u202eb", "control or invisible character"),
        ("a\u200db", "control or invisible character"),
        ("a\ud800b", "control or invisible character"),
        ("a:b", "holds ':', which Windows refuses"),
        ("why?", r"holds '\?', which Windows refuses"),
        ("a.", "ends with a dot or a space"),
        ("a ", "ends with a dot or a space"),
        ("nul", "reserves it for a device"),
        ("Com1.q7", "reserves it for a device"),
        ("LPT² .x", "reserves it for a device"),
        ("a" * 151, "is 151 bytes long"),
        ("질" * 51, "is 153 bytes long"),
    ],
)
def test_names_that_cannot_name_files_everywhere(name, fault):
    assert re.search(fault, name_fault(name))


@pytest.mark.parametrize("name", ["a", "질" * 50, "a b", "v1.2-q_3", "-5", "nul_1", "con1", "👩"])
def test_other_names_are_fine(name):
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("one", "other"), [("Q7", "q7"), ("é", "e\u0301"), ("É", "e\u0301"), ("Straße", "STRASSE")]
)
def test_names_that_a_file_system_may_take_for_one(one, other):
    assert same_file_key(one) == same_file_key(other)


def test_names_that_are_two_files():
    assert same_file_key("e") != same_file_key("é")


def test_names_compare_in_nfc():
    assert nfc(unicodedata.normalize("NFD", "쓰러짐")) == "쓰러짐"


def test_streams_depend_on_their_name_alone():
    first = numpy_stream(1, "mine", "a").random(3)
    numpy_stream(1, "mine", "b").random(100)
    np.testing.assert_array_equal(first, numpy_stream(1, "mine", "a").random(3))
    assert not np.array_equal(first, numpy_stream(2, "mine", "a").random(3))
    assert torch_stream(1, "x").initial_seed() == torch_stream(1, "x").initial_seed()
