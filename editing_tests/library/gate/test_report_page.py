# SPDX-License-Identifier: Apache-2.0
"""report.html: nothing unescaped, nothing from outside, and what a browser makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from editing_tests.library.gate.examples import MODELS, report, row, skipped
from kedit.gate.markup import Markup, element, join
from kedit.gate.report_page import report_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NASTY = 'lab:<script>alert("&amp;")</script>\'"' + "long" * 60
# Stands in the page, which stands in a frame, because a window cannot be as narrow as a phone. It tells how wide the
# page is, what sticks out, and what was asked for beside the file.
PROBE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  const told = parent.document.body.dataset;
  told.page = document.documentElement.scrollWidth;
  told.wide = wide.map(e => e.tagName + "." + e.getAttribute("class")).join(" ");
  told.asked = performance.getEntriesByType("resource").map(e => e.name).join(" ");
})</script>"""
FRAME = "<!DOCTYPE html><body><iframe src='report.html' width='{width}' height='900' frameborder='0'></iframe></body>"


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, attribute: str) -> list[str]:
        return [given[attribute] for _, given in self.tags if attribute in given]


def nasty() -> str:
    more = (
        row("efficacy.single", "PS", 0.5, 0.75, "failed", reason=NASTY, unit=NASTY, source=NASTY, facts=NASTY),
        skipped("mechanism.same-key", reason=NASTY),
    )
    models = (*MODELS, "<i>" + "model" * 12)
    told = {"notes": (NASTY,), "about": {"efficacy.single": (NASTY,)}, "versions": {NASTY: NASTY}}
    return report_page(report(*more, editor=NASTY, models=models, settings={NASTY: NASTY}, **told))


def test_text_is_escaped_and_markup_is_not():
    assert element("b", "<&>\"'", class_='"') == '<b class="&quot;">&lt;&amp;&gt;&quot;&#x27;</b>'
    assert element("p", Markup("<i>"), "<i>", title=None, data_model=1) == '<p data-model="1"><i>&lt;i&gt;</p>'
    assert element("br") == "<br>"
    assert join(["<", Markup("<")], ", ") == "&lt;, <"


def test_no_text_becomes_markup():
    page = Page(nasty())
    assert page.text.count("<script>alert(") > 8
    plain = Page(report_page(report()))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in plain.tags} | {"h3"}


@pytest.mark.parametrize("text", [report_page(report()), nasty()], ids=["plain", "nasty"])
def test_the_page_needs_nothing_beside_it(text):
    page = Page(text)
    assert not page.all("src")
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe", "object")]
    assert not re.search(r"url\(|@import", text)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {target.removeprefix("#") for target in page.all("href")} <= set(ids)
    policy = next(given["content"] for _, given in page.tags if given.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")


def test_the_page_says_what_is_in_the_report():
    page = Page(report_page(report(row("efficacy.single", "PS", 0.5, 0.75, "failed", reason="keys collide"))))
    for words in (
        "Rejected by: efficacy.single.",
        "1 failed",
        "2 known failure",
        "later edits of a subject overwrite earlier ones",
        "probability_gap edits=8 ≥ -0.2: tiny-gpt2 -0.62, tiny-llama -0.62",
        "PS ≥ 0.75: tiny-gpt2 0.5",
        "not applicable: it has no tag history (tiny-gpt2, tiny-llama)",
        "An edit of one fact takes (a paper, section 3).",
        "a paper, table 1",
        "share of facts; margin 0.05",
        "float32 on cpu, weights 4de82a762250",
        "python 3.11.7",
    ):
        assert words in page.text, words
    assert len([1 for tag, given in page.tags if tag == "svg" and given.get("role") == "img"]) == 5 * len(MODELS)
    assert "tiny-llama" in page.all("data-model")


def test_figures_without_data_are_a_sentence():
    page = Page(report_page(report(series=())))
    assert page.text.count(": not measured; it takes an editor with the tag") == 4
    assert not [1 for tag, given in page.tags if tag == "svg" and given.get("role") == "img"]


def test_a_page_without_any_result_is_a_page():
    page = Page(report_page(report(models=())))
    assert "No verdict, nothing was measured." in page.text
    assert "No failure is known." in page.text


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no chromium, chromium-browser or google-chrome is installed")

    def start(text: str, *options: str, width: int | None = None) -> str:
        folder = tmp_path_factory.mktemp("browser")
        (folder / "report.html").write_text(text, encoding="utf-8")
        (folder / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
        quiet = ["quic", "background-networking", "component-update", "sync", "gpu"]
        call = [BROWSER, "--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
        call += ["--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", *options]
        call.append((folder / ("frame.html" if width else "report.html")).as_uri())
        return subprocess.run(call, capture_output=True, text=True, check=True, timeout=180).stdout

    return start


def probed(browse, text: str, width: int) -> dict[str, str]:
    """What the probe finds; the page's own policy would stop the probe and hide what the page asks for."""
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert open_page != text
    page = open_page.replace("</body>", f"{PROBE}</body>")
    dom = browse(page, "--dump-dom", "--window-size=1300,900", "--allow-file-access-from-files", width=width)
    return dict(re.findall(r'data-(page|wide|asked)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("name", ["plain", "nasty"])
def test_a_browser_shows_all_of_it_without_scrolling_sideways(browse, name, width):
    found = probed(browse, nasty() if name == "nasty" else report_page(report()), width)
    assert found == {"page": str(width), "wide": "", "asked": ""}


def test_a_browser_shows_verdict_and_figures(browse, tmp_path):
    shot = tmp_path / "page.png"
    dom = browse(report_page(report()), "--dump-dom", f"--screenshot={shot}", "--window-size=1000,700")
    page = Page(dom)
    assert "Accepted with 1 known failure: perturbation.homogeneous-sequence." in page.text
    assert page.text.count("tiny-gpt2, ") >= 1
    assert len([1 for tag, given in page.tags if tag == "svg" and given.get("role") == "img"]) == 5 * len(MODELS)


def test_the_probe_sees_a_wide_page_and_a_request(browse):
    bad = "<p style='width: 900px'>wide</p><img src='https://example.invalid/x.png'>"
    found = probed(browse, report_page(report()).replace("</main>", f"{bad}</main>"), 400)
    assert found["page"] != "400"
    assert "P.null" in found["wide"]
    assert found["asked"] == "https://example.invalid/x.png"
