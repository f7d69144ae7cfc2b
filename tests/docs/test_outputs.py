"""What the pages say lies below an output lies there when the pipeline has run."""

import re

import pytest

from tests.docs.markdown import name, pages
from tests.docs.references import expanded, said_paths, tracked

# Written only in a case that the small project is not: the path and that case.
SOMETIMES = {
    ".dvc/tmp": "while DVC runs, and after it was killed",
    "data/evaluation/pos_neg/failures.csv": "when a video could not be read",
    "data/models/coop/coop_ep10.safetensors": "after ten epochs",
    "data/models/imported": "by `clipline import-prompts`",
    "data/own": "by `clipline init`",
    "data/weights/published": "by `clipline weights fetch`",
    "data/models/tempme_stop/epN": "with save_every",
    "metrics/report": "by `clipline report`",
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", pages(), ids=name)
def test_what_stages_write_is_where_the_page_says(page, small):
    missing = []
    for place, text in said_paths(page):
        if text in tracked():
            continue
        for path in expanded(text):
            pattern = re.sub(r"<[^>]*>|…", "*", path).rstrip("/")
            if any(pattern.startswith(known) for known in SOMETIMES):
                continue
            if not any(small.glob(pattern)):
                missing.append(f"{place}: {path}")
    assert missing == []
