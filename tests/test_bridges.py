"""Bridges to other brokers: between two Backhauls, over TLS, and with mosquitto as the other side."""

import json
import re
import socket
import subprocess
import urllib.request

import paho.mqtt.client as paho
import pytest

from conftest import BINARY, credentials_in, wait_for
from mesh_packets import envelope, opened, text
from test_paho import FIELD, client  # noqa: F401 (client is a fixture)

LIBERTY, OVERLAND, TOPEKA = "!7c5a0a01", "!7c5a0a02", "!7c5a0b01"
KC_ROOT, KS_ROOT = "msh/US/KC", "msh/US/KS"


def topic(root, gateway, channel="LongFast"):
    return f"{root}/2/e/{channel}/{gateway}"


def bridge(name, port, **keys):
    keys = {"name": name, "host": "127.0.0.1", "port": port, "tls": False, "root_here": KC_ROOT, **keys}
    def value(v):
        return str(v).lower() if isinstance(v, (bool, int)) else f'"{v}"'
    return "[[bridge]]\n" + "".join(f"{key} = {value(v)}\n" for key, v in keys.items())


def configured(tmp_path, name, *bridges, rest=""):
    file = tmp_path / f"{name}.toml"
    file.write_text(rest + "\n".join(bridges))
    return "--config", file


def credential_for(other, tmp_path):
    """A credential for a bridge that comes in, as keys of the configuration of who comes."""
    login = credentials_in(other.run("bridge", "add", "kansas-city"))
    wait_for(lambda: other.connack(*login) == 0, "the broker to learn of the bridge")
    (tmp_path / "password").write_text(login[1] + "\n")
    return {"username": login[0], "password_file": tmp_path / "password"}


def metrics(backhaul):
    text = urllib.request.urlopen(f"{backhaul.web}/metrics").read().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("backhaul_bridge")]
    return {name: float(value) for name, value in lines}


def is_up(backhaul, name):
    return metrics(backhaul).get(f'backhaul_bridge_up{{bridge="{name}"}}') == 1


@pytest.fixture
def mosquitto(tmp_path):
    """Starts mosquitto on a port; stops what was started."""
    started = []

    def start(port=None):
        if port is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        config = tmp_path / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        started.append(subprocess.Popen(["mosquitto", "-c", config], stderr=subprocess.DEVNULL))
        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_for(answers, "mosquitto to listen")
        return port, started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_two_cities_exchange_texts_and_nothing_else(serve, client, tmp_path):
    ks = serve(*configured(tmp_path, "ks", rest=f'[mesh]\nroot = "{KS_ROOT}"\n'))
    topeka = ks.add_gateway(TOPEKA)
    login = credential_for(ks, tmp_path)
    kc = serve(*configured(tmp_path, "kc", bridge("topeka", ks.mqtt_port, root_there=KS_ROOT, **login)))
    liberty = kc.add_gateway(LIBERTY)
    wait_for(lambda: is_up(kc, "topeka"), "the bridge to be up")
    assert "topeka" in kc.wait_for_line("(the bridge is up.*)")
    there, here = client(ks.mqtt_port, TOPEKA, topeka), client(kc.mqtt_port, LIBERTY, liberty)
    there.subscribe(topic(KS_ROOT, "+"), 1)
    here.subscribe(topic(KC_ROOT, "+"), 1)
    here.publish(topic(KC_ROOT, LIBERTY), envelope(FIELD, 1, text("for the neighbours"), LIBERTY, consent=False), 1)
    here.publish(topic(KC_ROOT, LIBERTY), envelope(FIELD, 2, (67, b"\x0d\x01\x00\x00\x00"), LIBERTY), 1)
    here.publish(topic(KC_ROOT, LIBERTY), envelope(FIELD, 3, text("hello Topeka"), LIBERTY), 1)
    there.publish(topic(KS_ROOT, TOPEKA), envelope(FIELD + 1, 4, text("hello Kansas City"), TOPEKA), 1)
    came = there.next()
    assert came.topic == topic(KS_ROOT, LIBERTY)
    assert opened(came.payload)[1].payload == b"hello Topeka", "the first that crosses is the consented text"
    came = here.next()
    assert came.topic == topic(KC_ROOT, TOPEKA) and opened(came.payload)[1].payload == b"hello Kansas City"
    wait_for(lambda: metrics(kc).get('backhaul_bridge_messages_total{bridge="topeka",direction="out"}') == 1,
             "the bridge to count")
    counts = metrics(kc)
    assert counts['backhaul_bridge_messages_total{bridge="topeka",direction="in"}'] == 1
    assert counts['backhaul_bridge_held_total{bridge="topeka",direction="out",reason="port"}'] == 1
    # The command line says the same of the running server, and of one that has stopped how it was.
    status = wait_for(lambda: (told := kc.run("bridge", "status")) and "out  1 crossed" in told and told, "the file")
    assert "topeka" in status and " up" in status and "in   1 crossed" in status and "1 port" in status
    assert json.loads(kc.run("bridge", "status", "--json"))["bridges"][0]["state"] == "up"
    assert "there is no bridge" in ks.run("bridge", "status")
    # What crossed is in the history of both, with who brought it.
    explained = ks.run("explain", f"!{FIELD:08x}", "3")
    assert "kansas-city" in explained, explained
    assert "bridge:topeka" in kc.run("explain", f"!{FIELD:08x}", "3")
    kc.stop()


def test_a_bridge_speaks_tls_to_whom_it_trusts_and_to_nobody_else(serve, client, tmp_path):
    listener = '[[listener]]\nname = "tls"\naddress = "127.0.0.1:0"\nkind = "tls"\n'
    ks = serve(*configured(tmp_path, "ks", rest=listener))
    port = int(ks.wait_for_line(r"127\.0\.0\.1:(\d+) \(tls\)"))
    topeka, login = ks.add_gateway(TOPEKA), credential_for(ks, tmp_path)
    wary = {"tls": True, "root_there": "msh/US", **login}
    kc = serve(*configured(
        tmp_path, "kc",
        bridge("trusting", port, ca=ks.data / "data" / "tls" / "certificate.pem", **wary),
        bridge("wary", port, **{**wary, "client_id": "another"})))
    liberty = kc.add_gateway(LIBERTY)
    wait_for(lambda: is_up(kc, "trusting"), "the bridge to be up")
    kc.wait_for_line(r"(is interrupted: .*certificate.* `ca`)")
    assert not is_up(kc, "wary")
    there, here = client(ks.mqtt_port, TOPEKA, topeka), client(kc.mqtt_port, LIBERTY, liberty)
    there.subscribe(topic("msh/US", "+"), 1)
    here.publish(topic(KC_ROOT, LIBERTY), envelope(FIELD, 1, text("sealed"), LIBERTY), 1)
    assert opened(there.next().payload)[1].payload == b"sealed"


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_mosquitto_on_the_other_side_both_ways_without_loops(serve, client, tmp_path, mosquitto, version):
    port, _ = mosquitto()
    both = {"send": "all", "receive": "all", "root_there": "feeds/kc"}
    kc = serve(*configured(tmp_path, "kc", bridge("mosquitto", port, version=version, **both)))
    logins = [kc.add_gateway(node) for node in (LIBERTY, OVERLAND)]
    wait_for(lambda: is_up(kc, "mosquitto"), "the bridge to be up")
    liberty, overland = (client(kc.mqtt_port, *pair) for pair in zip((LIBERTY, OVERLAND), logins))
    outside, watcher = client(port, "outside"), client(port, "watcher")
    watcher.subscribe("#", 1)
    overland.subscribe(topic(KC_ROOT, "+"), 1)
    for number in range(1, 11):
        liberty.publish(topic(KC_ROOT, LIBERTY), envelope(FIELD, number, text(f"out {number}"), LIBERTY), 1)
        outside.publish(topic("feeds/kc", TOPEKA), envelope(FIELD + 1, 100 + number, text(f"in {number}"), TOPEKA), 1)
    def crossed(direction):
        return metrics(kc).get(f'backhaul_bridge_messages_total{{bridge="mosquitto",direction="{direction}"}}')
    wait_for(lambda: crossed("out") == 10 and crossed("in") == 10, "everything to cross")
    seen = [message.topic for message in watcher.nothing_but("marker", outside)]
    assert seen.count(topic("feeds/kc", LIBERTY)) == 10 and seen.count(topic("feeds/kc", TOPEKA)) == 10
    words = {opened(overland.next().payload)[1].payload.decode() for _ in range(20)}
    assert words == {f"{way} {number}" for way in ("in", "out") for number in range(1, 11)}


def test_a_bridge_waits_for_a_broker_that_is_away_and_says_so(serve, client, tmp_path, mosquitto):
    port, process = mosquitto()
    kc = serve(*configured(tmp_path, "kc", bridge("mosquitto", port, root_there="feeds/kc")))
    login = kc.add_gateway(LIBERTY)
    wait_for(lambda: is_up(kc, "mosquitto"), "the bridge to be up")
    wall = credentials_in(kc.run("observer", "add", "wall"))
    wait_for(lambda: kc.connack(*wall) == 0, "the broker to learn of the observer")
    monitor = client(kc.mqtt_port, "wall", wall)
    monitor.subscribe("$SYS/broker/connection/+/state", 1)
    assert monitor.next().payload == b"1"
    process.kill()
    process.wait()
    assert monitor.next().payload == b"0"
    liberty = client(kc.mqtt_port, LIBERTY, login)
    liberty.publish(topic(KC_ROOT, LIBERTY), envelope(FIELD, 1, text("patience"), LIBERTY), 1)
    waiting = 'backhaul_bridge_waiting{bridge="mosquitto",direction="out"}'
    wait_for(lambda: metrics(kc).get(waiting) == 1, "the message to wait")
    kc.wait_for_line(r"(cannot be reached on port|the broker closed)")
    mosquitto(port)
    watcher = client(port, "watcher")
    watcher.subscribe("#", 1)
    assert opened(watcher.next().payload)[1].payload == b"patience"
    assert monitor.next().payload == b"1"


def test_a_preview_shows_what_topics_become(tmp_path):
    arguments = configured(tmp_path, "kc", bridge("topeka", 1883, root_there=KS_ROOT, receive="off"))
    shown = subprocess.run([BINARY, "bridge", "preview", topic(KC_ROOT, LIBERTY), *arguments],
                           capture_output=True, text=True, check=True).stdout
    assert re.search(rf"leaves as\s+{re.escape(topic(KS_ROOT, LIBERTY))}", shown)
    assert "nothing crosses in this direction" in shown
