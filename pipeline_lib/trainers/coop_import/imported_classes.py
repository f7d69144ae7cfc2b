"""The classes of foreign prompts: which directory each is, and how its prompt words it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline_lib.config import TrainConfig
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.networks.text_towers import TextTower
from pipeline_lib.paths import nfc
from pipeline_lib.trainers.coop_import.foreign_checkpoints import ForeignPrompts
from pipeline_lib.trainers.coop_import.suffix_words import name_tokens, read_names


@dataclass(frozen=True)
class ImportedClass:
    """One class.

    Attributes:
        directory: Its name in the data set.
        words: Its name in the prompt.
    """

    directory: str
    words: str

    def __str__(self) -> str:
        plain = self.words == self.directory.replace("_", " ")
        return self.directory if plain else f"{self.directory}={self.words}"


def parse_classes(text: str, config: TrainConfig) -> list[ImportedClass]:
    """Classes from ``fall,RoadAccidents=road accidents``.

    Args:
        text: Directories with commas; words stand behind ``=``.
        config: Its ``class_names`` word directories that are given without words.

    Raises:
        ConfigError: A part names no class, or one is named twice.
    """
    classes = []
    for part in text.split(","):
        directory, equals, words = (piece.strip() for piece in nfc(part).partition("="))
        if not directory or (equals and not words):
            raise ConfigError(
                f"--classes {text!r}: {part!r} names no class.",
                hint="Write directories with commas, and words behind =: fall,run=running person.",
            )
        classes.append(ImportedClass(directory, words or _words(directory, config)))
    twice = _twice(classes)
    if twice:
        raise ConfigError(f"--classes names {twice!r} twice.")
    return classes


def unverified_classes(
    found: ForeignPrompts, given: Sequence[ImportedClass] | None
) -> list[ImportedClass]:
    """The given classes, for a checkpoint that does not tell its own.

    Raises:
        ConfigError: None are given.
        DataError: They are not as many as the checkpoint has contexts.
    """
    if given is None:
        raise ConfigError(
            f"{found.path} does not hold the embeddings of its class names.",
            hint="Name the classes in the order of its training: --classes fall,normal,run.",
        )
    if found.context.dim() == 3 and len(found.context) != len(given):
        raise DataError(
            f"--classes names {len(given)} classes; {found.path} has contexts of "
            f"{len(found.context)}."
        )
    return list(given)


def verified_classes(
    found: ForeignPrompts, given: Sequence[ImportedClass], tokens: Tensor, tower: TextTower
) -> list[ImportedClass]:
    """The given classes in the checkpoint's order, each found there by its words.

    Args:
        found: The checkpoint.
        given: Its classes in any order.
        tokens: What follows the context in its prompts, int64 [C, m].
        tower: The text tower.

    Raises:
        DataError: The checkpoint has other classes.
    """
    taken = _match(given, tokens, tower)
    classes = [one for one in taken if one is not None]
    if not len(classes) == len(given) == len(tokens):
        raise DataError(
            f"--classes names {_listed(map(str, given))}; {found.path} was trained on "
            f"{_listed(read_names(tower, tokens))}.",
            hint="Give every class once, with its words where they differ: "
            "--classes 'RoadAccidents=road accidents,Normal'.",
        )
    return classes


def recovered_classes(
    found: ForeignPrompts,
    directories: Sequence[str],
    tokens: Tensor,
    tower: TextTower,
    config: TrainConfig,
) -> list[ImportedClass]:
    """The checkpoint's classes, called by the directories that have the same words.

    Letter case and underscores make no difference. A class without a directory is called by its
    words.

    Args:
        found: The checkpoint.
        directories: Those of the data set at hand; may be none.
        tokens: What follows the context in its prompts, int64 [C, m].
        tower: The text tower.
        config: Its ``class_names`` word directories.

    Raises:
        ConfigError: A name cannot be spelled and has no directory, or two classes share one.
        DataError: The checkpoint lacks a directory's class.
    """
    known = [ImportedClass(name, _words(name, config)) for name in directories]
    names, taken = read_names(tower, tokens), _match(known, tokens, tower)
    if any(one not in taken for one in known):
        raise DataError(
            f"The packed windows have classes {_listed(map(str, known))}; {found.path} was trained "
            f"on {_listed(names)}.",
            hint="Say which is which: --classes 'DIRECTORY=words in the prompt,…', in any order.",
        )
    classes = []
    for name, one in zip(names, taken, strict=True):
        if one is None and name is None:
            raise ConfigError(
                f"{found.path}: the name of a class cannot be spelled; its classes are "
                f"{_listed(names)}.",
                hint="Name all of them, in any order: --classes.",
            )
        classes.append(one or ImportedClass(str(name), str(name)))
    twice = _twice(classes)
    if twice:
        raise ConfigError(
            f"{found.path}: {twice!r} names two of its classes.",
            hint="Name all of them apart, in the order of its training: --classes 'a=word,b=word'.",
        )
    return classes


def _words(directory: str, config: TrainConfig) -> str:
    words = {nfc(name): text for name, text in config.class_names.items()}
    return words.get(directory, directory.replace("_", " "))


def _twice(classes: Sequence[ImportedClass]) -> str | None:
    names = [one.directory for one in classes]
    return next((name for name in names if names.count(name) > 1), None)


def _match(
    known: Sequence[ImportedClass], tokens: Tensor, tower: TextTower
) -> list[ImportedClass | None]:
    """For each row of ``tokens`` the first class not yet taken whose words are these tokens."""
    if not known:
        return [None] * len(tokens)
    own = name_tokens(tower, [one.words for one in known], tokens.shape[1])
    left = list(zip(known, own, strict=True))
    taken: list[ImportedClass | None] = []
    for row in tokens:
        at = next((n for n, (_, expected) in enumerate(left) if expected.equal(row)), None)
        taken.append(None if at is None else left.pop(at)[0])
    return taken


def _listed(names: Iterable[str | None]) -> str:
    return ", ".join("?" if name is None else repr(name) for name in names)
