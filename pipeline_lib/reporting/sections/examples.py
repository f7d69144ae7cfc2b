"""Pictures that stages leave: mined frames, chosen frames, searches, clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline_lib.reporting.numbers import readable
from pipeline_lib.reporting.pictures import Picture, encode
from pipeline_lib.reporting.project import Project
from pipeline_lib.reporting.sections import Section
from pipeline_lib.reporting.spec import Gallery, Part


@dataclass(frozen=True)
class Example:
    """A picture and its words."""

    picture: Picture
    name: str
    caption: str


def build(project: Project, parts: Sequence[Part]) -> Section:
    """The galleries of every part that has pictures."""
    groups = []
    for part in parts:
        for gallery in part.galleries:
            found = sorted(path.stem for path in project.path(gallery.folder).glob("*.png"))
            if found:
                shown = _examples(project, part, gallery, found)
                groups.append(
                    {"part": part.title, "gallery": gallery, "shown": shown, "all": len(found)}
                )
    return Section("examples", "Examples", {"groups": groups})


def _examples(project: Project, part: Part, gallery: Gallery, found: list[str]) -> list[Example]:
    """At most so many as the settings say, at even distances."""
    most = project.config.examples
    places = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    chosen = [found[place] for place in places]
    what = f"{part.title}: {gallery.title}"
    captions: Mapping[str, str] = {}
    if gallery.captions and chosen:
        read = gallery.captions
        captions = project.attempt(f"{what}: captions", lambda: read(project)) or {}
    pictures = [_encoded(project, what, f"{gallery.folder}/{name}.png") for name in chosen]
    return [
        Example(picture, name, captions.get(name, readable(name)))
        for name, picture in zip(chosen, pictures, strict=True)
        if picture
    ]


def _encoded(project: Project, what: str, file: str) -> Picture | None:
    width = project.config.picture_width
    return project.attempt(f"{what}: {file}", lambda: encode(project.path(file), width))
