"""ActivityNet Captions, https://cs.stanford.edu/people/ranjaykrishna/densevid/.

``train.json`` and ``val_1.json`` describe moments of videos; all sentences of a video together are
its one caption, and ``val_1`` is what the field tests on. ``train_ids.json`` and ``val_ids.json``
choose the videos, of which some have no captions, and ``video_path.json`` names their files where
those are not called after the ids; all three may be absent.
"""

from pathlib import Path, PurePosixPath

from pipeline_lib.datasets.json_lines import JsonObject
from pipeline_lib.datasets.question_fields import shown
from pipeline_lib.datasets.video_lists.faults import Fault, refuse_faults
from pipeline_lib.datasets.video_lists.text_files import first_lines
from pipeline_lib.datasets.video_text.caption_texts import paragraph, texts_fault
from pipeline_lib.datasets.video_text.json_files import json_elements, json_members
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.paths import nfc

_FILES = {"train": ("train.json", "train_ids.json"), "test": ("val_1.json", "val_ids.json")}
_HINT = "It holds {video id: {duration, timestamps, sentences}}."
_ORIGIN = (
    "ActivityNet Captions is distributed at cs.stanford.edu/people/ranjaykrishna/densevid, the "
    "videos at activity-net.org."
)


def read_activitynet(source: Source, split: str) -> tuple[Listed, ...]:
    """The videos of a split; ``val`` has no list, and ``test`` is ``val_1``.

    Raises:
        DataError: A file is missing or cannot be used.
    """
    if split == "val":
        return ()
    files = source.of(_ORIGIN)
    captions_name, ids_name = _FILES[split]
    captions, lines = _captions(files.file(captions_name))
    listing = files.optional(ids_name)
    ids = _ids(listing) if listing else lines
    named = _names(files.optional("video_path.json"))
    return tuple(
        Listed(name, captions.get(name, ()), line, name=named.get(name, ""))
        for name, line in ids.items()
    )


def _captions(path: Path) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    captions, lines, faults = {}, {}, []
    for line, key, value in json_members(path, "annotation file", _HINT):
        sentences = value.get("sentences") if isinstance(value, JsonObject) else None
        fault = texts_fault(sentences, f"sentences of {shown(key)}")
        if fault or not isinstance(sentences, list):
            faults.append(Fault(line, str(fault)))
            continue
        captions[_bare_id(key)] = paragraph(sentences)
        lines[_bare_id(key)] = line
    refuse_faults(path, faults, _HINT)
    return captions, lines


def _ids(path: Path) -> dict[str, int]:
    rows = list(json_elements(path, "list of ids", "It holds [video id, …]."))
    faults = [Fault(line, f"{shown(v)} is not a text") for line, v in rows if type(v) is not str]
    refuse_faults(path, faults)
    return first_lines(path, ((_bare_id(name), line) for line, name in rows))


def _names(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    rows = list(json_members(path, "list of files", "It holds {video id: file}."))
    faults = [Fault(line, f"{shown(v)} is not a text") for line, _, v in rows if type(v) is not str]
    refuse_faults(path, faults)
    return {_bare_id(key): PurePosixPath(value).name for _, key, value in rows}


def _bare_id(name: str) -> str:
    return nfc(name).removeprefix("v_")
