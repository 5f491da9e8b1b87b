"""Every page under axe, as everybody and as the operator, on a phone and on a desktop, light and dark; and no page is wider
than its screen."""

import pathlib

import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver.common.by import By

from mesh_packets import envelope, text
from test_pages import browser, gateway, sign_in  # noqa: F401  fixtures
from test_paho import ALPHA, FIELD, topic_of

ROUTES = pathlib.Path(__file__).resolve().parent.parent / "crates" / "web" / "tests" / "routes.txt"
# No pages: files, streams, answers for programs.
OTHER = ("/live", "/api/", "/mqtt", "/healthz", "/metrics", "/robots.txt", "/.well-known", "/assets", "/export", "/feeds")
VIEWS = [((360, 780), "light"), ((1280, 900), "dark")]


def pages_without_parts():
    """Every address of the golden list that is a page by itself."""
    for line in ROUTES.read_text().splitlines():
        method, path, role = line.split()
        is_page = "{" not in path and not path.startswith(OTHER) and not path.endswith((".json", ".md", "/live"))
        if method == "GET" and is_page:
            yield path, role


def look_at(browser, address, size, scheme):
    """Opens a page as a screen of this size shows it, and says what is wrong with it."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 700})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                            {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(address)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    wrong = [f"is {wide} wide on a screen of {size[0]}"] if wide > size[0] else []
    for violation in Axe().run(browser)["violations"]:
        places = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        wrong.append(f"{violation['id']}: {violation['help']}: {places}")
    return wrong


def complaints(browser, backhaul, paths):
    found = []
    for path in paths:
        for size, scheme in VIEWS:
            wrong = look_at(browser, backhaul.web + path, size, scheme)
            found += [f"{path} ({size[0]}, {scheme}) {one}" for one in wrong]
    return found


@pytest.fixture
def traffic(backhaul, gateway):
    for number in range(3):
        gateway.publish(topic_of(ALPHA), envelope(FIELD, 61 + number, text("hello there"), ALPHA), 1)
    backhaul.run("incident", "mark", "Storm over Liberty", "last 1h", "--notes", "Power was out.", "--public")
    return ["/incident/1", f"/packet/!{FIELD:08x}/61", f"/node/!{FIELD:08x}", f"/gateway/{ALPHA}", "/nodes?q=none+such", "/nowhere"]


def test_everybody_can_use_every_public_page(backhaul, traffic, browser):
    paths = [path for path, role in pages_without_parts() if role == "public"]
    found = complaints(browser, backhaul, paths + traffic)
    assert not found, "\n".join(found)


def test_the_operator_can_use_every_page(backhaul, traffic, browser):
    sign_in(browser, backhaul)
    paths = [path for path, _ in pages_without_parts() if path not in ("/login", "/setup", "/mine")]
    found = complaints(browser, backhaul, paths + traffic + [f"/gateway/{ALPHA}/checklist"])
    assert not found, "\n".join(found)


def test_the_menu_opens_and_closes_by_keyboard(backhaul, browser):
    from selenium.webdriver.common.keys import Keys
    browser.set_window_size(390, 844)
    browser.get(backhaul.web)
    menu, button = browser.find_element(By.ID, "menu"), browser.find_element(By.CSS_SELECTOR, "button.menu")
    assert not menu.is_displayed()
    button.send_keys(Keys.ENTER)
    assert menu.is_displayed()
    links = [link.text for link in menu.find_elements(By.TAG_NAME, "a")]
    assert {"Nodes", "Gateways", "Channels", "Coverage", "Policy"} <= set(links) and "People" not in links
    button.send_keys(Keys.ESCAPE)
    assert not menu.is_displayed()
    button.send_keys(Keys.ENTER)
    menu.find_element(By.LINK_TEXT, "Gateways").click()
    assert browser.current_url.endswith("/gateways")


def test_the_first_page_is_small(backhaul, traffic):
    import gzip
    import re
    import urllib.request

    def bytes_of(path):
        request = urllib.request.Request(backhaul.web + path, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            return answer.read(), answer.headers.get("Content-Encoding")
    page, encoding = bytes_of("/")
    body = gzip.decompress(page) if encoding == "gzip" else page
    assets = set(re.findall(r'"(/assets/[^"]+)"', body.decode()))
    total = len(page) + sum(len(bytes_of(asset)[0]) for asset in assets)
    assert assets and total < 100_000, f"{total} bytes with {assets}"
