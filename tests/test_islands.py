"""Islands: found by what gateways hear, asked for in filters, corrected and given models on the page, granted by channel."""

import json

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from conftest import wait_for
from mesh_packets import envelope, text
from test_pages import browser, gateway, sign_in  # noqa: F401
from test_paho import ALPHA, FIELD, topic_of
from test_policy import fits, picture, read


def pair_in_force(backhaul):
    return [line for line in backhaul.run("policy", "show").splitlines() if line.startswith(("pinned", "model_of_island"))]


def ask(browser, form, **choices):
    for name, value in choices.items():
        Select(form.find_element(By.NAME, name)).select_by_value(value)
    form.find_element(By.TAG_NAME, "button").click()
    wait_for(lambda: "Put it in force" in read(browser), "the result of the backtest")


def form_with(browser, field):
    return browser.find_element(By.XPATH, f"//select[@name='{field}']/ancestor::form")


def test_an_island_is_asked_for_and_changed_on_the_page(backhaul, gateway, browser):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 70, text("on the island"), ALPHA), 1)
    sign_in(browser, backhaul)
    wait_for(lambda: "no island is known" not in (browser.get(backhaul.web + "/airtime"), read(browser))[1], "the island")
    assert "connected" in read(browser)
    fits(browser)
    picture(browser, "airtime")

    ask(browser, form_with(browser, "model"), model="text-only")
    assert "model_of_island" in read(browser)
    assert pair_in_force(backhaul) == [], "nothing changes before somebody says so"
    browser.find_element(By.XPATH, "//button[contains(., 'Put it in force')]").click()
    wait_for(lambda: pair_in_force(backhaul) == [f'model_of_island = ["{ALPHA}=text-only"]'], "the model to be in force")

    browser.get(backhaul.web + "/airtime")
    ask(browser, form_with(browser, "gateway"), gateway=ALPHA, island=ALPHA)
    browser.find_element(By.XPATH, "//button[contains(., 'Put it in force')]").click()
    wait_for(lambda: f'pinned = ["{ALPHA}={ALPHA}"]' in pair_in_force(backhaul), "the pin to be in force")
    browser.get(backhaul.web + "/airtime")
    assert "(said by the operator)" in form_with(browser, "gateway").text

    # The pages ask the broker every few seconds; the command line reads what is kept every half minute.
    found = wait_for(lambda: backhaul.run("log", f"island:{ALPHA}", "--json", check=False).stdout, "the island in the kept memory", 45)
    assert [json.loads(line)["packet"]["id"] for line in found.splitlines()] == [70]
    browser.get(backhaul.web + f"/log?q=island:{ALPHA}")
    assert "on the island" in read(browser)
    browser.get(backhaul.web + "/log?q=island:!7c5a0bff")
    assert "is on no island" in read(browser)
    browser.get_log("browser")


def test_a_grant_is_given_on_the_page_and_holds(backhaul, gateway, browser):
    sign_in(browser, backhaul)
    browser.get(backhaul.web + "/grants")
    assert "No gateway has a grant" in read(browser)
    fits(browser)
    Select(browser.find_element(By.NAME, "gateway")).select_by_value(ALPHA)
    browser.find_element(By.NAME, "channels").send_keys("Ops")
    browser.find_element(By.NAME, "downlink").click()
    browser.find_element(By.NAME, "downlink_channels").send_keys("Ops")
    browser.find_element(By.NAME, "downlink_s").send_keys("30")
    browser.find_element(By.NAME, "note").send_keys("parade")
    browser.find_element(By.XPATH, "//button[contains(., 'Grant this')]").click()
    wait_for(lambda: "downlink of Ops, 30 s of airtime an hour" in read(browser), "the grant on the page")
    picture(browser, "grants")
    listed = json.loads(backhaul.run("grant", "list", "--json"))
    assert listed["channels"] == ["Ops"] and listed["downlink_airtime_ms"] == 30_000 and listed["note"] == "parade"

    gateway.publish(topic_of(ALPHA), envelope(FIELD, 71, text("elsewhere"), ALPHA), 1)
    line = wait_for(lambda: backhaul.run("log", "rule:channel-grant", "--json"), "the uplink on another channel to be kept back")
    assert json.loads(line)["packet"]["id"] == 71
    browser.find_element(By.XPATH, "//button[contains(., 'End it')]").click()
    wait_for(lambda: "No gateway has a grant" in read(browser), "the end of the grant")
