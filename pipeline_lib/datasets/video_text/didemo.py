"""DiDeMo, https://github.com/LisaAnne/LocalizingMoments.

``{split}_data.json`` describes moments of videos; all descriptions of a video together are its one
caption. Annotators saw the first 30 seconds, so only these are sampled. ``{split}_list.txt``
chooses and orders the videos, where it is there. Names keep the suffix that the video had on
Flickr, behind which another one may have been put: ``x.3gp`` is also found as ``x.3gp.mp4``.
"""

from collections import defaultdict

from pipeline_lib.datasets.video_lists.text_files import read_ids
from pipeline_lib.datasets.video_text.caption_texts import paragraph, read_sentences
from pipeline_lib.datasets.video_text.source import Listed, Source
from pipeline_lib.paths import nfc

_WATCHED_S = 30.0
_ORIGIN = "DiDeMo is distributed at github.com/LisaAnne/LocalizingMoments."


def read_didemo(source: Source, split: str) -> tuple[Listed, ...]:
    """The videos of a split.

    Raises:
        DataError: A file is missing or cannot be used.
    """
    files = source.of(_ORIGIN)
    sentences: defaultdict[str, list[str]] = defaultdict(list)
    lines: dict[str, int] = {}
    for line, video, text in read_sentences(
        files.file(f"{split}_data.json"), "video", "description"
    ):
        sentences[nfc(video)].append(text)
        lines.setdefault(nfc(video), line)
    listing = files.optional(f"{split}_list.txt")
    ids = read_ids(listing) if listing else lines
    return tuple(
        Listed(name, paragraph(sentences.get(name, ())), line, at_most_s=_WATCHED_S)
        for name, line in ids.items()
    )
