"""What was received is marked, kept, handed on, imported and put back, with independent clients."""

import json
import pathlib
import subprocess
import time

import pytest
from selenium.webdriver.common.by import By

from conftest import BINARY, credentials_in, wait_for
from mesh_packets import envelope, text
from test_pages import body, browser, sign_in  # noqa: F401  fixtures
from test_paho import ALPHA, FIELD, Client, topic_of

OTHER = "!7c5a0a02"


@pytest.fixture
def heard(backhaul):
    """Three texts of a node through a gateway, one of them without consent."""
    gateway = Client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    sent = [envelope(FIELD, 40 + number, text(f"number {number}"), ALPHA, consent=number != 1) for number in range(3)]
    for payload in sent:
        gateway.publish(topic_of(ALPHA), payload, 1)
    wait_for(lambda: len(backhaul.run("log", "--json").splitlines()) == 3, "the receptions in the history")
    yield sent
    gateway.close()


def observer(backhaul, name):
    login = credentials_in(backhaul.run("observer", "add", name))
    wait_for(lambda: backhaul.connack() != 0 and backhaul.connack(*login) == 0, "the broker to learn of the observer")
    client = Client(backhaul.mqtt_port, name, login)
    client.login = login
    return client


def replay(backhaul, number):
    lines = backhaul.run("replay", "list", "--json").splitlines()
    return next(found for found in map(json.loads, lines) if found["number"] == number)


def over(backhaul, number):
    return wait_for(lambda: replay(backhaul, number)["state"] == "over" and replay(backhaul, number), "the end of the replay")


def test_the_past_comes_back_byte_for_byte_and_reaches_no_gateway(backhaul, heard):
    wall = observer(backhaul, "wall")
    wall.subscribe("replay/#", 1)
    other = Client(backhaul.mqtt_port, OTHER, backhaul.add_gateway(OTHER))
    # As a node asks whose root topic somebody has set to that of the replay.
    other.subscribe("replay/1/msh/US/2/e/LongFast/+", 1)
    other.subscribe("msh/US/2/e/LongFast/+", 1)
    printed = backhaul.run("replay", "start", "last 1h", "--speed", "1000")
    assert "replay/1/#" in printed
    got = [wall.next() for _ in heard]
    assert [message.payload for message in got] == heard
    assert {message.topic for message in got} == {f"replay/1/{topic_of(ALPHA)}"}
    assert not any(message.retain for message in got)
    assert over(backhaul, 1)["receptions"] == 3
    publisher = Client(backhaul.mqtt_port, ALPHA, backhaul.login_of(ALPHA))
    publisher.publish(topic_of(ALPHA), envelope(FIELD, 99, text("now"), ALPHA), 1)
    assert other.next().topic.startswith("msh/"), "what comes now does go down"
    assert other.messages.empty()
    # What is put back is not received again.
    wait_for(lambda: len(backhaul.run("log", "--json").splitlines()) == 4, "the last reception")
    for client in (wall, other, publisher):
        client.close()


def test_a_replay_is_stepped_paused_sped_up_and_stopped(backhaul, heard):
    wall = observer(backhaul, "wall")
    wall.subscribe("replay/#", 1)
    backhaul.run("replay", "start", "last 1h", "--paused", "--json-topics")
    time.sleep(0.5)
    assert wall.messages.empty()
    backhaul.run("replay", "step", 1)
    assert wall.next().payload == heard[0]
    backhaul.run("replay", "step", 1, 1)
    assert wall.next().payload == heard[1]
    assert wait_for(lambda: replay(backhaul, 1)["receptions"] == 2 and replay(backhaul, 1), "the steps")["state"] == "paused"
    backhaul.run("replay", "speed", 1, 500)
    backhaul.run("replay", "resume", 1)
    assert wall.next().payload == heard[2]
    over(backhaul, 1)
    assert "no replay 1 is under way" in backhaul.run("replay", "pause", 1, check=False).stderr
    backhaul.run("replay", "start", "last 1h", "--speed", "0.1")
    backhaul.run("replay", "stop", 2)
    assert over(backhaul, 2)["receptions"] == 0
    # A filter, and words that are wrong.
    backhaul.run("replay", "start", "id:42 last 1h", "--speed", "1000")
    assert wall.next().payload == heard[2]
    assert over(backhaul, 3)["receptions"] == 1
    assert "since when" in backhaul.run("replay", "start", "port:text", check=False).stderr
    backhaul.run("replay", "start", "from:nobody-here last 1h")
    assert "no node is called" in over(backhaul, 4)["problem"]
    wall.close()


def test_an_incident_is_handed_on_to_another_backhaul_with_everything(backhaul, serve, heard, tmp_path):
    backhaul.run("incident", "mark", "Storm over Liberty", "last 1h", "--notes", "The hill was gone for a while.")
    assert "Storm over Liberty" in backhaul.run("incident", "list")
    folder = tmp_path / "storm"
    assert "3 receptions" in backhaul.run("incident", "export", 1, folder)
    assert json.loads((folder / "incident.json").read_text())["receptions"] == 3
    assert "cannot make" in backhaul.run("incident", "export", 1, folder, check=False).stderr

    second = serve()
    assert "archive `storm`" in second.run("incident", "import", folder)
    shown = second.run("incident", "show", 1)
    assert "Storm over Liberty" in shown and "The hill was gone" in shown and "archive `storm`" in shown
    assert "already" in second.run("incident", "import", folder, check=False).stderr
    # The same receptions, but for their numbers; and it hands them on as it got them.
    told = [json.loads(line) for line in backhaul.run("export", "--format", "jsonl-copies").splitlines()]
    archive = second.data / "data" / "archives" / "storm"
    found = subprocess.run([BINARY, "export", "--format", "jsonl-copies", "--data", archive], capture_output=True, text=True)
    assert [dict(json.loads(line), seq=None) for line in found.stdout.splitlines()] == [dict(line, seq=None) for line in told]
    # Its replay reads from the archive.
    wall = observer(second, "wall")
    wall.subscribe("replay/#", 1)
    second.run("replay", "start", "--incident", 1, "--speed", "1000")
    assert [wall.next().payload for _ in heard] == heard
    wall.close()
    for command, word in [("close", "closed"), ("reopen", "open again"), ("remove", "removed")]:
        assert word in second.run("incident", command, 1)
    assert "no incident is marked" in second.run("incident", "list")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "incident.json").write_text((folder / "incident.json").read_text())
    lines = (folder / "receptions.jsonl").read_text().splitlines()
    (damaged / "receptions.jsonl").write_text("\n".join(lines[:2]))
    assert "has 2 receptions, and 3 were exported" in second.run("incident", "import", damaged, check=False).stderr
    assert not (second.data / "data" / "archives" / "damaged").exists()


def test_a_capture_of_mosquitto_is_imported(backhaul, heard, tmp_path):
    wall = observer(backhaul, "wall")
    capture = tmp_path / "capture.txt"
    with open(capture, "w") as out:
        listening = subprocess.Popen(
            ["mosquitto_sub", "-p", str(backhaul.mqtt_port), "-u", wall.login[0], "-P", wall.login[1], "-t", "msh/#",
             "-F", "%I %t %x", "-C", "2"], stdout=out)
        gateway = Client(backhaul.mqtt_port, ALPHA, backhaul.login_of(ALPHA))
        number = 60
        while listening.poll() is None:
            gateway.publish(topic_of(ALPHA), envelope(FIELD, number, text("captured"), ALPHA), 1)
            number += 1
            time.sleep(0.1)
    imported = backhaul.run("import", capture)
    assert "2 receptions imported into the archive `capture`" in imported
    archive = pathlib.Path(imported.split("--data ")[1].split("`")[0])
    lines = subprocess.run([BINARY, "log", "--json", "--data", archive], capture_output=True, text=True).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 2 and all(row["verdict"] == "record only" for row in rows)
    assert all(row["packet"]["from"] == f"!{FIELD:08x}" and row["port"] == 1 and row["gateway"] == ALPHA for row in rows)
    with open(capture, "a") as out:
        out.write("this is no line of a capture\n")
    refused = backhaul.run("import", capture, "--replace", check=False)
    assert refused.returncode == 1 and "line 3: it is neither" in refused.stderr
    assert "1 lines were left out" in backhaul.run("import", capture, "--replace", "--skip-wrong")
    assert backhaul.run("archive", "list").split() == ["capture"]
    backhaul.run("archive", "remove", "capture")
    assert backhaul.run("archive", "list") == ""
    for client in (wall, gateway):
        client.close()


def test_an_import_of_an_export_is_the_same(backhaul, heard, tmp_path):
    exported = tmp_path / "week.jsonl"
    backhaul.run("export", "--output", exported)
    backhaul.run("import", exported)
    archive = backhaul.data / "data" / "archives" / "week"
    again = subprocess.run([BINARY, "export", "--data", archive], capture_output=True, text=True).stdout.splitlines()
    before = exported.read_text().splitlines()
    assert [dict(json.loads(line), seq=None) for line in again] == [dict(json.loads(line), seq=None) for line in before]


def test_an_incident_is_marked_in_the_log_and_replayed_from_its_page(backhaul, heard, browser):
    watching = observer(backhaul, "dashboard")
    watching.subscribe("replay/#", 1)
    sign_in(browser, backhaul)
    browser.get(backhaul.web + "/log?q=last+2h")
    browser.find_element(By.LINK_TEXT, "Mark as incident").click()
    browser.find_element(By.NAME, "title").send_keys("Net control lost")
    browser.find_element(By.CSS_SELECTOR, "form.card button").click()
    wait_for(lambda: "/incident/1" in browser.current_url, "the page of the incident")
    assert "Net control lost" in browser.find_element(By.TAG_NAME, "h1").text
    assert "number 1" in body(browser) and "Before and after" in body(browser)
    browser.find_element(By.CSS_SELECTOR, "#new summary").click()
    browser.find_element(By.XPATH, "//option[@value='1000']").click()
    browser.find_element(By.CSS_SELECTOR, "#new button").click()
    wait_for(lambda: "/replays" in browser.current_url, "the page of replays")
    # The page follows by itself.
    wait_for(lambda: "over" in body(browser) and "3 receptions" in body(browser), "the end of the replay on the page")
    assert {watching.next().topic for _ in heard} == {f"replay/1/{topic_of(ALPHA)}"}
    watching.close()
