"""The picture of images and targets: it is there, and its curves end at their labels."""

import pytest

from conftest import NARROW, WIDE

# For each curve: how wide it is, and how far its ends are from the middle of their labels, in heights of a label.
CURVES = """() => Array.from(document.querySelectorAll(".curves .curve"), (curve) => {
    const matrix = curve.getScreenCTM();
    const at = (length) => curve.getPointAtLength(length).matrixTransform(matrix);
    const [start, end] = [at(0), at(curve.getTotalLength())];
    const away = (side, point) => {
        const label = document.querySelector(`.labels [data-${side}="${curve.dataset[side]}"]`);
        const box = label.closest("li").getBoundingClientRect();
        return Math.abs((box.top + box.bottom) / 2 - point.y) / box.height;
    };
    return { width: end.x - start.x, from: away("from", start), to: away("to", end) };
})"""


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_curve_runs_from_its_image_to_its_target(open_page, viewport):
    page = open_page(viewport)
    curves = page.evaluate(CURVES)
    assert bool(curves) == (page.locator(".labels button").count() > 0)
    for curve in curves:
        assert curve["width"] > 30
        assert curve["from"] < 0.25 and curve["to"] < 0.25


def test_every_label_can_be_read(page):
    for label in page.locator(".labels li").all():
        box = label.bounding_box()
        assert box["width"] > 40 and box["height"] > 20


def test_what_belongs_to_a_label_lights_up_and_a_click_on_it_filters_the_tables(page):
    if not page.locator(".labels button").count():
        return
    label = page.locator(".labels.to button").last
    curves = page.locator(f".curve[data-to='{label.get_attribute('data-to')}']")
    label.hover()
    assert page.locator(".curve.on").count() == curves.count() > 0
    label.click()
    assert page.locator("#filter").input_value() == label.get_attribute("data-find")
    assert " of " in page.locator("#found").inner_text()
