"""The pages in a browser: headless Chromium on a phone and on a desktop."""

import re

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from conftest import wait_for
from mesh_packets import envelope, nodeinfo, text
from test_paho import ALPHA, FIELD, Client, topic_of

PHONE, DESKTOP = (390, 844), (1280, 900)
PASSWORD = "a long enough password"


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    for flag in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 f"--user-data-dir={tmp_path / 'chromium'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path="/usr/bin/chromedriver")
    driver = webdriver.Chrome(options, service)
    yield driver
    # A machine without a graphics card draws the map in software, which Chromium remarks on.
    remarks = ("404", "WebGL", "GPU stall")
    complaints = [e["message"] for e in driver.get_log("browser") if not any(r in e["message"] for r in remarks)]
    driver.quit()
    assert not complaints, complaints


@pytest.fixture
def gateway(backhaul):
    connected = Client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    yield connected
    connected.close()


def body(browser):
    return browser.find_element(By.TAG_NAME, "main").text


def sign_in(browser, backhaul):
    """Uses the one-time link that `serve` printed."""
    link = re.search(r"(http://\S+/setup#\S+)", backhaul.text()).group(1)
    browser.get(link)
    token = browser.find_element(By.NAME, "token")
    assert wait_for(lambda: token.get_attribute("value"), "the code from the link")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "main form button").click()
    wait_for(lambda: "/setup" not in browser.current_url, "the password to be set")
    if "/login" in browser.current_url:
        browser.find_element(By.NAME, "password").send_keys(PASSWORD)
        browser.find_element(By.CSS_SELECTOR, "main form button").click()
        wait_for(lambda: "/login" not in browser.current_url, "the sign-in")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_every_page_fits_the_screen_and_says_what_it_is(backhaul, gateway, browser, size):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 21, text("hello"), ALPHA), 1)
    browser.set_window_size(*size)
    for path in ["/", "/log", f"/packet/!{FIELD:08x}/21", f"/node/!{FIELD:08x}", "/check", "/login", "/nowhere"]:
        browser.get(backhaul.web + path)
        assert browser.find_element(By.TAG_NAME, "h1").text, path
        widths = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1], f"{path} is {widths[0]} wide on a screen of {widths[1]}"


def test_the_status_page_says_who_is_connected(backhaul, gateway, browser):
    browser.get(backhaul.web)
    assert "1 gateway connected" in body(browser)
    assert ALPHA in body(browser)


def test_before_the_first_credential_the_page_says_that_this_machine_is_open(backhaul, browser):
    browser.get(backhaul.web)
    assert "credential" in body(browser)


def test_the_log_shows_a_packet_as_it_comes(backhaul, gateway, browser):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 31, text("first"), ALPHA), 1)
    browser.get(backhaul.web + "/log")
    assert f"!{FIELD:08x}" in body(browser)

    def shows_new():
        gateway.publish(topic_of(ALPHA), envelope(FIELD, shows_new.id, text("live"), ALPHA), 1)
        shows_new.id += 1
        return re.search(r"[1-9]\d* new", body(browser)) or "live" in body(browser)
    shows_new.id = 100
    wait_for(shows_new, "the log to notice new packets")


def test_the_public_sees_what_consented_and_the_operator_the_rest(backhaul, gateway, browser):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 41, text("for everyone"), ALPHA), 1)
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 42, text("between us"), ALPHA, consent=False), 1)
    declined = backhaul.web + f"/packet/!{FIELD:08x}/42"
    browser.get(backhaul.web + f"/packet/!{FIELD:08x}/41")
    assert "for everyone" in body(browser) and "hop-limit" in body(browser)
    browser.get(declined)
    assert "between us" not in browser.page_source
    browser.get(backhaul.web + "/log")
    assert "between us" not in browser.page_source
    sign_in(browser, backhaul)
    browser.get(declined)
    assert "between us" in body(browser) and "has not agreed to MQTT" in body(browser)
    browser.get(backhaul.web + "/log?verdict=record-only")
    assert f"!{FIELD:08x}" in body(browser)


def test_from_the_list_of_nodes_to_the_gateway_that_heard_one(backhaul, gateway, browser):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 51, text("hello"), ALPHA), 1)
    browser.set_window_size(*PHONE)
    browser.get(backhaul.web + "/nodes")
    browser.find_element(By.NAME, "q").send_keys(f"{FIELD:08x}")
    browser.find_element(By.CSS_SELECTOR, "main form button").click()
    assert "1 node." in body(browser) and f"q={FIELD:08x}" in browser.current_url
    browser.find_element(By.LINK_TEXT, f"!{FIELD:08x}").click()
    assert "Heard directly by 1 gateway" in body(browser)
    browser.find_element(By.LINK_TEXT, ALPHA).click()
    browser.get(backhaul.web + "/gateways")
    browser.find_element(By.LINK_TEXT, ALPHA).click()
    assert "Connected" in body(browser) and "Ninety days" in body(browser)


def test_the_chat_shows_a_text_as_it_comes_and_none_that_was_not_agreed(backhaul, gateway, browser):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 71, text("anyone on the hill?"), ALPHA), 1)
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 72, text("between us"), ALPHA, consent=False), 1)
    browser.get(backhaul.web + "/chat")
    assert "anyone on the hill?" in body(browser)

    def shows_new():
        gateway.publish(topic_of(ALPHA), envelope(FIELD, shows_new.id, text("on my way"), ALPHA), 1)
        shows_new.id += 1
        return "on my way" in body(browser)
    shows_new.id = 200
    wait_for(shows_new, "the chat to show what was written")
    assert "between us" not in browser.page_source


def test_a_field_lights_its_bytes_by_pointer_and_by_keyboard(backhaul, gateway, browser):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 81, nodeinfo(FIELD, "Field", "FLD"), ALPHA), 1)
    browser.get(backhaul.web + f"/packet/!{FIELD:08x}/81")
    fields = browser.find_elements(By.CSS_SELECTOR, ".tree [data-from]")
    named = next(field for field in fields if "long_name" in field.text)
    browser.execute_script("arguments[0].focus()", named)
    lit = browser.find_elements(By.CSS_SELECTOR, ".bytes .lit")
    first, end = int(named.get_attribute("data-from")), int(named.get_attribute("data-to"))
    assert [int(byte.get_attribute("data-at")) for byte in lit] == list(range(first, end))
    assert bytes.fromhex("".join(byte.text for byte in lit)).endswith(b"Field")
    # And back: a byte of the short name lights its field.
    short = next(field for field in fields if "short_name" in field.text)
    byte = browser.find_element(By.CSS_SELECTOR, f".bytes [data-at='{short.get_attribute('data-from')}']")
    webdriver.ActionChains(browser).move_to_element(byte).perform()
    assert "lit" in short.get_attribute("class") and "lit" not in named.get_attribute("class")
