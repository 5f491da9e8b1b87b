"""Downlink seen from gateways that are not ours: the round trip, the kill switch, and what survives a crash."""

import json

import pytest
from meshtastic.protobuf import mesh_pb2, mqtt_pb2, portnums_pb2

from conftest import wait_for
from mesh_packets import DEFAULT_KEY, channel_hash, crypt, envelope, opened, text
from test_paho import ALPHA, CHARLIE, FIELD, Client

FILTER, UPLINK = "msh/US/2/e/LongFast/+", f"msh/US/2/e/LongFast/{ALPHA}"


@pytest.fixture
def strict(serve, tmp_path):
    policy, config = tmp_path / "policy.toml", tmp_path / "strict.toml"
    policy.write_text('[rules]\ndownlink-verified = "enforce"\n')
    config.write_text(f'policy = "{policy}"\n')
    return serve("--config", str(config))


@pytest.fixture
def logins(strict):
    return [strict.add_gateway(node) for node in (ALPHA, CHARLIE)]


def connect(backhaul, logins):
    alpha, charlie = (Client(backhaul.mqtt_port, node, login) for node, login in zip((ALPHA, CHARLIE), logins))
    charlie.subscribe(FILTER, qos=1)
    return alpha, charlie


def answer(request):
    """What firmware answers to a traceroute: under the same key, naming the request."""
    asked, data = opened(request.payload)
    assert data.portnum == portnums_pb2.TRACEROUTE_APP and data.want_response
    assert asked.packet.to == int(CHARLIE[1:], 16) and asked.gateway_id == f"!{getattr(asked.packet, 'from'):08x}"
    reply = mesh_pb2.Data(portnum=portnums_pb2.TRACEROUTE_APP, request_id=asked.packet.id, bitfield=1)
    packet = mesh_pb2.MeshPacket(id=99, to=getattr(asked.packet, "from"), hop_limit=3, hop_start=3,
                                 channel=channel_hash("LongFast", DEFAULT_KEY))
    setattr(packet, "from", asked.packet.to)
    packet.encrypted = crypt(DEFAULT_KEY, 99, asked.packet.to, reply.SerializeToString())
    return mqtt_pb2.ServiceEnvelope(packet=packet, channel_id="LongFast", gateway_id=CHARLIE).SerializeToString()


def verify(backhaul, charlie):
    backhaul.run("downlink", "verify", CHARLIE)
    charlie.publish(f"msh/US/2/e/LongFast/{CHARLIE}", answer(charlie.next()), qos=1)


def outcome(backhaul, packet_id):
    """What the history says of the copy toward the second gateway."""
    def told():
        done = backhaul.run("explain", f"!{FIELD:08x}", str(packet_id), "--json", check=False)
        copies = [copy for line in done.stdout.splitlines() for copy in json.loads(line)["copies"]]
        return [copy for copy in copies if copy["receiver"] == CHARLIE]
    return wait_for(told, "the history to have the copy")[0]


def status(backhaul):
    told = json.loads(backhaul.run("downlink", "status", "--json"))
    return told, {line["gateway"]: line["verified"] for line in told["gateways"]}


def test_a_gateway_gets_packets_once_it_has_answered_also_after_a_restart(strict, logins):
    alpha, charlie = connect(strict, logins)
    alpha.publish(UPLINK, envelope(FIELD, 1, text("too early"), ALPHA), qos=1)
    assert outcome(strict, 1)["rule"] == "downlink-verified"
    verify(strict, charlie)
    alpha.publish(UPLINK, envelope(FIELD, 2, text("hello"), ALPHA), qos=1)
    assert opened(charlie.next().payload)[1].payload == b"hello"
    details = outcome(strict, 2)["details"]
    assert details["airtime_us"] > 100_000 and details["waited_ms"] == 0
    strict.stop()
    assert status(strict)[1] == {ALPHA: False, CHARLIE: True}
    strict.start()
    alpha, charlie = connect(strict, logins)
    alpha.publish(UPLINK, envelope(FIELD, 3, text("again"), ALPHA), qos=1)
    assert opened(charlie.next().payload)[1].payload == b"again"


def test_a_crash_loses_half_a_minute_of_what_policy_remembers_at_most(strict, logins):
    alpha, charlie = connect(strict, logins)
    verify(strict, charlie)
    alpha.publish(UPLINK, envelope(FIELD, 1, text("hello"), ALPHA), qos=1)
    charlie.next()
    left = outcome(strict, 1)["details"]["budget_left_us"]
    wait_for(lambda: status(strict)[1].get(CHARLIE), "what is remembered to be written", seconds=60)
    strict.kill()
    strict.start()
    alpha, charlie = connect(strict, logins)
    alpha.publish(UPLINK, envelope(FIELD, 2, text("after the crash"), ALPHA), qos=1)
    assert opened(charlie.next().payload)[1].payload == b"after the crash"
    assert outcome(strict, 2)["details"]["budget_left_us"] < left, "what was charged before still counts"


def test_a_damaged_memory_is_set_aside_and_the_server_starts(strict, logins):
    strict.stop()
    memory = strict.data / "data" / "policy-memory.bin"
    memory.write_bytes(memory.read_bytes()[:-3])
    strict.start()
    assert memory.with_suffix(".damaged").exists()
    assert "it was set aside" in strict.text()


def test_the_kill_switch_works_at_once_and_survives_a_restart(serve):
    backhaul = serve()
    logins = [backhaul.add_gateway(node) for node in (ALPHA, CHARLIE)]
    alpha, charlie = connect(backhaul, logins)
    backhaul.run("downlink", "stop")

    def is_withheld(packet_id):
        alpha.publish(UPLINK, envelope(FIELD, packet_id, text("stopped"), ALPHA), qos=1)
        return outcome(backhaul, packet_id)["rule"] == "downlink-stopped"

    # The running server looks fifty times a second; a packet or two may be quicker than that.
    numbers = iter(range(10, 1000))
    wait_for(lambda: is_withheld(next(numbers)), "the broker to learn of it")
    again = backhaul.run("downlink", "stop", check=False)
    assert again.returncode != 0 and "already stopped" in again.stderr
    backhaul.stop()
    assert status(backhaul)[0]["stopped_ms"] and "ALL DOWNLINK IS STOPPED" in backhaul.run("downlink", "status")
    backhaul.start()
    alpha, charlie = connect(backhaul, logins)
    assert is_withheld(next(numbers))
    backhaul.run("downlink", "start")
    wait_for(lambda: not is_withheld(next(numbers)), "downlink to flow again")
    assert opened(charlie.next().payload)[1].payload == b"stopped"
