"""Backhaul against Eclipse Paho's Python client and the `meshtastic` package's protobufs."""

import queue

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from conftest import wait_for
from mesh_packets import envelope, opened, text

ALPHA, CHARLIE, FIELD = "!7c5a0a01", "!7c5a0c03", 0x7C5A0B02


class Client:
    """A connected Paho client whose messages arrive in a queue."""

    def __init__(self, port, client_id, login=None, version=paho.MQTTv311, clean=True, properties=None, will=None):
        arguments = {"clean_session": clean} if version == paho.MQTTv311 else {}
        self.mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=version, **arguments)
        self.messages, self.connacks, self.subacks, self.gone = (queue.Queue() for _ in range(4))
        self.published = {}
        self.mqtt.on_message = lambda c, u, message: self.messages.put(message)
        self.mqtt.on_connect = lambda c, u, flags, reason, p: self.connacks.put((flags, reason, p))
        self.mqtt.on_subscribe = lambda c, u, mid, reasons, p: self.subacks.put(reasons)
        self.mqtt.on_disconnect = lambda c, u, flags, reason, p: self.gone.put(reason)
        self.mqtt.on_publish = lambda c, u, mid, reason, p: self.published.__setitem__(mid, reason)
        if login:
            self.mqtt.username_pw_set(*login)
        if will:
            self.mqtt.will_set(*will)
        extra = {"clean_start": clean, "properties": properties} if version == paho.MQTTv5 else {}
        self.mqtt.connect("127.0.0.1", port, keepalive=30, **extra)
        self.mqtt.loop_start()
        self.flags, self.reason, self.properties = self.connacks.get(timeout=10)

    def subscribe(self, *arguments, **named):
        self.mqtt.subscribe(*arguments, **named)
        return self.subacks.get(timeout=10)

    def publish(self, topic, payload, qos=0, **named):
        """Publishes, waits for the acknowledgement and returns its reason."""
        info = self.mqtt.publish(topic, payload, qos, **named)
        info.wait_for_publish(10)
        assert info.is_published()
        wait_for(lambda: info.mid in self.published, "the acknowledgement")
        return self.published[info.mid]

    def next(self):
        return self.messages.get(timeout=10)

    def nothing_but(self, marker_topic, publisher):
        """Everything that arrives before a marker published now: proves absence without waiting."""
        publisher.publish(marker_topic, b"marker", qos=1)
        seen = []
        while (message := self.next()).topic != marker_topic:
            seen.append(message)
        return seen

    def close(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


@pytest.fixture
def client(request):
    opened_clients = []

    def connect(*arguments, **named):
        opened_clients.append(Client(*arguments, **named))
        return opened_clients[-1]

    yield connect
    for one in opened_clients:
        one.close()


def topic_of(gateway, channel="LongFast"):
    return f"msh/US/2/e/{channel}/{gateway}"


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives_once_at_the_quality_of_service_asked_for(serve, client, version, qos):
    port = serve("--lab").mqtt_port
    reader, writer = client(port, "reader", version=version), client(port, "writer", version=version)
    reader.subscribe("a/+", qos)
    for number in range(50):
        writer.publish("a/b", str(number), qos)
    got = [reader.next() for _ in range(50)]
    assert [int(m.payload) for m in got] == list(range(50))
    assert {m.qos for m in got} == {qos}
    assert reader.nothing_but("a/end", writer) == []


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
def test_retained_messages_wills_and_sessions_outlive_the_connection(serve, client, version):
    port = serve("--lab").mqtt_port
    keep = None
    if version == paho.MQTTv5:
        keep = Properties(PacketTypes.CONNECT)
        keep.SessionExpiryInterval = 600
    first = client(port, "sleeper", version=version, clean=False, properties=keep)
    first.subscribe("news/#", 1)
    first.close()
    writer = client(port, "writer", version=version)
    writer.publish("news/today", "while away", 1, retain=True)
    again = client(port, "sleeper", version=version, clean=False, properties=keep)
    assert again.flags.session_present
    message = again.next()
    assert (message.payload, message.qos, message.retain) == (b"while away", 1, False)
    late = client(port, "late", version=version)
    late.subscribe("news/today", 0)
    assert late.next().retain
    dying = client(port, "dying", version=version, will=("news/will", "gone", 1))
    dying.mqtt._sock.close()
    assert late.subscribe("news/+", 1) and again.next().topic == "news/will"


def test_a_second_connection_takes_the_client_identifier_over(serve, client):
    port = serve("--lab").mqtt_port
    watcher = client(port, "watcher", version=paho.MQTTv5)
    watcher.subscribe("wills/#", 1)
    first = client(port, "same", version=paho.MQTTv5, will=("wills/same", "gone", 1))
    client(port, "same", version=paho.MQTTv5)
    assert str(first.gone.get(timeout=10)) == "Session taken over"
    assert watcher.next().topic == "wills/same"


def test_subscription_options_of_version_5(serve, client):
    port = serve("--lab").mqtt_port
    both = client(port, "both", version=paho.MQTTv5)
    both.subscribe("own/#", options=SubscribeOptions(qos=1, noLocal=True))
    both.publish("own/a", "not for me", 1)
    other = client(port, "other", version=paho.MQTTv5)
    assert both.nothing_but("own/marker", other) == []
    other.publish("kept", "1", 1, retain=True)
    both.subscribe("kept", options=SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND))
    both.subscribe("kept", options=SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB))
    both.subscribe("as/#", options=SubscribeOptions(qos=1, retainAsPublished=True))
    other.publish("as/published", "1", 1, retain=True)
    message = both.next()
    assert (message.topic, message.retain) == ("as/published", True), "a retained message came where none was asked for"


def test_a_packet_crosses_to_the_other_gateway_once_and_no_higher_than_allowed(backhaul, client):
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    charlie = client(backhaul.mqtt_port, CHARLIE, backhaul.add_gateway(CHARLIE))
    alpha.subscribe("msh/US/2/e/LongFast/+", 1)
    charlie.subscribe("msh/US/2/e/LongFast/+", 1)
    sent = envelope(FIELD, 77, text("hello over there"), ALPHA, hop_limit=3, hop_start=4)
    alpha.publish(topic_of(ALPHA), sent, 1)
    got = charlie.next()
    arrived, data = opened(got.payload)
    assert data.payload == b"hello over there"
    assert (arrived.packet.hop_limit, arrived.packet.hop_start) == (1, 4)
    assert len([1 for a, b in zip(sent, got.payload) if a != b]) == 1 and len(sent) == len(got.payload)
    # Charlie hears it over the radio as well and uplinks its copy: nobody gets it again, and Alpha no echo.
    charlie.publish(topic_of(CHARLIE), envelope(FIELD, 77, text("hello over there"), CHARLIE, hop_limit=2), 1)
    own = envelope(int(ALPHA[1:], 16), 78, text("mine"), ALPHA)
    alpha.publish(topic_of(ALPHA), own, 1)
    assert alpha.next().payload == own, "a gateway gets its own packet back, unaltered"
    assert opened(charlie.next().payload)[1].payload == b"mine"
    log = backhaul.run("explain", f"!{FIELD:08x}", "77")
    assert "hop-limit" in log and "duplicate" in log and "echo" in log


def test_an_unconsented_packet_is_kept_and_not_passed_on(backhaul, client):
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    charlie = client(backhaul.mqtt_port, CHARLIE, backhaul.add_gateway(CHARLIE))
    charlie.subscribe("msh/US/2/e/LongFast/+", 1)
    alpha.publish(topic_of(ALPHA), envelope(FIELD, 90, text("keep me here"), ALPHA, consent=False), 1)
    alpha.publish(topic_of(ALPHA), envelope(FIELD, 91, text("old firmware"), ALPHA, consent=None), 1)
    alpha.publish(topic_of(ALPHA), envelope(FIELD, 92, text("fine"), ALPHA), 1)
    assert opened(charlie.next().payload)[0].packet.id == 92
    explained = backhaul.run("explain", f"!{FIELD:08x}", "90")
    assert "consent" in explained and "has not agreed to MQTT" in explained
    assert "consent" in backhaul.run("explain", f"!{FIELD:08x}", "91")


def test_a_gateway_speaks_only_for_itself(backhaul, client):
    backhaul_port = backhaul.mqtt_port
    alpha = client(backhaul_port, ALPHA, backhaul.add_gateway(ALPHA), version=paho.MQTTv5)
    refused = alpha.publish(topic_of(CHARLIE), envelope(FIELD, 5, text("as charlie"), CHARLIE), 1)
    assert refused.value == 0x87
    refused = alpha.publish(topic_of(ALPHA), envelope(FIELD, 6, text("mixed"), CHARLIE), 1)
    assert refused.value == 0x87
    assert alpha.publish(topic_of(ALPHA), envelope(FIELD, 7, text("own"), ALPHA), 1).value == 0
    assert str(alpha.subscribe("#", 0)[0]) == "Not authorized"


def test_wrong_passwords_are_refused_and_revoking_disconnects_at_once(backhaul, client):
    login = backhaul.add_gateway(ALPHA)
    port = backhaul.mqtt_port
    alpha = client(port, ALPHA, login, version=paho.MQTTv5)
    for wrong in [(login[0], "wrong"), ("gw-nobody", login[1]), None]:
        turned_away = client(port, CHARLIE, wrong, version=paho.MQTTv5)
        assert turned_away.reason.is_failure, wrong
    backhaul.run("gateway", "disable", ALPHA)
    assert str(alpha.gone.get(timeout=10)) == "Not authorized"


def test_bad_payloads_are_refused_and_others_notice_nothing(backhaul, client):
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA), version=paho.MQTTv5)
    charlie = client(backhaul.mqtt_port, CHARLIE, backhaul.add_gateway(CHARLIE))
    charlie.subscribe("msh/US/2/e/LongFast/+", 1)
    good = envelope(FIELD, 8, text("good"), ALPHA)
    for bad in [b"", b"\xff" * 32, good[:-1], b'{"json": true}', b"\x0b\x0c", bytes(2048)]:
        assert alpha.publish(topic_of(ALPHA), bad, 1).value == 0x87, bad
    big = envelope(FIELD, 9, (1, b"x" * 300), ALPHA)
    assert alpha.publish(topic_of(ALPHA), big, 1).value == 0x87
    assert alpha.publish(topic_of(ALPHA), good, 1).value == 0
    assert opened(charlie.next().payload)[0].packet.id == 8
    assert "oversize" in backhaul.run("explain", f"!{FIELD:08x}", "9")


def test_what_was_acknowledged_survives_a_kill(backhaul, client):
    login = backhaul.add_gateway(ALPHA)
    alpha = client(backhaul.mqtt_port, ALPHA, login)
    for packet_id in range(100, 160):
        alpha.publish(topic_of(ALPHA), envelope(FIELD, packet_id, text("kept"), ALPHA), 1)
    backhaul.kill()
    rows = backhaul.run("log", "--json", "--limit", "1000").splitlines()
    assert len(rows) == 60
