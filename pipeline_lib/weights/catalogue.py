"""Which published weights there are: made from what the backbones themselves know."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline_lib.backbones import dinov2, mobileclip, slowfast, videomamba
from pipeline_lib.backbones.weight_files import PublishedFile
from pipeline_lib.errors import ConfigError, did_you_mean
from pipeline_lib.runtime.torchvision_ops import import_open_clip
from pipeline_lib.weights.licences import LICENCES, Licence

_SEPARATOR = ":"
_OPENAI = "openai"
# About the size of OpenAI's files, in megabytes; open_clip knows only where they are.
_CLIPS = {
    "ViT-B-32-quickgelu": 354,
    "ViT-B-16-quickgelu": 351,
    "ViT-L-14-quickgelu": 933,
    "ViT-L-14-336-quickgelu": 934,
}
# Their addresses name the hash: https://…/models/<64 hex digits>/ViT-B-32.pt.
_HASH_IN_URL = re.compile(r"/([0-9a-f]{64})/")


@dataclass(frozen=True)
class Item:
    """One network's published weights.

    Attributes:
        network: The section of ``extract`` that takes them.
        variant: Which of that network's weights.
        files: To fetch, by their path below the folder of all weights.
        weights: What the section's ``weights`` has to name: one of the files, or their folder.
        settings: The section's other values that belong to these weights.
    """

    network: str
    variant: str
    files: Mapping[PurePosixPath, PublishedFile]
    weights: PurePosixPath
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        """As users call it: ``network:variant``."""
        return f"{self.network}{_SEPARATOR}{self.variant}"

    @property
    def licence(self) -> Licence:
        """What its publisher allows."""
        return LICENCES[self.network]

    @property
    def megabytes(self) -> int | None:
        """About the size of all files; ``None`` where nobody states it."""
        sizes = [file.megabytes for file in self.files.values()]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def catalogue() -> dict[str, Item]:
    """All published weights by name; the first of each network is its usual choice."""
    return {item.name: item for item in _items()}


def choose(names: Sequence[str]) -> list[Item]:
    """The weights that ``names`` mean, without repetition.

    Args:
        names: ``network`` for its usual choice, or ``network:variant``.

    Raises:
        ConfigError: No names, or one that is not in the catalogue.
    """
    known = catalogue()
    usual: dict[str, Item] = {}
    for item in known.values():
        usual.setdefault(item.network, item)
    if not names:
        raise ConfigError("No weights named.", hint=f"Known: {', '.join(usual)}.")
    by_name = {**usual, **known}
    unknown = next((name for name in names if name not in by_name), None)
    if unknown is not None:
        raise ConfigError(
            f"There are no published weights {unknown!r}.",
            hint=f"{did_you_mean(unknown, by_name)} All: `clipline weights list`.",
        )
    return list({by_name[name].name: by_name[name] for name in names}.values())


def _items() -> Iterator[Item]:
    yield from _clips()
    s0 = mobileclip.PUBLISHED["apple"]
    yield _one_file("mobileclip", mobileclip.S0, s0, {"model": mobileclip.S0})
    yield _one_file("slowfast", "kinetics400", slowfast.PUBLISHED["kinetics400"], {})
    for model in ("base", "small", "large", "giant"):
        folder = PurePosixPath("dinov2", model)
        files = {folder / file.filename: file for file in dinov2.published_files(model)}
        yield Item("dinov2", model, files, folder, {"model": model})
    for variant in _usual_first(videomamba.PUBLISHED, "k400-middle"):
        yield _one_file("videomamba", variant, videomamba.PUBLISHED[variant], {})


def _clips() -> Iterator[Item]:
    open_clip = import_open_clip()
    for model, megabytes in _CLIPS.items():
        url = open_clip.get_pretrained_cfg(model, _OPENAI)["url"]
        found = _HASH_IN_URL.search(url)
        file = PublishedFile(url, "MIT", found[1] if found else None, megabytes)
        yield _one_file("clip", model, file, {"model": model})


def _one_file(network: str, variant: str, file: PublishedFile, settings: Mapping[str, str]) -> Item:
    path = PurePosixPath(network, file.filename)
    return Item(network, variant, {path: file}, path, settings)


def _usual_first(names: Iterable[str], usual: str) -> list[str]:
    return sorted(names, key=lambda name: name != usual)
