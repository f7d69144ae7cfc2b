"""LSMDC, https://sites.google.com/site/describingmovies/.

Three tables, named ``.csv`` but separated by tabs and without header: clip, four times, sentence.
A clip with several rows has several captions.
"""

from pipeline_lib.datasets.video_lists.text_files import read_tsv
from pipeline_lib.datasets.video_text.caption_texts import plain_texts
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.paths import nfc

_COLUMNS = 6
_FILES = {
    "train": "LSMDC16_annos_training.csv",
    "val": "LSMDC16_annos_val.csv",
    "test": "LSMDC16_challenge_1000_publictect.csv",
}
_ORIGIN = (
    "LSMDC is distributed at sites.google.com/site/describingmovies to those who sign its "
    "agreement."
)


def read_lsmdc(source: Source, split: str) -> tuple[Listed, ...]:
    """The clips of a split; ``val`` may have no table.

    Raises:
        DataError: A file is missing or cannot be used.
    """
    files = source.of(_ORIGIN)
    path = files.optional(_FILES[split]) if split == "val" else files.file(_FILES[split])
    if path is None:
        return ()
    clips: dict[str, tuple[int, list[str]]] = {}
    for line, cells in read_tsv(path, _COLUMNS):
        clips.setdefault(nfc(cells[0]), (line, []))[1].append(cells[-1])
    return tuple(Listed(clip, plain_texts(texts), line) for clip, (line, texts) in clips.items())
