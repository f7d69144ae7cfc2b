"""Files by the names that data files give them."""

import unicodedata

import pytest

from pipeline_lib.errors import DataError
from pipeline_lib.video.files import file_named, files_below


def test_names_are_found_in_any_unicode_form(tmp_path):
    written, named = (unicodedata.normalize(form, "쓰러짐/é.mp4") for form in ("NFD", "NFC"))
    path = tmp_path / written
    path.parent.mkdir()
    path.touch()
    files = files_below(tmp_path, {".mp4"})
    for name in (named, written, f"./{named.replace('/', '//')}"):
        assert file_named(tmp_path, files, name) == path
    assert file_named(tmp_path, files, "gone.mp4") == tmp_path / "gone.mp4"
    with pytest.raises(DataError, match="leaves its folder"):
        file_named(tmp_path, files, f"../{tmp_path.name}/{named}")
