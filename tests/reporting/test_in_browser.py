import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipeline_lib.reporting.page import write_report
from tests.reporting.made_up import make
from tests.support.browser import PHONE, browser, console_errors, requests, set_width

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    project = make(folder / "project")
    return write_report(project.root / "params.yaml", folder / "out", project.root).path


@pytest.fixture(scope="module")
def driver():
    with browser() as driver:
        yield driver


@pytest.fixture(params=[(1280, 900), PHONE], ids=["desktop", "phone"])
def opened(driver, page, request):
    set_width(driver, *request.param)
    requests(driver), console_errors(driver)
    driver.get(page.as_uri())
    return driver


def names(driver):
    rows = driver.find_elements(By.CSS_SELECTOR, "table.numbers:first-of-type tbody th")
    return [row.text.replace("\n", "") for row in rows if row.is_displayed()]


def press(driver, *keys):
    driver.switch_to.active_element.send_keys(*keys)


def focus(driver, selector):
    driver.execute_script("document.querySelector(arguments[0]).focus()", selector)


def test_nothing_is_asked_for_and_nothing_complains(opened, page):
    assert requests(opened) == [page.as_uri()]
    assert console_errors(opened) == []


def test_the_page_is_as_wide_as_the_window(opened):
    opened.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    wide = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    content, window = opened.execute_script(wide)
    assert content <= window


def test_the_first_tab_skips_to_the_numbers(opened):
    press(opened, Keys.TAB)
    link = opened.switch_to.active_element
    assert link.text == "Skip to the numbers"
    assert link.rect["y"] >= 0
    link.send_keys(Keys.ENTER)
    assert opened.switch_to.active_element.get_attribute("id") == "main"


def test_tables_are_sorted_by_keyboard(opened):
    heading = "table.numbers thead th:nth-child(2)"
    assert names(opened) == ["test.frame.accuracy", "test.frame.balanced_accuracy"]
    focus(opened, f"{heading} button")
    press(opened, Keys.ENTER)
    cell = opened.find_element(By.CSS_SELECTOR, heading)
    assert cell.get_attribute("aria-sort") == "ascending"
    assert names(opened) == ["test.frame.balanced_accuracy", "test.frame.accuracy"]
    press(opened, Keys.SPACE)
    assert cell.get_attribute("aria-sort") == "descending"
    assert names(opened) == ["test.frame.accuracy", "test.frame.balanced_accuracy"]


def test_undefined_numbers_stay_at_the_end(opened):
    opened.execute_script("document.querySelector('article details').open = true")
    for _ in range(2):
        focus(opened, "details table.numbers thead th:nth-child(2) button")
        press(opened, Keys.ENTER)
        cells = opened.find_elements(By.CSS_SELECTOR, "details table.numbers td.own")
        assert [cell.text for cell in cells][-1] == "—"


def test_the_filter_leaves_what_holds_every_word(opened):
    box = opened.find_element(By.ID, "filter")
    box.send_keys("coop balanced")
    assert names(opened) == ["test.frame.balanced_accuracy"]
    assert opened.find_element(By.ID, "filter-count").text == "1 number"
    box.send_keys(" nothing")
    assert names(opened) == []
    assert opened.find_element(By.ID, "filter-count").text == "0 numbers"
    box.clear()
    box.send_keys("x", Keys.BACKSPACE)
    assert len(names(opened)) == 2


@pytest.mark.parametrize("selector", [".gallery .look", ".film .look"])
def test_pictures_open_larger_and_escape_closes(opened, selector):
    focus(opened, selector)
    press(opened, Keys.ENTER)
    viewer = opened.find_element(By.ID, "viewer")
    assert viewer.is_displayed()
    shown = viewer.find_elements(By.TAG_NAME, "img")
    assert all(opened.execute_script("return arguments[0].naturalWidth", img) for img in shown)
    assert opened.find_element(By.ID, "viewer-title").text
    press(opened, Keys.ESCAPE)
    assert not viewer.is_displayed()
    looked_at = opened.execute_script("return document.activeElement.className")
    assert looked_at == "look"  # back where one was
    press(opened, Keys.ENTER)
    opened.find_element(By.ID, "viewer-close").click()
    assert not viewer.is_displayed()


def test_frames_stand_over_the_time_axis(opened):
    places = opened.execute_script(
        "const film = document.querySelector('.film');"
        "return [...film.querySelectorAll('img')].map(i => i.getBoundingClientRect())"
        ".map(r => [r.left, r.right])"
    )
    (first, last), (left, right) = places
    # The picture is 1000 pixels wide, its axis goes from 92 to 806.
    assert first == pytest.approx(left + 0.092 * (right - left), abs=0.6)
    assert last == pytest.approx(left + 0.806 * (right - left), abs=0.6)


def test_without_script_all_is_there_but_its_controls(driver, page):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(page.as_uri())
        assert len(driver.find_elements(By.CSS_SELECTOR, "table.numbers tbody tr")) == 6
        assert not driver.find_element(By.ID, "filter").is_displayed()
        assert driver.find_elements(By.CSS_SELECTOR, "th button, .look") == []
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_foreign_scripts_do_not_run(driver, page, tmp_path):
    changed = tmp_path / "changed.html"
    text = page.read_text(encoding="utf-8")
    changed.write_text(text.replace("</main>", "<script>window.ran = 1</script></main>"))
    driver.get(changed.as_uri())
    assert driver.execute_script("return window.ran") is None
