"""The page in a browser: what a visitor does, at a desk and on a phone."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from pipeline_lib.retrieval.unified_config import UnifiedModelConfig
from pipeline_lib.serving.access import Access
from pipeline_lib.serving.address import listen, resolve
from pipeline_lib.serving.app import build_app
from tests.retrieval.test_embed import embed
from tests.serving.site import opened
from tests.support.browser import PHONE, browser, console_errors, requests, set_width
from tests.support.video_files import constant_rate

pytestmark = pytest.mark.slow
PATIENCE_S = 30


@contextmanager
def served(place, access: Access | None = None, **options) -> Iterator[str]:
    site = opened(place / "out", videos=place / "videos", **options)
    with listen(resolve("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(
            uvicorn.Config(build_app(site, access or Access()), log_level="error")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def driver():
    with browser() as opened_browser:
        yield opened_browser


@pytest.fixture
def desk(driver):
    set_width(driver, 1280, 900)
    driver.get("about:blank")
    console_errors(driver)
    requests(driver)
    return driver


def until(driver, condition, what: str):
    return WebDriverWait(driver, PATIENCE_S, 0.1).until(lambda _: condition(), what)


def all_of(driver, selector: str) -> list:
    return driver.find_elements(By.CSS_SELECTOR, selector)


def text(driver, selector: str) -> str:
    return driver.find_element(By.CSS_SELECTOR, selector).text


def search(driver, words: str) -> None:
    field = driver.find_element(By.ID, "query")
    field.clear()
    field.send_keys(words, Keys.ENTER)
    until(driver, lambda: all_of(driver, ".still.shown"), "frames of results")


def playing(driver) -> dict:
    return driver.execute_script(
        "const v = document.getElementById('video');"
        "return {at: v.currentTime, ready: v.readyState, open: v.closest('dialog').open,"
        " source: v.getAttribute('src'), paused: v.paused}"
    )


def pause(driver) -> None:
    driver.execute_script("document.getElementById('video').pause()")


def fits(driver) -> bool:
    return driver.execute_script(
        "const page = document.documentElement;"
        "return page.scrollWidth <= window.innerWidth && [...document.querySelectorAll("
        "  '.card, .state, .top, .player[open], .player[open] *')]"
        "  .every((e) => e.getBoundingClientRect().right <= window.innerWidth + 1)"
    )


def test_a_search_and_its_moments_played(made, desk):
    with served(made) as address:
        desk.get(address)
        until(desk, lambda: "3 videos" in text(desk, "#state"), "the empty state")
        assert "numbers" in text(desk, "#about")
        assert not desk.find_element(By.ID, "warning").is_displayed()
        search(desk, "frame 130")
        assert desk.current_url == f"{address}?q=frame+130"
        assert text(desk, ".card h2") == "long.mp4"
        assert len(all_of(desk, ".card")) == 3
        # The best frame of the long video is 126 or 140 of those that were embedded.
        first = desk.find_element(By.CSS_SELECTOR, ".still")
        first.click()
        until(desk, lambda: playing(desk)["ready"] >= 2, "the video")
        shown_s = float(text(desk, ".still .when").split(":")[1])
        now = playing(desk)
        assert now["open"]
        assert now["source"] == "/media/0"
        # A second before the moment, and on from there.
        assert shown_s - 1.1 <= now["at"] <= shown_s + 3
        at = float(desk.current_url.partition("at=")[2])
        assert at == pytest.approx(shown_s - 1, abs=0.1)
        assert fits(desk)
        assert console_errors(desk) == []
        asked = requests(desk)
        assert all(one.startswith(address) for one in asked)
        assert any("/media/0" in one for one in asked)


def test_keys(made, desk):
    with served(made) as address:
        desk.get(f"{address}?q=frame+130")
        until(desk, lambda: all_of(desk, ".still.shown"), "frames of results")
        body = desk.find_element(By.TAG_NAME, "body")
        body.send_keys("/")
        assert desk.switch_to.active_element.get_attribute("id") == "query"
        desk.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
        desk.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        assert desk.switch_to.active_element.get_attribute("data-at") == "1"
        desk.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
        desk.switch_to.active_element.send_keys(Keys.ENTER)
        until(desk, lambda: playing(desk)["ready"] >= 2, "the video")
        pause(desk)
        before = float(desk.current_url.partition("at=")[2])
        desk.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
        until(desk, lambda: playing(desk)["at"] < before - 0.1, "the moment before")
        earlier = float(desk.current_url.partition("at=")[2])
        assert earlier < before
        desk.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        until(desk, lambda: float(desk.current_url.partition("at=")[2]) > earlier, "the next")
        desk.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
        until(desk, lambda: playing(desk)["source"] == "/media/1", "the next video")
        desk.switch_to.active_element.send_keys(Keys.ESCAPE)
        until(desk, lambda: not playing(desk)["open"], "the player closed")
        assert desk.current_url == f"{address}?q=frame+130"
        assert console_errors(desk) == []


def test_addresses_can_be_shared_and_back_works(made, desk):
    with served(made) as address:
        desk.get(f"{address}?q=frame+10&video=1&at=1.5")
        until(desk, lambda: playing(desk)["ready"] >= 2, "the video of the address")
        pause(desk)
        assert playing(desk)["at"] >= 1.4
        assert text(desk, "#player-name") == "middle.mp4"
        desk.find_element(By.ID, "player-close").click()
        until(desk, lambda: desk.current_url == f"{address}?q=frame+10", "no video in the address")
        search(desk, "frame 50")
        until(desk, lambda: desk.title.startswith("frame 50"), "the new title")
        all_of(desk, ".still")[0].click()
        until(desk, lambda: playing(desk)["open"], "the player")
        desk.back()
        until(desk, lambda: not playing(desk)["open"], "back closes the player")
        assert desk.current_url == f"{address}?q=frame+50"
        desk.back()
        until(desk, lambda: desk.title.startswith("frame 10"), "the search before")
        assert desk.find_element(By.ID, "query").get_attribute("value") == "frame 10"
        assert console_errors(desk) == []


def test_nothing_found_a_mistake_and_a_server_that_is_gone(made, desk):
    settings = UnifiedModelConfig(similarity_threshold=0.9999)
    with served(made, settings=settings) as address:
        desk.get(f"{address}?q=frame+30")
        until(desk, lambda: "Nothing found" in text(desk, "#state"), "the state without results")
        desk.get(f"{address}?q={'a' * 501}")
        until(desk, lambda: "501 characters" in text(desk, "#state"), "the message")
    field = desk.find_element(By.ID, "query")
    field.clear()
    field.send_keys("frame 1", Keys.ENTER)
    until(desk, lambda: "does not answer" in text(desk, "#state"), "the error")
    assert "clipline serve" in text(desk, "#state")
    console_errors(desk)  # of the refused requests


def test_videos_that_are_gone_or_changed_are_marked(place, desk):
    (place / "videos" / "short.mp4").unlink()
    constant_rate(place / "videos" / "middle.mp4", 61)
    with served(place) as address:
        desk.get(f"{address}?q=frame+30")
        until(desk, lambda: len(all_of(desk, ".card.lost")) == 2, "two marks")
        told = " ".join(one.text for one in all_of(desk, ".card .problem"))
        assert "short.mp4: the file is gone" in told
        assert "middle.mp4: the file has changed" in told
        lost = desk.find_element(By.CSS_SELECTOR, ".card.lost .still")
        assert not lost.is_enabled()
        assert [one.text for one in all_of(desk, ".card:not(.lost) h2")] == ["long.mp4"]
    console_errors(desk)  # of the refused pictures


def test_a_video_that_the_browser_cannot_play(tmp_path, desk):
    constant_rate(tmp_path / "videos" / "old.avi", 60, codec="mpeg4")
    embed(tmp_path / "videos", tmp_path / "out")
    with served(tmp_path) as address:
        desk.get(f"{address}?q=frame+30")
        until(desk, lambda: all_of(desk, ".still.shown"), "frames")
        all_of(desk, ".still")[0].click()
        until(desk, lambda: "cannot play" in text(desk, "#video-problem"), "the reason")
    console_errors(desk)


def test_a_phone(made, desk):
    with served(made) as address:
        set_width(desk, *PHONE)
        desk.get(address)
        until(desk, lambda: "3 videos" in text(desk, "#state"), "the empty state")
        assert fits(desk)
        search(desk, "frame 130")
        assert fits(desk)
        all_of(desk, ".still")[0].click()
        until(desk, lambda: playing(desk)["ready"] >= 2, "the video")
        time.sleep(0.5)
        assert fits(desk)
        assert console_errors(desk) == []


def test_a_page_with_a_token(made, desk):
    token = "a-token-for-this-test"
    with served(made, Access(token=token)) as address:
        desk.get(address)
        assert "needs its token" in text(desk, "h1")
        desk.get(f"{address}?token={token}")
        until(desk, lambda: "3 videos" in text(desk, "#state"), "the page")
        assert desk.current_url == address
        search(desk, "frame 130")
        all_of(desk, ".still")[0].click()
        until(desk, lambda: playing(desk)["ready"] >= 2, "the video")
        desk.delete_all_cookies()
    console_errors(desk)
