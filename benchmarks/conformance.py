"""Write the conformance table of docs/decoders.md from what the decoders here do.

Run from the repository root: python -m benchmarks.conformance
A decoder that is not installed keeps the column it has.
"""

import tempfile
from pathlib import Path

from pipeline_lib.video.decoders import DECODERS
from tests.video.conformance import DOCUMENT, available, documented, outcome
from tests.video.corpus import KINDS

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def table() -> str:
    """The table as Markdown."""
    before = documented()
    lines = [f"| file | {' | '.join(DECODERS)} |", "|---" * (len(list(DECODERS)) + 1) + "|"]
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in KINDS.items():
            path = Path(folder) / kind
            truth = make(path)
            cells = [
                outcome(decoder, path, truth)
                if available(decoder)
                else before.get((decoder, kind), "not tried")
                for decoder in DECODERS
            ]
            lines.append(f"| `{kind}` | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}", encoding="utf-8")
