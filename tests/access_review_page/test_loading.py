"""Loading the page: no errors, and no other request."""


def test_the_page_opens_without_errors_and_makes_no_other_request(page):
    # The fixture checks errors and requests; here the page's own script must have run.
    assert page.locator("h1").inner_text() == "Who can use the images of this account"
    has_tables = page.locator("table").count() > 0
    assert page.locator("#filter").is_visible() == has_tables


def test_a_script_that_is_not_the_pages_own_would_not_run(browser, html):
    injected = html.read_text().replace("<main>", "<main><script>document.title = 'injected'</script>", 1)
    page = browser.new_page()
    page.set_content(injected)
    assert page.title() != "injected"
    page.close()
