"""JSON commands: a service that may send has the broker's own node send, under downlink policy; nobody else can."""

import json
import re

import pytest
from meshtastic.protobuf import mesh_pb2, portnums_pb2

from conftest import credentials_in, wait_for
from mesh_packets import opened
from test_downlink import verify
from test_paho import ALPHA, CHARLIE, Client

FILTER = "msh/US/2/e/LongFast/+"


class Town:
    def __init__(self, serve, tmp_path):
        policy, config = tmp_path / "policy.toml", tmp_path / "strict.toml"
        policy.write_text('[rules]\ndownlink-verified = "enforce"\n')
        config.write_text(f'policy = "{policy}"\n[mesh]\nroot = "msh/US"\n')
        self.backhaul = serve("--config", config)
        logins = {node: self.backhaul.add_gateway(node) for node in (ALPHA, CHARLIE)}
        self.service_login = self.add("service", "home", "--prefix", "home")
        reader = self.add("observer", "wall")
        self.allow("LongFast")
        self.alpha = Client(self.backhaul.mqtt_port, ALPHA, logins[ALPHA])
        self.charlie = Client(self.backhaul.mqtt_port, CHARLIE, logins[CHARLIE])
        self.reader = Client(self.backhaul.mqtt_port, "wall", reader)
        self.service = Client(self.backhaul.mqtt_port, "home", self.service_login)
        self.alpha.subscribe("msh/US/2/json/mqtt/+", qos=1)
        self.charlie.subscribe(FILTER, qos=1)
        self.reader.subscribe("msh/#", qos=1)

    def add(self, role, name, *more):
        login = credentials_in(self.backhaul.run(role, "add", name, *more))
        wait_for(lambda: self.backhaul.connack(*login) == 0, "the broker to learn of it")
        return login

    def allow(self, *channels, per_hour=20):
        named = [word for channel in channels for word in ("--channel", channel)]
        told = self.backhaul.run("service", "allow", "home", *named, "--per-hour", str(per_hour))
        self.own = re.search(r"(![0-9a-f]{8})", told).group(1)

    def command(self, kind, payload, **more):
        command = {"from": int(self.own[1:], 16), "type": kind, "payload": payload} | more
        self.service.publish(f"msh/US/2/json/mqtt/{self.own}", json.dumps(command).encode(), qos=1)

    def next_for_charlie(self):
        """The next packet that is no request to prove itself."""
        while True:
            got, data = opened(self.charlie.next().payload)
            if data.portnum != portnums_pb2.TRACEROUTE_APP:
                return got, data

    def until(self, probe, what, *command, **more):
        """Commands again and again: what the command line said reaches the broker in a moment."""
        wait_for(lambda: self.command(*command, **more) or probe(), what)

    def log(self, *filter):
        lines = self.backhaul.run("log", "--json", *filter).splitlines()
        return [json.loads(line) for line in lines]

    def sentences(self):
        return [row["decision"]["sentence"] if "decision" in row else row["sentence"]
                for row in self.log("verdict:refuse")]


@pytest.fixture
def town(serve, tmp_path):
    return Town(serve, tmp_path)


def test_a_service_that_may_has_texts_and_positions_sent_under_downlink_policy(town):
    town.until(lambda: not town.reader.messages.empty(), "the allowance", "sendtext", "too early")
    first, data = opened(town.reader.next().payload)
    assert data.payload == b"too early" and data.bitfield == 1
    assert f"!{getattr(first.packet, 'from'):08x}" == town.own == first.gateway_id
    told = json.loads(town.backhaul.run("explain", town.own, str(first.packet.id), "--json").splitlines()[0])
    copy = wait_for(lambda: [copy for copy in told["copies"] if copy["receiver"] == CHARLIE], "the copy")[0]
    assert copy["rule"] == "downlink-verified", "a gateway that has not proved itself gets nothing of it either"

    verify(town.backhaul, town.charlie)
    town.command("sendtext", "for a stranger", to=0x11223344)
    town.command("sendtext", "hello", hopLimit=3)
    got, data = town.next_for_charlie()
    assert data.payload == b"hello", "what is for nobody who was heard lately does not go down"
    assert got.packet.hop_start == 3 and got.packet.hop_limit == 1, "lowered like any other packet"
    town.command("sendposition", {"latitude_i": 392461000, "longitude_i": -944191000})
    _, data = town.next_for_charlie()
    position = mesh_pb2.Position.FromString(data.payload)
    assert data.portnum == portnums_pb2.POSITION_APP and position.precision_bits == 15
    assert position.latitude_i != 392461000, "cut on a channel that anyone can read"
    assert town.alpha.messages.empty(), "the command itself goes to nobody"


def test_nobody_else_can_and_is_told_why(town):
    def refused(sentence, *command, **more):
        town.until(lambda: any(sentence in told for told in town.sentences()), sentence, *command, **more)
    refused("`from` is not the number of the broker's own node", "sendtext", "x", **{"from": 7})
    refused("more than 233 bytes", "sendtext", "x" * 234)
    refused("asks for index 1", "sendtext", "x", channel=1)
    assert town.reader.messages.empty() and town.charlie.messages.empty()
    town.allow("Secret")
    refused("no key", "sendtext", "x")
    town.backhaul.run("service", "deny", "home")
    refused("may not have anything sent", "sendtext", "x")
    topic, other = f"msh/US/2/json/mqtt/{town.own}", f"msh/US/2/json/mqtt/{CHARLIE}"
    for publisher, where in [(town.alpha, topic), (town.charlie, topic), (town.alpha, other)]:
        before = len(town.log("verdict:refuse", "rule:json-command"))
        publisher.publish(where, b'{"type":"sendtext"}', qos=1)
        wait_for(lambda: len(town.log("verdict:refuse", "rule:json-command")) > before, "the refusal")
    assert any("only services that the operator allows" in told for told in town.sentences())


def test_what_a_service_may_have_sent_within_an_hour_is_limited(town):
    town.allow("LongFast", per_hour=2)
    refusals = lambda: sum("2 packets sent within an hour" in told for told in town.sentences())
    town.until(lambda: refusals() >= 3, "the limit", "sendtext", "again")
    sent = town.log("from:" + town.own, "port:text")
    assert sent, "what was within the limit was sent"
    before = len(sent)
    town.command("sendtext", "one more")
    wait_for(lambda: refusals() >= 4, "the refusal")
    assert len(town.log("from:" + town.own, "port:text")) == before
