"""Backhaul against mosquitto's command-line clients, as the README tells a newcomer to use them."""

import json
import subprocess

import pytest

from conftest import VECTORS, wait_for

ALPHA = "!7c5a0a01"


def mosquitto(tool, port, *arguments, **named):
    return subprocess.run([f"mosquitto_{tool}", "-h", "127.0.0.1", "-p", str(port), *arguments],
                          capture_output=True, timeout=30, **named)


def captured(name):
    with open(VECTORS / "generated.jsonl") as lines:
        return next(v for v in map(json.loads, lines) if v["name"] == name)


def as_gateway(vector, gateway=ALPHA):
    """The vector's envelope with the id of another gateway of the same length."""
    return bytes.fromhex(vector["envelope_hex"]).replace(b"!a5000001", gateway.encode())


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_publish_and_subscribe(serve, version):
    port = serve("--lab").mqtt_port
    retained = ["-V", version, "-t", "a/b", "-m", "hello", "-q", "2", "-r"]
    assert mosquitto("pub", port, *retained).returncode == 0
    got = mosquitto("sub", port, "-V", version, "-t", "a/#", "-C", "1", "-W", "10", "-q", "2")
    assert got.stdout == b"hello\n"


def test_a_newcomer_sees_a_captured_packet_and_why_another_was_not_passed_on(backhaul):
    username, password = backhaul.add_gateway(ALPHA)
    login = ["-u", username, "-P", password, "-i", ALPHA, "-q", "1", "-t", f"msh/US/2/e/LongFast/{ALPHA}", "-s"]
    for name in ["text_default", "text_not_ok_to_mqtt"]:
        sent = mosquitto("pub", backhaul.mqtt_port, *login, input=as_gateway(captured(name)))
        assert sent.returncode == 0, sent.stderr
    rows = [json.loads(line) for line in backhaul.run("log", "--json").splitlines()]
    assert [row["verdict"] for row in rows] == ["record only", "rewrite"]
    table = backhaul.run("log")
    assert "consent" in table and ALPHA in table
    declined = captured("text_not_ok_to_mqtt")["decoded"]
    explained = backhaul.run("explain", f"!{declined['from']:08x}", str(declined["id"]))
    assert "has not agreed to MQTT" in explained


def test_guests_come_from_this_machine_only_until_the_first_credential(backhaul):
    port = backhaul.mqtt_port
    assert mosquitto("pub", port, "-t", "try/it", "-m", "x").returncode == 0
    backhaul.add_gateway(ALPHA)
    wait_for(lambda: mosquitto("pub", port, "-t", "try/it", "-m", "x").returncode != 0, "guests to be refused")


def test_an_observer_reads_and_does_not_write(backhaul):
    from conftest import credentials_in
    reader = credentials_in(backhaul.run("observer", "add", "dashboard"))
    gateway = backhaul.add_gateway(ALPHA)
    port, topic = backhaul.mqtt_port, f"msh/US/2/e/LongFast/{ALPHA}"
    subscriber = subprocess.Popen(
        ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-u", reader[0], "-P", reader[1], "-t", "msh/#",
         "-C", "1", "-W", "20", "-F", "%t %x"], stdout=subprocess.PIPE, text=True)
    packet = as_gateway(captured("text_default"))
    def publish():
        mosquitto("pub", port, "-u", gateway[0], "-P", gateway[1], "-t", topic, "-q", "1", "-s", input=packet)
        return subscriber.poll() is not None
    wait_for(publish, "the observer to get the packet")
    assert subscriber.stdout.read().strip() == f"{topic} {packet.hex()}", "observers get the bytes as they came"
    refused = mosquitto("pub", port, "-V", "mqttv5", "-u", reader[0], "-P", reader[1], "-t", topic, "-q", "1",
                        "-s", "-d", input=packet)
    assert b"135" in refused.stdout + refused.stderr or b"Not authorized" in refused.stdout + refused.stderr
