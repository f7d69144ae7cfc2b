"""Where published weights go, and what is known of each file."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline_lib.backbones.weight_files import PublishedFile
from pipeline_lib.runtime.progress import SILENT, Progress
from pipeline_lib.weights.download import Patience
from pipeline_lib.weights.lockfile import LOCK, read_lock

FOLDER = Path("data/weights/published")


@dataclass(frozen=True)
class Place:
    """Where weights go, and how they are fetched.

    Attributes:
        folder: Of all published weights.
        lock: The file with the hashes that no publisher states.
        patience: With servers.
        progress: Where long work reports to.
    """

    folder: Path = FOLDER
    lock: Path = Path(LOCK)
    patience: Patience = field(default_factory=Patience)
    progress: Progress = SILENT

    def known_hash(self, file: PublishedFile) -> str | None:
        """The SHA-256 that a file must have: stated by its maker, or recorded here."""
        recorded = read_lock(self.lock).get(file.url)
        return file.sha256 or (recorded.sha256 if recorded else None)
