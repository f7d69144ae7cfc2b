"""The pages about methods and experiments: every command runs and prints what the page says."""

import pytest

from tests.docs.markdown import ROOT
from tests.docs.runner import Page, shown

NAMES = (
    "coop", "experiments", "extraction", "pos_neg", "retrieval", "scaling", "sharing",
    "top_frames", "videomamba",
)  # fmt: skip
METHODS = [ROOT / "docs" / f"{name}.md" for name in NAMES]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("page", METHODS, ids=shown)
def test_the_page_does_what_it_says(page, project, warm):
    problems = Page(page, project, warm).execute()
    assert not problems, "\n\n".join(problems)
