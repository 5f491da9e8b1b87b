"""A node is disclosed and erased: with a running server and without, and its number and words are in no file afterwards."""

import json
import subprocess

import pytest
from conftest import BINARY, wait_for
from mesh_packets import envelope, text
from test_paho import ALPHA, FIELD, client, topic_of  # noqa: F401 (client is a fixture)

GONE = 0x9E1C0D17
NAME = f"!{GONE:08x}"
WORDS = "meet me at the mill at nine"


def traces(folder, *texts):
    """Files of a folder in which the node's number or one of the texts stands."""
    needles = [f"{GONE:08x}".encode(), f"{GONE:08X}".encode(), GONE.to_bytes(4, "little"), GONE.to_bytes(4, "big")]
    needles += [words.encode() for words in texts]
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            found += [(str(file), needle) for needle in needles if needle in content]
    return found


@pytest.fixture
def heard(serve, client):
    """A server that has recorded the node, others, and what somebody entered of the node."""
    backhaul = serve()
    gateway = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    gateway.publish(topic_of(ALPHA), envelope(GONE, 1, text(WORDS), ALPHA), 1)
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 2, text("somebody else"), ALPHA), 1)
    backhaul.run("gateway", "add", NAME, "--owner", "Ada Example", "--contact", "ada@example.org")
    wait_for(lambda: len(packets(backhaul)) == 2, "both packets in the history")
    return backhaul, gateway


def packets(backhaul):
    lines = backhaul.run("log", "--json", "--limit", "100").splitlines()
    return {json.loads(line)["packet"]["from"] for line in lines if json.loads(line)["packet"]}


def test_what_is_held_is_disclosed_line_by_line_with_a_summary(heard, tmp_path):
    backhaul, _ = heard
    file = tmp_path / "disclosed.jsonl"
    assert "1 it sent" in backhaul.run("disclose", NAME, "--output", file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["node"] == NAME
    receptions = [line for line in lines if line["kind"] == "reception"]
    assert [(line["why"], line["text"]) for line in receptions] == [("sent", WORDS)]
    entries = [line["entry"] for line in lines if line["kind"] == "directory"]
    assert any(entry.get("contact") == "ada@example.org" for entry in entries)
    assert "1 it sent" in (tmp_path / "disclosed.jsonl.txt").read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_running_server_erases_everywhere_and_keeps_the_node_out(heard, client):
    backhaul, gateway = heard
    before = backhaul.run("erase", NAME)
    assert "1 it sent" in before and "Nothing was deleted" in before
    assert traces(backhaul.data / "data", "ada@example.org")
    done = backhaul.run("erase", NAME, "--yes")
    assert "everything is deleted" in done and "1 it sent" in done and "1 credentials" in done
    assert packets(backhaul) == {f"!{FIELD:08x}"}
    gateway.publish(topic_of(ALPHA), envelope(GONE, 3, text(WORDS), ALPHA), 1)
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 4, text("goes on"), ALPHA), 1)
    wait_for(lambda: len(backhaul.run("log", "--json", "--limit", "9").splitlines()) == 2, "the other packet")
    assert packets(backhaul) == {f"!{FIELD:08x}"}
    backhaul.stop()
    assert traces(backhaul.data / "data", "Ada Example", "ada@example.org") == []
    receipt = json.loads((backhaul.data / "data" / "erasures" / "erasure-1.json").read_text())
    assert receipt["found"]["history"]["sent"] == 1 and receipt["done_ms"] > 0
    # The tombstone outlives a restart, and can be lifted.
    backhaul.start()
    gateway = client(backhaul.mqtt_port, ALPHA, backhaul.login_of(ALPHA))
    gateway.publish(topic_of(ALPHA), envelope(GONE, 5, text(WORDS), ALPHA), 1)
    backhaul.run("erasures", "lift", NAME)
    assert "lifted" in backhaul.run("erasures", "list")

    def is_back():
        gateway.publish(topic_of(ALPHA), envelope(GONE, 6, text(WORDS), ALPHA), 1)
        return NAME in packets(backhaul)

    wait_for(is_back, "the node to be let in")


def test_without_a_server_the_same_is_done(heard):
    backhaul, gateway = heard
    gateway.close()
    backhaul.stop()
    assert "everything is deleted" in backhaul.run("erase", NAME, "--yes")
    assert traces(backhaul.data / "data", "Ada Example", "ada@example.org") == []
    backhaul.start()
    assert packets(backhaul) == {f"!{FIELD:08x}"}


def test_an_erasure_that_is_cut_short_goes_on_after_the_next_start(heard):
    backhaul, gateway = heard
    gateway.close()
    order = subprocess.Popen(
        [BINARY, "erase", NAME, "--yes", "--data", backhaul.data / "data"], stdout=subprocess.PIPE, text=True)
    listed = wait_for(lambda: backhaul.run("erasures", "list"), "the order")
    backhaul.kill()
    backhaul.start()
    assert "everything is deleted" in order.communicate(timeout=60)[0], listed
    backhaul.stop()
    assert traces(backhaul.data / "data") == []
