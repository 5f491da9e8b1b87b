"""The operator changes the policy: on the page, in the file, by signal; and asks first what it would have done."""

import json
import os
import signal

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from conftest import wait_for
from mesh_packets import envelope, text
from test_pages import DESKTOP, PHONE, browser, gateway, sign_in  # noqa: F401
from test_paho import ALPHA, FIELD, topic_of


def heard(backhaul, gateway, count=8):
    """Packets without consent, which the rule `consent` keeps to itself, and one with."""
    for number in range(count):
        gateway.publish(topic_of(ALPHA), envelope(FIELD, 100 + number, text("private"), ALPHA, consent=False), 1)
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 99, text("for all"), ALPHA), 1)
    wait_for(lambda: len(backhaul.run("log", "--json").splitlines()) >= count + 1, "the receptions in the history")


def read(browser):
    """In one go: the page of a backtest replaces its content until there is a result."""
    return browser.execute_script("return document.querySelector('main')?.innerText ?? ''")


def ask(browser, rule, state):
    browser.find_element(By.CSS_SELECTOR, "a[href='/policy/change']").click()
    Select(browser.find_element(By.NAME, "rule")).select_by_value(rule)
    Select(browser.find_element(By.NAME, "state")).select_by_value(state)
    browser.find_element(By.XPATH, "//button[contains(., 'Had this been on')]").click()
    wait_for(lambda: "Side by side" in read(browser), "the result of the backtest")


def fits(browser):
    widths = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], f"{browser.current_url} is {widths[0]} wide on a screen of {widths[1]}"


def picture(browser, name):
    """Kept where a folder for pictures is named."""
    folder = os.environ.get("PICTURES")
    if folder:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        size = browser.get_window_size()
        browser.set_window_size(size["width"], height + 150)
        browser.save_screenshot(f"{folder}/{name}.png")
        browser.set_window_size(size["width"], size["height"])


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_rule_is_switched_after_reading_what_it_would_have_done(backhaul, gateway, browser, size, scheme):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                            {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.set_window_size(*size)
    heard(backhaul, gateway)
    sign_in(browser, backhaul)
    browser.get(backhaul.web + "/policy")
    ask(browser, "consent", "observe")
    told = read(browser)
    assert "rule consent: enforce → observe" in told
    assert "8 receptions would have been passed on that the policy in force stops." in told
    assert "Rule consent would have noted 8 without deciding on them." in told
    fits(browser)
    picture(browser, f"backtest-{scheme}-{size[0]}")
    assert "enforce" in backhaul.run("policy", "rules").split("\nconsent ")[1].splitlines()[0], "nothing changed yet"

    browser.find_element(By.XPATH, "//button[contains(., 'Put it in force')]").click()
    wait_for(lambda: "The proposed policy is in force" in read(browser), "the policy to be applied")
    assert "observe" in browser.find_element(By.CSS_SELECTOR, "#consent").text
    picture(browser, f"policy-{scheme}-{size[0]}")
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 300, text("observed"), ALPHA, consent=False), 1)
    lines = wait_for(lambda: [line for line in map(json.loads, backhaul.run("log", "--json").splitlines())
                              if line["packet"] and line["packet"]["id"] == 300], "the packet in the log")
    assert lines[0]["verdict"] in ("accept", "rewrite"), lines

    # Back to enforce: the other direction, and the pages tell of both.
    browser.get(backhaul.web + "/policy")
    ask(browser, "consent", "enforce")
    assert "would not have been passed on any more" in read(browser)
    browser.find_element(By.XPATH, "//button[contains(., 'Put it in force')]").click()
    def consent_rows():  # the page may be between two addresses
        return browser.execute_script("return [...document.querySelectorAll('#consent')].map(row => row.textContent)")
    wait_for(lambda: any("enforce" in row for row in consent_rows()), "the policy to be applied")

    def changes_told():
        browser.get(backhaul.web + "/policy/change")
        told = browser.find_elements(By.CSS_SELECTOR, ".changes > li")
        return told if len(told) == 2 else None

    changes = wait_for(changes_told, "both changes to be in the history")
    assert "operator, on the page" in changes[0].text, [c.text for c in changes]
    fits(browser)
    picture(browser, f"change-{scheme}-{size[0]}")
    browser.get(backhaul.web + "/log")
    assert "The policy was changed: operator, on the page" in read(browser)
    fits(browser)


def test_a_wrong_file_is_explained_and_changes_nothing(backhaul, browser):
    sign_in(browser, backhaul)
    browser.get(backhaul.web + "/policy/change")
    area = browser.find_element(By.NAME, "text")
    area.clear()
    area.send_keys("hop_limit_max = 9\n[rules]\nconsnt = 'off'\n")
    browser.find_element(By.XPATH, "//button[contains(., 'Check and ask')]").click()
    wait_for(lambda: "did you mean" in read(browser), "the mistakes")
    assert "policy.toml:1:17" in read(browser) and "`consent`" in read(browser)
    assert "hop_limit_max = 9" in browser.find_element(By.NAME, "text").get_attribute("value"), "what was written stays"
    assert not (backhaul.data / "data" / "policy.toml").exists()
    # The browser remarks on the status 422, which is right.
    assert all("422" in entry["message"] for entry in browser.get_log("browser"))


def test_only_the_operator_proposes(backhaul, browser):
    for path in ["/policy/change", "/policy/backtest/1"]:
        browser.get(backhaul.web + path)
        assert "There is no public page here" in read(browser)
    browser.get(backhaul.web + "/policy")
    assert not browser.find_elements(By.CSS_SELECTOR, "a[href='/policy/change']")
    browser.get_log("browser")


def test_a_signal_makes_the_broker_look_and_a_wrong_file_is_said(backhaul, browser):
    file = backhaul.data / "data" / "policy.toml"
    file.write_text("hop_limit_max = 0\n")
    backhaul.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "hop_limit_max = 0" in backhaul.run("policy", "show"), "the file to be taken over")
    file.write_text("hop_limit_max = 'none'\n")
    backhaul.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "is not taken over" in backhaul.text(), "the broker to say so")
    assert "hop_limit_max = 0" in backhaul.run("policy", "show")
    sign_in(browser, backhaul)
    browser.get(backhaul.web + "/policy/change")
    assert "is not in force" in read(browser) and "policy.toml:1:17" in read(browser)
    history = wait_for(lambda: backhaul.run("policy", "history"), "the change in the history")
    assert "hop_limit_max 1 → 0" in history and "none" not in history.replace("hop_limit_max 1 → 0", "")


def test_the_command_line_tells_what_a_policy_would_have_done(backhaul, gateway):
    heard(backhaul, gateway)
    new = backhaul.data / "new.toml"
    new.write_text("[rules]\nconsent = 'observe'\n")
    told = json.loads(backhaul.run("policy", "test", new, "--since", "1h", "--json"))
    assert told["receptions"] == 9 and told["gained"] == 8 and told["lost"] == 0, told
    assert told["rules"]["consent"] == {"decided": [8, 0], "withheld": [0, 0], "observed": [0, 8]}
    assert told["nodes"] == [{"node": f"!{FIELD:08x}", "lost": 0, "gained": 8}]
    words = backhaul.run("policy", "test", new, "--since", "1h")
    assert "rule consent: enforce → observe" in words and "samples" in words
    assert "Nothing would have been different" in backhaul.run("policy", "test", os.devnull, "--since", "1h")
