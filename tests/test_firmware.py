"""What real firmware 2.7.26 sent, byte for byte and in its order, played at the running broker.

What must come out is worked out here a second time, with the `meshtastic` package's protobufs.
"""

import base64
import json
import socket

from meshtastic.protobuf import mesh_pb2, mqtt_pb2

from conftest import VECTORS, wait_for
from mesh_packets import DEFAULT_KEY, crypt

OPS_KEY = bytes(range(32))
KEYS = {"LongFast": DEFAULT_KEY, "MediumSlow": DEFAULT_KEY, "mqtt": DEFAULT_KEY, "Ops": OPS_KEY}
# What firmware said within hours is said within seconds here, so nothing waits for the radio or for a slow reader,
# and what counts by the hour only watches.
QUICK = "downlink_hold_ms = 0\ndownlink_messages_per_s = 1000\ndownlink_messages_at_once = 1000\n" \
    "downlink_bytes_per_s = 10000000\ndownlink_in_flight_max = 1000\n[rules]\n" \
    + "".join(f'{rule} = "observe"\n' for rule in (
        "message-rate", "stream", "interval", "uplink-airtime", "hold", "island-heard", "island-once", "direct-target",
        "unknown-destination", "airtime-budget"))
CONFIG = f'[[channel]]\nname = "Ops"\npsk = "{base64.b64encode(OPS_KEY).decode()}"\n'
PINGREQ, CONNACK, SUBACK, PINGRESP, PUBLISH = b"\xc0\x00", 2, 9, 13, 3


def lines(name):
    with open(VECTORS / name) as file:
        return [json.loads(line) for line in file]


def varint(number):
    out = bytearray()
    while True:
        number, byte = number >> 7, number & 0x7F
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def publish_frame(row):
    topic = row["topic"].encode()
    body = len(topic).to_bytes(2, "big") + topic + bytes.fromhex(row["payload_hex"])
    return b"\x30" + varint(len(body)) + body


def script():
    """Every frame that nodes sent, in order: (client, kind, frame, row)."""
    sent = [(r["ts"], r["client_id"], r["type"], bytes.fromhex(r["frame_hex"]), r)
            for r in lines("firmware-control-packets.jsonl") if r["dir"] == "node>broker"]
    sent += [(r["ts"], r["client_id"], "PUBLISH", publish_frame(r), r) for r in lines("firmware.jsonl")]
    return [step[1:] for step in sorted(sent, key=lambda step: step[0])]


class Node:
    """One TCP connection of one node."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.buffer = b""

    def send(self, frame):
        self.socket.sendall(frame)

    def until(self, kind):
        """Reads up to the next packet of a kind; returns the publications before it, and that packet."""
        publications = []
        while True:
            packet = self.next_packet()
            if packet[0] >> 4 == kind:
                return publications, packet
            assert packet[0] >> 4 == PUBLISH, packet
            publications.append(packet)

    def next_packet(self):
        while True:
            length, shift = 0, 0
            for index, byte in enumerate(self.buffer[1:5]):
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    end = index + 2 + length
                    if len(self.buffer) >= end:
                        packet, self.buffer = self.buffer[:end], self.buffer[end:]
                        return packet
                    break
            received = self.socket.recv(65536)
            assert received, "the broker closed the connection"
            self.buffer += received


def body_of(packet):
    start = 2
    while packet[start - 1] & 0x80:
        start += 1
    return packet[start:]


def topic_and_payload(packet):
    body = body_of(packet)
    length = int.from_bytes(body[:2], "big")
    skip = 2 if packet[0] & 0x06 else 0
    return body[2:2 + length].decode(), body[2 + length + skip:]


class Expectation:
    """The policy's defaults, worked out independently for this traffic."""

    def __init__(self):
        self.filters = {}
        self.heard = {}
        self.released = set()

    def verdict(self, topic, payload):
        if "/2/json/" in topic or topic.startswith("2/json/"):
            return "record only", None
        envelope = mqtt_pb2.ServiceEnvelope.FromString(payload)
        packet = envelope.packet
        sender = getattr(packet, "from")
        if topic.endswith("/2/map/"):
            return "accept", packet
        if packet.HasField("decoded"):
            if envelope.channel_id == "PKI" or packet.public_key:
                return "refuse", packet
            data = packet.decoded
        elif envelope.channel_id == "PKI":
            return "accept", packet
        else:
            opened = crypt(KEYS[envelope.channel_id], packet.id, sender, packet.encrypted)
            data = mesh_pb2.Data.FromString(opened)
        is_own = f"!{sender:08x}" == envelope.gateway_id
        if is_own or (data.HasField("bitfield") and data.bitfield & 1):
            return "accept", packet
        return "record only", packet

    def deliveries(self, client, topic, payload):
        """Which connected gateways get a copy, and with which hop limit."""
        verdict, packet = self.verdict(topic, payload)
        if packet is None or topic.endswith("/2/map/"):
            return verdict, {}
        sender, key = f"!{getattr(packet, 'from'):08x}", (getattr(packet, "from"), packet.id)
        if verdict != "refuse":
            self.heard.setdefault(key, set()).add(client)
        if verdict != "accept":
            return verdict, {}
        copies = {}
        for receiver, filters in self.filters.items():
            if topic.rsplit("/", 1)[0] + "/+" not in filters:
                continue
            if receiver == client:
                if sender == client:
                    copies[receiver] = packet.hop_limit
            elif sender != receiver and key not in self.released and receiver not in self.heard[key]:
                copies[receiver] = min(packet.hop_limit, 1)
        self.released.add(key)
        return verdict, copies


def test_real_firmware_is_served_judged_delivered_and_remembered(serve, tmp_path):
    config = tmp_path / "backhaul.toml"
    policy = tmp_path / "policy.toml"
    policy.write_text(QUICK)
    config.write_text(f'policy = "{policy}"\n' + CONFIG)
    backhaul = serve("--config", config)
    nodes, expected, verdicts, crossed, echoes = {}, Expectation(), [], 0, 0
    for client, kind, frame, row in script():
        if kind == "CONNECT":
            if client in nodes:
                nodes.pop(client).socket.close()
            nodes[client] = Node(backhaul.mqtt_port)
            nodes[client].send(frame)
            assert nodes[client].until(CONNACK)[1] == b"\x20\x02\x00\x00", "firmware wants exactly these four bytes"
            expected.filters[client] = set()
            continue
        node = nodes[client]
        node.send(frame)
        if kind == "SUBSCRIBE":
            suback = node.until(SUBACK)[1]
            length = int.from_bytes(frame[4:6], "big")
            expected.filters[client].add(frame[6:6 + length].decode())
            assert suback == b"\x90\x03" + frame[2:4] + b"\x01", "granted with QoS 1"
        elif kind == "PINGREQ":
            assert node.until(PINGRESP)[0] == []
        elif kind == "PUBLISH":
            payload = bytes.fromhex(row["payload_hex"])
            verdict, copies = expected.deliveries(client, row["topic"], payload)
            verdicts.append((row, verdict))
            got = {}
            # The sender's answer to a ping proves that the broker is through with its packet.
            for name in [client] + [n for n in nodes if n != client]:
                nodes[name].send(PINGREQ)
                for packet in nodes[name].until(PINGRESP)[0]:
                    topic, copy = topic_and_payload(packet)
                    assert topic == row["topic"] and name not in got
                    received = mqtt_pb2.ServiceEnvelope.FromString(copy)
                    got[name] = received.packet.hop_limit
                    assert len(copy) == len(payload) and sum(a != b for a, b in zip(copy, payload)) <= 1
            assert got == copies, (row["phase"], row["topic"], client)
            echoes += client in got
            crossed += len([name for name in got if name != client])
    assert crossed > 5 and echoes > 20, "the capture holds crossings and echoes"

    def remembered():
        rows = [json.loads(line) for line in backhaul.run("log", "--json", "--limit", "1000").splitlines()]
        return rows[::-1] if len(rows) >= len(verdicts) else None

    # QoS 0 is not acknowledged, so the last ones may still be on their way to the disk.
    history = wait_for(remembered, "the history")
    assert [h["payload_hex"] for h in history] == [row["payload_hex"] for row, _ in verdicts]
    assert [h["topic"] for h in history] == [row["topic"] for row, _ in verdicts]
    passed_on = {"accept": ("accept", "rewrite")}
    for h, (row, verdict) in zip(history, verdicts):
        assert h["verdict"] in passed_on.get(verdict, (verdict,)), (row["phase"], row["topic"], h["sentence"])
    texts = [h for h in history if h["port_name"] == "TEXT_MESSAGE_APP"]
    assert texts and all(h["packet"]["from"].startswith("!") for h in texts)
