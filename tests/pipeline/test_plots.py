"""Pages of `dvc plots` open without a network: the libraries that draw are inside."""

import re
import runpy

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.browser import browser, console_errors, requests
from tests.support.project import ROOT

PLOTS = ROOT / ".dvc" / "plots"
DRAWN = "return [...document.querySelectorAll('main .vega-embed')].map(d => d.id)"
# A canvas of few colours is one on which nothing was drawn.
COLOURS = """
return [...document.querySelectorAll('main canvas')].map(canvas => {
  const {width, height} = canvas;
  const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  return new Set(new Uint32Array(pixels.buffer)).size;
});
"""
BROKEN = "return [...document.images].filter(image => !image.naturalWidth).map(image => image.src)"


def test_the_template_is_what_its_script_makes_of_its_parts():
    page = (PLOTS / "offline.html").read_text(encoding="utf-8")
    build = runpy.run_path(str(PLOTS / "build.py"))
    for name, (version, _) in build["LIBRARIES"].items():
        assert f"/*! {name} {version}:" in page
    assert (PLOTS / "licences.txt").read_text(encoding="utf-8").rstrip() in page
    parts = re.split(r"\{(?:libraries|licences)\}", (PLOTS / "page.html").read_text())
    assert all(part in page for part in parts)
    assert "{scripts}" not in page  # where DVC puts addresses of a content delivery network
    assert re.findall(r"<(?:script|link)[^>]*(?:src|href)=[\"'](?!data:)", page) == []


@pytest.mark.slow
def test_a_page_of_plots_opens_offline(project):
    project.run("dvc", "plots", "show", "-o", "page")
    page = project.folder / "page" / "index.html"
    curves = re.findall(r"vegaEmbed\('#([^']+)'", page.read_text(encoding="utf-8"))
    assert len(curves) >= 15
    with browser() as driver:
        driver.get(page.as_uri())
        WebDriverWait(driver, 60).until(lambda d: len(d.execute_script(COLOURS)) >= len(curves))
        assert set(driver.execute_script(DRAWN)) == set(curves)
        assert min(driver.execute_script(COLOURS)) > 10
        assert driver.execute_script(BROKEN) == []
        assert console_errors(driver) == []
        asked = requests(driver)
    assert asked[0] == page.as_uri()
    assert [address for address in asked if not address.startswith(page.parent.as_uri())] == []
