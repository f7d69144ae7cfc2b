"""The README and the pages that are no method's: every command runs and prints what they say."""

import pytest

from tests.docs.markdown import pages
from tests.docs.runner import Page, is_executed, shown
from tests.docs.test_method_pages import METHODS

pytestmark = pytest.mark.slow


OTHERS = [page for page in pages() if page not in METHODS and is_executed(page)]


@pytest.mark.parametrize("page", OTHERS, ids=shown)
def test_the_page_does_what_it_says(page, project, warm):
    problems = Page(page, project, warm).execute()
    assert not problems, "\n\n".join(problems)
