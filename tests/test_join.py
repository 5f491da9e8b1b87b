"""From a request to a gateway that ticks: a browser asks, an operator approves, the node connects."""

import re

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

from conftest import wait_for
from mesh_packets import envelope, text
from test_pages import body, browser, sign_in  # noqa: F401 (browser is a fixture)
from test_paho import FIELD, Client, topic_of

NODE = "!b7000099"
ANSWERS = {"node": NODE, "owner": "Jo Doe", "contact": "jo@example.org", "place": "Liberty, near the water tower",
           "power": "mains", "internet": "fibre"}


def fits(browser):
    widths = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], f"{browser.current_url} is {widths[0]} wide on a screen of {widths[1]}"


def shows(browser, *words):
    try:
        return all(word in body(browser) for word in words)
    except WebDriverException:  # one page has gone and the next has not come
        return False


def press(browser, name, then):
    browser.find_element(By.XPATH, f"//main//button[normalize-space()='{name}']").click()
    wait_for(lambda: shows(browser, then), then)


def test_somebody_asks_is_approved_connects_and_sees_the_boxes_tick(backhaul, browser):  # noqa: F811
    browser.set_window_size(500, 900)
    browser.get(backhaul.web + "/join")
    fits(browser)
    for name, answer in ANSWERS.items():
        browser.find_element(By.NAME, name).send_keys(answer)
    browser.find_element(By.NAME, "fixed").click()
    press(browser, "Send the request", "Your request was sent")
    link = browser.find_element(By.CSS_SELECTOR, "main pre").text
    code = link.rsplit("#", 1)[1]
    fits(browser)

    sign_in(browser, backhaul)
    browser.get(backhaul.web + "/requests")
    assert "jo@example.org" in body(browser) and "Suggested: Approve" in body(browser)
    fits(browser)
    press(browser, "Approve", "Nobody waits")
    browser.delete_all_cookies()

    browser.get(backhaul.web + "/request#" + code)
    wait_for(lambda: browser.find_element(By.NAME, "token").get_attribute("value") == code, "the code from the link")
    assert code not in browser.current_url
    press(browser, "See how it stands", "It is granted.")
    press(browser, "Show the credentials", "Credentials of")
    shown = body(browser)
    fits(browser)
    username, password = (re.search(rf"{name}\n(\S+)", shown).group(1) for name in ("User name", "Password"))
    assert browser.find_element(By.CSS_SELECTOR, "svg.qr")

    browser.find_element(By.LINK_TEXT, "Watch the checklist tick").click()
    wait_for(lambda: shows(browser, "It is not connected."), "the checklist")
    fits(browser)
    wait_for(lambda: backhaul.connack(username, password) == 0, "the broker to learn of the gateway")
    node = Client(backhaul.mqtt_port, NODE, (username, password))
    node.publish(topic_of(NODE), envelope(FIELD, 31, text("hello"), NODE), 1)
    wait_for(lambda: shows(browser, "It is connected.", "1 reception within a day"),
             "the boxes to tick without a reload")
    assert "hello" not in body(browser)
    node.close()
    browser.get(backhaul.web + "/mine")
    fits(browser)
    assert "of 14 points of the checklist are done" in body(browser)
