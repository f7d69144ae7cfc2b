"""Pickles of captions are data; one that is a program is refused before it runs."""

import pickle
import struct
from collections import OrderedDict

import pytest

from pipeline_lib.datasets.video_text.safe_pickle import as_text, read_plain_pickle
from pipeline_lib.errors import DataError
from tests.datasets.video_text.corpus import put, read

PLAIN = {"a": [["x", "ß"], []], "b": (1, 2.5, True, None), b"c": {1, 2}, "d": b"\xff", "e": b""}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_of_every_protocol(tmp_path, protocol):
    path = tmp_path / "p.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol=protocol))
    assert read_plain_pickle(path) == PLAIN


def test_texts_of_python_2(tmp_path):
    def short(text):
        return b"U" + struct.pack("<B", len(text)) + text

    words = b"](" + short("caf\xe9".encode()) + short(b"caf\xe9") + b"e"
    path = tmp_path / "p.pkl"
    path.write_bytes(b"\x80\x02}" + short(b"vid") + words + b"s.")
    content = read_plain_pickle(path)
    assert {as_text(key): [as_text(word) for word in value] for key, value in content.items()} == {
        "vid": ["café", "café"]
    }


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["system", "open", "eval", "bytearray", "getattr", "OrderedDict"])
def test_nothing_else_is_run(tmp_path, name, protocol):
    import os

    marker = tmp_path / "ran"
    evil = {
        "system": Evil(os.system, f"touch {marker}"),
        "open": Evil(open, str(marker), "w"),
        "eval": Evil(eval, f"open({str(marker)!r}, 'w')"),
        "bytearray": Evil(bytearray, 1 << 40),
        "getattr": Evil(getattr, [], "append"),
        "OrderedDict": OrderedDict(a=1),
    }[name]
    path = tmp_path / "p.pkl"
    path.write_bytes(pickle.dumps({"a": [evil]}, protocol=protocol))
    with pytest.raises(DataError, match=rf"p\.pkl: refused: the pickle asks for .*{name}"):
        read_plain_pickle(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x80", b"not a pickle", b"\x80\x02}.}", b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"\x80\x04\x8e" + b"\xff" * 8 + b".", b"P1\n.", b"(" * 100_000 + b".",
        b"c__builtin__\nbytes\n(I9999999999\ntR.", b"\x80\x02\x82\x01.",
    ],
)  # fmt: skip
def test_damaged_and_odd_pickles_are_one_clear_error(tmp_path, content):
    path = tmp_path / "p.pkl"
    path.write_bytes(content)
    if content == b"\x80\x02}.}":  # what follows the end of a pickle is left alone
        assert read_plain_pickle(path) == {}
        return
    with pytest.raises(DataError, match=r"p\.pkl: (not a readable pickle|refused)"):
        read_plain_pickle(path)


@pytest.mark.parametrize("content", [["x"], {"a": "text"}, {"a": [[1]]}, {3: [["a"]]}])
def test_a_pickle_of_something_else_is_no_caption_file(tmp_path, content):
    put(tmp_path, {"test_list.txt": "a\n", "raw-captions.pkl": pickle.dumps(content)})
    with pytest.raises(DataError, match=r"raw-captions.pkl: .*\n.*\[\[word, word"):
        read(tmp_path, "msvd", "test")
