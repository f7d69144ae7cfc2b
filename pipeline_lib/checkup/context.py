"""What the checks look at: a folder, its parameters, and what child processes found."""

import json
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline_lib.config import Params
from pipeline_lib.errors import ConfigError
from pipeline_lib.params_file import load_params

_CHILD = "pipeline_lib.checkup.child"
_LIBRARY = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 120


class Child:
    """A process that tries out what could take this one down with it.

    Args:
        probe: What it looks at, see :mod:`pipeline_lib.checkup.child`.
        arguments: For it.
    """

    def __init__(self, probe: str, *arguments: str) -> None:
        # The library's own checkout comes first on the path, wherever the user stands.
        start = (
            f"import sys; sys.path.insert(0, {str(_LIBRARY)!r}); from {_CHILD} import main; main()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", start, probe, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace",
        )  # fmt: skip

    @cached_property
    def found(self) -> dict[str, Any]:
        """What it found, by section; one of ``{"error": …}`` could not be looked at.

        A crash ends the list early; the section ``crash`` then says how.
        """
        try:
            output, said = self._process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, said = self._process.communicate()
            said += f"\nno answer after {_TIMEOUT_S} s"
        sections: dict[str, Any] = {}
        for line in output.splitlines():
            if line.startswith("{"):
                sections |= json.loads(line)
        if self._process.returncode:
            last = said.strip().splitlines()[-1] if said.strip() else "no message"
            sections["crash"] = f"exit code {self._process.returncode}: {last}"
        return sections


class Context:
    """Where the checks run. Children start at once, so that they work while others are asked.

    Args:
        project: The project's folder, or any other.
        params_file: The parameter file.
    """

    def __init__(self, project: Path, params_file: Path) -> None:
        self.project = project
        self.params_file = params_file
        self.torch = Child("torch", str(params_file))
        self.decoders = Child("decoders")

    @property
    def is_project(self) -> bool:
        """Whether the folder holds a pipeline."""
        return (self.project / "dvc.yaml").is_file()

    @cached_property
    def params(self) -> Params | ConfigError:
        """The parameters, or what is wrong with them."""
        try:
            return load_params(self.params_file)
        except ConfigError as error:
            return error
