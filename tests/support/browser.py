"""A headless Chromium for tests of pages."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")
PHONE = (390, 844)
_PHONE_WIDEST = 600  # narrower windows are phones: touch, and the page's own idea of its width
_PATIENCE_S = 60
_NOT_ASKED_FOR = ("data:", "about:", "chrome:")
_SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[WebDriver]:
    """A driver of a fresh browser; the test is skipped where there is no Chromium.

    Args:
        width: Of the page, in CSS pixels.
        height: Of the page, in CSS pixels.
    """
    if not (CHROMIUM.exists() and CHROMEDRIVER.exists()):
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    profile = tempfile.mkdtemp(prefix="chromium-")
    options = Options()
    options.binary_location = str(CHROMIUM)
    for switch in (*_SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(executable_path=str(CHROMEDRIVER)))
    try:
        driver.set_page_load_timeout(_PATIENCE_S)
        driver.set_script_timeout(_PATIENCE_S)
        set_width(driver, width, height)
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def set_width(driver: WebDriver, width: int, height: int) -> None:
    """Give the page a width and height in CSS pixels; a narrow page is a phone's.

    Args:
        driver: From ``browser``.
        width: Of the page, e.g. 390.
        height: Of the page, e.g. 844.
    """
    mobile = width <= _PHONE_WIDEST
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def console_errors(driver: WebDriver) -> list[str]:
    """Messages of level SEVERE on the console since the last call, uncaught exceptions too."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def requests(driver: WebDriver) -> list[str]:
    """Addresses asked for since the last call, in order.

    Those of the page's own bytes (``data:``) and of the browser's own pages are left out.
    """
    addresses = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            addresses.append(message["params"]["request"]["url"])
    return [address for address in addresses if not address.startswith(_NOT_ASKED_FOR)]
