"""VATEX, https://eric-xw.github.io/vatex-website/.

``ref_captions.json`` has the English captions of each video; ``train_list.txt``, ``test_list.txt``
and, where it is there, ``val_list.txt`` list the videos. All captions of a video count, also in
the test.
"""

from pathlib import Path

from pipeline_lib.datasets.question_fields import shown
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_lists.text_files import read_ids
from pipeline_lib.datasets.video_text.caption_texts import plain_texts, texts_fault
from pipeline_lib.datasets.video_text.json_files import json_members
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.paths import nfc

_HINT = "It holds {video id: [caption, …]}."
_ORIGIN = "VATEX is distributed at eric-xw.github.io/vatex-website."


def read_vatex(source: Source, split: str) -> tuple[Listed, ...]:
    """The videos of a split.

    Raises:
        DataError: A file is missing or cannot be used.
    """
    files = source.of(_ORIGIN)
    name = f"{split}_list.txt"
    listing = files.optional(name) if split == "val" else files.file(name)
    if listing is None:
        return ()
    captions = _captions(files.file("ref_captions.json"))
    return tuple(
        Listed(video, captions.get(video, ()), line) for video, line in read_ids(listing).items()
    )


def _captions(path: Path) -> dict[str, tuple[str, ...]]:
    captions, faults = {}, []
    for line, key, value in json_members(path, "caption file", _HINT):
        fault = texts_fault(value, f"captions of {shown(key)}")
        if fault:
            faults.append(Fault(line, fault))
        else:
            captions[nfc(key)] = plain_texts(value)
    refuse_faults(path, faults, _HINT)
    return captions
