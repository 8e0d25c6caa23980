"""The appearance of the page: on a phone, in dark mode, on paper. Saves a picture of each."""

import pytest

from conftest import NARROW, WIDE

# The lowest contrast between text and its background, with an example.
# https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
CONTRAST = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    let least = { ratio: 21, text: "" };
    const seen = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (!texts.currentNode.textContent.trim() || !element.getClientRects().length) continue;
        const colours = getComputedStyle(element).color + "/" + behind(element);
        if (seen.has(colours)) continue;
        seen.add(colours);
        const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < least.ratio) least = { ratio, text: texts.currentNode.textContent.trim(), colours };
    }
    return least;
}"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(open_page, take_picture, scheme):
    page = open_page(WIDE, scheme)
    least = page.evaluate(CONTRAST)
    assert least["ratio"] >= 4.5, least
    darkest, lightest = (0, 60) if scheme == "dark" else (200, 255)
    assert all(darkest <= part <= lightest for part in page.evaluate(BACKGROUND))
    take_picture(page, scheme)


@pytest.mark.parametrize("width", [NARROW["width"], 700, 1000, WIDE["width"]])
def test_nothing_is_wider_than_its_place(open_page, take_picture, width):
    page = open_page({**WIDE, "width": width})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate("""() => Array.from(document.querySelectorAll("body *:not(svg *)"))
        .filter((element) => {
            const place = element.parentElement.closest("section") ?? document.documentElement;
            return element.getBoundingClientRect().right > place.getBoundingClientRect().right + 1;
        })
        .map((element) => element.outerHTML.slice(0, 200))""")
    assert outside == []
    if width == NARROW["width"]:
        take_picture(page, "narrow")


def test_a_tables_cells_have_their_headings_beside_them_on_a_phone(open_page):
    page = open_page(NARROW)
    for table in page.locator("table").all():
        headings = table.locator("th button").all_inner_texts()
        labels = table.evaluate("(table) => Array.from(table.tBodies[0].rows[0].cells, (cell) => cell.dataset.label)")
        assert labels == headings
        before = table.locator("td").first.evaluate("(cell) => getComputedStyle(cell, '::before').content")
        assert before == f'"{headings[0]}"'


def test_paper_is_white_and_has_no_filter(open_page):
    page = open_page(WIDE, "dark")
    page.emulate_media(media="print")
    assert not page.locator("#filter").is_visible()
    ink = page.evaluate("getComputedStyle(document.body).color.match(/\\d+/g).map(Number)")
    assert max(ink) < 80


def test_everything_unfolds_on_paper(page):
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
