"""Too much is held back, others notice nothing, and what was agreed passes at once."""

import json

import paho.mqtt.client as paho
from meshtastic.protobuf import portnums_pb2

from conftest import wait_for
from mesh_packets import envelope, text
from test_paho import ALPHA, CHARLIE, FIELD, client, topic_of  # noqa: F401 (client is a fixture)


def test_a_flood_is_refused_and_held_and_another_gateway_is_untouched(serve, client):
    backhaul = serve()
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA), version=paho.MQTTv5)
    charlie = client(backhaul.mqtt_port, CHARLIE, backhaul.add_gateway(CHARLIE), version=paho.MQTTv5)
    refused = 0
    for number in range(1000):
        # Every packet is of another node, so that the gateway is what sends too much.
        packet = envelope(0x20000000 + number, 1 + number, text("flood"), ALPHA)
        refused += alpha.publish(topic_of(ALPHA), packet, 1).value == 0x87
        if number % 100 == 50:
            good = envelope(FIELD, 5000 + number, text("net tonight"), CHARLIE)
            assert charlie.publish(topic_of(CHARLIE), good, 1).value == 0, number
    assert refused > 400
    backhaul.stop()  # what it remembers is on disk now
    holds = [json.loads(line) for line in backhaul.run("hold", "list", "--json").splitlines()]
    assert [(hold["kind"], hold["id"], hold["state"], hold["level"]) for hold in holds] == [("gateway", ALPHA, "HELD", 1)]
    assert holds[0]["rule"] == "message-rate" and holds[0]["samples"]
    backhaul.start()
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.login_of(ALPHA), version=paho.MQTTv5)
    packet = envelope(FIELD, 9000, text("please"), ALPHA)
    assert alpha.publish(topic_of(ALPHA), packet, 1).value == 0x87, "a restart ends no hold"
    backhaul.run("hold", "release", ALPHA)
    numbers = iter(range(9001, 9999))
    wait_for(lambda: alpha.publish(topic_of(ALPHA), envelope(FIELD, next(numbers), text("free"), ALPHA), 1).value == 0,
             "the hold to end")


def test_a_grant_lets_more_pass_without_a_new_connection(serve, client):
    backhaul = serve()
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA), version=paho.MQTTv5)
    reader = client(backhaul.mqtt_port, CHARLIE, backhaul.add_gateway(CHARLIE))
    assert reader

    def verdict_of(number):
        packet = envelope(FIELD, number, (portnums_pb2.RANGE_TEST_APP, b"seq 1"), ALPHA)
        alpha.publish(topic_of(ALPHA), packet, 1)
        rows = map(json.loads, backhaul.run("log", "--json", "--limit", "5").splitlines())
        return next(row["rule"] for row in rows if row["packet"]["id"] == number)

    assert verdict_of(1) == "granted-ports"
    backhaul.run("grant", "set", ALPHA, "--port", "range test", "--days", "30", "--note", "coverage on Sunday")
    numbers = iter(range(2, 200))
    wait_for(lambda: verdict_of(next(numbers)) != "granted-ports", "the grant to hold")
    assert "range test" in backhaul.run("grant", "list") or "66" in backhaul.run("grant", "list")
    backhaul.run("grant", "end", ALPHA)
    wait_for(lambda: verdict_of(next(numbers)) == "granted-ports", "the grant to end")
    failed = backhaul.run("grant", "set", "!11111111", check=False)
    assert failed.returncode != 0 and "add it first" in failed.stderr


def test_islands_and_airtime_are_told(serve, client):
    backhaul = serve()
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    charlie = client(backhaul.mqtt_port, CHARLIE, backhaul.add_gateway(CHARLIE))
    for number in range(1, 30):
        for gateway, name in [(alpha, ALPHA), (charlie, CHARLIE)]:
            gateway.publish(topic_of(name), envelope(FIELD + number, number, text("heard by both"), name), 1)
    backhaul.stop()
    assert "island" in backhaul.run("islands")
    listed = [json.loads(line) for line in backhaul.run("islands", "--json").splitlines()]
    assert sorted(gateway for island in listed for gateway in island["gateways"]) == sorted([ALPHA, CHARLIE])
    assert any(json.loads(line)["account"] == "on the air" for line in backhaul.run("airtime", "--json").splitlines())
