"""MSR-VTT, a video description data set of Microsoft Research (CVPR 2016).

``MSRVTT_data.json`` holds 20 captions a video; ``MSRVTT_train.9k.csv`` or ``.7k.csv`` lists the
training videos, all captions of which count; ``MSRVTT_JSFUSION_test.csv`` has the 1,000 test videos
with the one caption of each that is searched for. There is no validation list.
"""

from collections import defaultdict
from pathlib import Path

from pipeline_lib.datasets.video_lists.text_files import first_lines, read_csv
from pipeline_lib.datasets.video_text.caption_texts import plain_texts, read_sentences
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.paths import nfc

_VARIANTS = ("9k", "7k")
_DATA = "MSRVTT_data.json"
_TEST = "MSRVTT_JSFUSION_test.csv"
_ORIGIN = (
    "MSR-VTT is distributed by Microsoft Research; the lists of training and test videos come with "
    "the releases of github.com/ArrowLuo/CLIP4Clip."
)


def read_msrvtt(source: Source, split: str) -> tuple[Listed, ...]:
    """The videos of a split; ``val`` has no list.

    Raises:
        ConfigError: There is no such variant.
        DataError: A file is missing or cannot be used.
    """
    files = source.of(_ORIGIN)
    if split == "val":
        return ()
    if split == "test":
        return _test(files.file(_TEST))
    variant = source.variant or _VARIANTS[0]
    if variant not in _VARIANTS:
        raise ConfigError(
            f"dataset.variant = {variant!r}: msrvtt has no such training list.",
            hint=did_you_mean(variant, _VARIANTS),
        )
    path = files.file(f"MSRVTT_train.{variant}.csv")
    rows = read_csv(path, ["video_id"])
    ids = first_lines(path, ((nfc(name), line) for line, (name,) in rows))
    captions = _captions(files.file(_DATA))
    return tuple(
        Listed(name, plain_texts(captions.get(name, [])), line) for name, line in ids.items()
    )


def _test(path: Path) -> tuple[Listed, ...]:
    rows = dict(read_csv(path, ["video_id", "sentence"]))
    ids = first_lines(path, ((nfc(name), line) for line, (name, _) in rows.items()))
    return tuple(Listed(name, plain_texts([rows[line][1]]), line) for name, line in ids.items())


def _captions(path: Path) -> dict[str, list[str]]:
    captions: defaultdict[str, list[str]] = defaultdict(list)
    for _, video, sentence in read_sentences(path, "video_id", "caption", key="sentences"):
        captions[nfc(video)].append(sentence)
    return captions
