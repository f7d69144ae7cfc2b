"""MSVD (YouTube2Text), https://www.cs.utexas.edu/~ml/clamp/videoDescription/.

``{train,val,test}_list.txt`` lists 1,200, 100 and 670 videos; ``raw-captions.pkl`` has the
captions of each, in words. All captions of a video count, also in the test.
"""

from pathlib import Path
from typing import Any

from pipeline_lib.datasets.question_fields import shown
from pipeline_lib.datasets.video_lists.text_files import read_ids
from pipeline_lib.datasets.video_text.caption_texts import plain_texts
from pipeline_lib.datasets.video_text.safe_pickle import as_text, read_plain_pickle
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.errors import DataError
from pipeline_lib.paths import nfc

_HINT = "It holds {video id: [[word, word, …], …]}."
_ORIGIN = (
    "MSVD is distributed at www.cs.utexas.edu/~ml/clamp/videoDescription; lists and captions come "
    "with the releases of github.com/ArrowLuo/CLIP4Clip."
)


def read_msvd(source: Source, split: str) -> tuple[Listed, ...]:
    """The videos of a split.

    Raises:
        DataError: A file is missing or cannot be used.
    """
    files = source.of(_ORIGIN)
    ids = read_ids(files.file(f"{split}_list.txt"))
    captions = _captions(files.file("raw-captions.pkl"))
    return tuple(
        Listed(name, plain_texts(captions.get(name, ())), line) for name, line in ids.items()
    )


def _captions(path: Path) -> dict[str, tuple[str, ...]]:
    content = read_plain_pickle(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no dict.", hint=_HINT)
    captions = {}
    for key, value in content.items():
        name = as_text(key)
        texts = list(map(_sentence, value)) if isinstance(value, list | tuple) else [None]
        if name is None or None in texts:
            raise DataError(
                f"{path}: what it holds under {shown(name or str(key))} are no captions.",
                hint=_HINT,
            )
        captions[nfc(name)] = tuple(text for text in texts if text is not None)
    return captions


def _sentence(words: Any) -> str | None:
    if not isinstance(words, list | tuple):
        return as_text(words)
    texts = [as_text(word) for word in words]
    return None if None in texts else " ".join(text for text in texts if text)
