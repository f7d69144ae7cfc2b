"""Numbers, hashes and sizes may differ from what a page says; words, columns and order may not."""

import pytest

from tests.docs.comparing import difference, unexpected
from tests.docs.markdown import Block
from tests.docs.runner import Page
from tests.docs.shell import Shell


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("wrote a.json: 12 windows, 1.5 s", "wrote a.json: 9 windows, 23.25 s"),
        ("val_auc  0.96108  -0.01933", "val_auc  0.9  0.1"),
        ("84 videos of data/x, model", "84  videos of  data/x, model"),
        ("made 9f86d081884c7d65", "made 1b4f0e9851971998"),
        ("a 1\na 2\na 3\nend", "a 7\nend"),
        ("first\n…\nlast", "first\nanything\nat all\nlast"),
        ("wrote …: 3 videos", "wrote /some/place: 4 videos"),
        ("├── 78ccf31 [telic-stay]  0.9  end", "└── eaf4841 [four]  0.7  middle"),
        ("┌───────┐\n│ a │ 1 │", "┌──┐\n│ a │ 22 │"),
        ("0 errors, 0 warnings", "1 error, 1 warning"),
        ("2.3 MB", "804 kB"),
    ],
)
def test_what_may_differ(expected, printed):
    assert difference(expected.splitlines(), printed.splitlines()) is None


@pytest.mark.parametrize(
    ("expected", "printed", "said"),
    [
        ("wrote a.json", "wrote b.json", "never printed: wrote a.json"),
        ("a  1  2", "a  1", "never printed: a # #"),
        ("a\nb", "b\na", "another order"),
        ("a", "a\nb", "not said: b"),
        ("├── 78ccf31 [x-y]  0.9  end", "├── 78ccf31 [x-y]  0.9", "never printed"),
        ("first\n…\nlast", "first\nlast words", "never printed: last"),
        ("a", "", "never printed: a"),
    ],
)
def test_what_may_not(expected, printed, said):
    assert said in (difference(expected.splitlines(), printed.splitlines()) or "")


def test_rows_that_did_not_change_may_be_missing():
    rows = ["coop.json  test.auc  0.9  0.8", "coop.json  test.f1  0.9  0.8"]
    assert unexpected(rows, rows[:1]) is None
    assert "not said" in (unexpected(rows, ["coop.json  test.recall  0.9  0.8"]) or "")
    assert unexpected(rows, []) == "nothing was printed"


def test_a_shell_keeps_folder_and_variables(tmp_path):
    (tmp_path / "inner").mkdir()
    shell = Shell(tmp_path, tmp_path / "home")
    shell.run("cd inner; export WORD='two words'")
    result = shell.run('echo "$WORD"; pwd; echo no >&2; false')
    assert result.code == 1
    assert result.out == ["two words", str(tmp_path / "inner")]
    assert sorted(result.all) == sorted([*result.out, "no"])


def test_whatever_is_not_as_the_page_says_is_told(tmp_path):
    (tmp_path / "project" / "videos").mkdir(parents=True)
    page = Page.__new__(Page)
    page.name, page.folder = "docs/made_up.md", tmp_path / "project"
    page.shell, page.problems = Shell(page.folder, tmp_path / "home"), []
    text = Block(page.name, 5, "text", "another word")
    page.blocks = [
        Block(page.name, 1, "bash", "false"),
        Block(page.name, 3, "bash", "echo word", text),
        Block(page.name, 8, "python", "x = 1\n1 / 0"),
        Block(page.name, 9, "python", "assert x == 1"),
    ]
    failed, unsaid, python = page.execute()
    assert "docs/made_up.md:1: false\n  exit code 1, not 0" in failed
    assert "docs/made_up.md:5: echo word\n  never printed: another word" in unsaid
    assert "ZeroDivisionError" in python
