"""Sorting and filtering with mouse and keyboard, in all tables of the page."""

import re

import pytest

# Clicks on each heading of a table twice; returns the sorting before and after each click.
CLICKS = """(table) => Array.from(table.tHead.rows[0].cells, (heading, column) => {
    const values = () => Array.from(table.tBodies[0].rows, (row) =>
        row.cells[column].dataset.value ?? row.cells[column].textContent.trim());
    const clicked = () => {
        heading.querySelector("button").click();
        return { sort: heading.ariaSort, values: values(), sorted: table.querySelectorAll("[aria-sort]").length };
    };
    return { before: values(), first: clicked(), second: clicked() };
})"""
# The visible rows, each with its searchable text.
SHOWN = """() => Array.from(document.querySelectorAll("tbody tr"))
    .filter((row) => row.getClientRects().length > 0)
    .map((row) => row.textContent + (row.dataset.also ? document.getElementById(row.dataset.also).textContent : ""))"""

# The page filters once a frame: in the next one it has seen the last letter. Not `wait_for_function`, which evaluates text
# within the page, and that the page's own policy forbids.
NEXT_FRAME = "() => new Promise(requestAnimationFrame)"


def numbers(texts):
    """The texts as numbers, if all of them are numbers."""
    plain = [text.replace(",", "") for text in texts]
    return [int(text) for text in plain] if all(text.isdigit() for text in plain) else None


def is_time(text):
    return re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)


def test_a_click_on_a_heading_sorts_and_another_one_turns_the_order_round(page):
    for table in page.locator("table").all():
        for column in table.evaluate(CLICKS):
            before, first, second = column["before"], column["first"], column["second"]
            assert (first["sort"], second["sort"]) == ("ascending", "descending")
            assert first["sorted"] == second["sorted"] == 1
            up, down = first["values"], second["values"]
            assert sorted(before) == sorted(up) == sorted(down)
            assert up == down[::-1]
            if len(set(before)) > 1:
                assert up[0] != down[0]
            if numbers(up):
                assert numbers(up) == sorted(numbers(up))
            if all(is_time(text) for text in up):
                assert up == sorted(up)


def test_the_mouse_sorts_too(page):
    for table in page.locator("table").all():
        table.locator("th button").last.click()
        assert table.locator("th").last.get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_heading_is_sorted_by_keyboard_too(page, key):
    for table in page.locator("table").all():
        heading = table.locator("th").first
        heading.get_by_role("button").focus()
        page.keyboard.press(key)
        assert heading.get_attribute("aria-sort") == "ascending"


def test_the_filter_leaves_the_rows_that_have_all_words_and_counts_them(page):
    if not page.locator("table").count():
        return
    everything = page.evaluate(SHOWN)
    image = page.locator("table.images tbody tr").last.locator("td").first.locator("code").inner_text()
    page.locator("#filter").press_sequentially(image)
    page.evaluate(NEXT_FRAME)
    shown = page.evaluate(SHOWN)
    assert shown == [row for row in everything if image in row]
    assert page.locator("#found").inner_text() == f"{len(shown):,} of {len(everything):,} rows"
    total = page.locator("table.images tbody tr").count()
    assert page.locator("#images .count").inner_text() == f"1 of {total:,}"
    page.keyboard.press("Escape")
    assert page.evaluate(SHOWN) == everything
    assert page.locator("#images .count").inner_text() == f"{total:,}"


def test_a_share_is_found_by_an_account_behind_its_target(page):
    for row in page.locator("table.targets tbody tr").all():
        accounts = row.locator("td").last.locator("code")
        if accounts.count():
            page.locator("#filter").fill(accounts.last.text_content())
            page.evaluate(NEXT_FRAME)
            also = row.get_attribute("id")
            assert page.locator(f"table.shares tr[data-also='{also}']").first.is_visible()
            return


def test_a_filter_that_nothing_matches_says_so_in_every_table(page):
    tables = page.locator("table").count()
    if not tables:
        return
    page.locator("#filter").fill("nothing-has-this-name")
    page.evaluate(NEXT_FRAME)
    assert page.evaluate(SHOWN) == []
    assert page.locator(".nothing:visible").count() == tables
    assert page.locator("#found").inner_text().startswith("0 of ")


def test_a_long_table_is_sorted_and_filtered_at_once(page):
    seconds = page.evaluate("""async () => {
        const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const filter = document.getElementById("filter");
        const start = performance.now();
        for (const button of document.querySelectorAll("th:first-child button")) button.click();
        await drawn();
        filter.value = "1";
        filter.dispatchEvent(new Event("input"));
        await drawn();
        return (performance.now() - start) / 1000;
    }""")
    # This takes about a second on an idle machine; the machine may be busy with other tests.
    assert seconds < 60
