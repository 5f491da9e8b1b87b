"""Sessions, waiting messages, retained messages and Wills outlive the program, however it ends."""

import collections
import random
import sqlite3

import paho.mqtt.client as paho

from conftest import wait_for
from test_paho import Client
from test_trouble import serve_and_fail


class Publisher:
    """Publishes with QoS 1 and 2 and sends again what was not acknowledged, over any number of connections."""

    def __init__(self):
        self.mqtt = paho.Client(paho.CallbackAPIVersion.VERSION2, "publisher", clean_session=False)
        self.mqtt.max_inflight_messages_set(40)
        self.numbers, self.acknowledged, self.count = {}, set(), 0
        self.mqtt.on_publish = lambda c, u, mid, reason, p: self.acknowledged.add(self.numbers[mid])

    def connect(self, port):
        self.mqtt.connect("127.0.0.1", port, keepalive=30)
        self.mqtt.loop_start()

    def publish(self, count):
        for _ in range(count):
            self.count += 1
            qos, retain = self.count % 2 + 1, self.count % 10 == 0
            info = self.mqtt.publish(f"keep/{self.count % 10}", str(self.count), qos, retain=retain)
            self.numbers[info.mid] = self.count


def change(backhaul, sql):
    store = sqlite3.connect(backhaul.data / "data/sessions.db", timeout=20)
    store.execute(sql)
    store.commit()
    store.close()


def wait_for_acknowledgements(publisher, count):
    wait_for(lambda: len(publisher.acknowledged) >= min(count, publisher.count), f"{count} acknowledgements", 60)


def start_and_kill_while_messages_flow(backhaul, publisher, rounds, between):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(rounds):
        publisher.connect(backhaul.mqtt_port)
        publisher.publish(120)
        wait_for_acknowledgements(publisher, len(publisher.acknowledged) + chance.randrange(1, 110))
        backhaul.kill()
        publisher.mqtt.loop_stop()
        backhaul.start()
        between()
    publisher.connect(backhaul.mqtt_port)
    wait_for_acknowledgements(publisher, publisher.count)
    publisher.mqtt.disconnect()
    publisher.mqtt.loop_stop()


def check(received, publisher):
    """Every acknowledged message arrived; one with QoS 2 (odd numbers) once."""
    times = collections.Counter(received)
    assert publisher.acknowledged == set(range(1, publisher.count + 1))
    assert {number: times[number] for number in publisher.acknowledged if times[number] == 0} == {}
    assert {number: count for number, count in times.items() if number % 2 == 1 and count > 1} == {}


def test_messages_for_an_absent_client_survive_kills_while_they_are_published(backhaul):
    reader = Client(backhaul.mqtt_port, "reader", clean=False)
    reader.subscribe("keep/#", 2)
    reader.close()
    publisher = Publisher()
    start_and_kill_while_messages_flow(backhaul, publisher, 5, between=lambda: None)

    reader = Client(backhaul.mqtt_port, "reader", clean=False)
    assert reader.flags.session_present
    received = [int(reader.next().payload)]
    while publisher.count not in received or len(set(received)) < publisher.count:
        received.append(int(reader.next().payload))
    check(received, publisher)
    reader.close()
    # Retained messages of the topic: the last one published there.
    fresh = Client(backhaul.mqtt_port, "fresh")
    fresh.subscribe("keep/+", 0)
    message = fresh.next()
    assert (message.topic, int(message.payload), message.retain) == ("keep/0", publisher.count // 10 * 10, True)
    fresh.close()


def test_a_client_that_reads_meanwhile_gets_each_qos_2_message_once(backhaul):
    received = []
    reader = paho.Client(paho.CallbackAPIVersion.VERSION2, "reader", clean_session=False)
    subscribed = []
    reader.on_subscribe = lambda *_: subscribed.append(True)
    reader.on_message = lambda c, u, message: received.append(int(message.payload))

    def connect():
        reader.loop_stop()
        reader.connect("127.0.0.1", backhaul.mqtt_port, keepalive=30)
        reader.loop_start()

    connect()
    reader.subscribe("keep/#", 2)
    wait_for(lambda: subscribed, "SUBACK")
    publisher = Publisher()
    start_and_kill_while_messages_flow(backhaul, publisher, 4, between=connect)
    wait_for(lambda: len(set(received)) == publisher.count, "all messages", 60)
    # A marker comes after everything else.
    marker = Client(backhaul.mqtt_port, "marker")
    marker.publish("keep/marker", "0", 1)
    wait_for(lambda: 0 in received, "the marker")
    check(received, publisher)
    marker.close()
    reader.disconnect()
    reader.loop_stop()


def test_wills_and_retained_messages_outlive_kill_and_stop(backhaul):
    watcher = Client(backhaul.mqtt_port, "watcher", clean=False)
    watcher.subscribe("will/#", 1)
    watcher.close()
    gone = Client(backhaul.mqtt_port, "gone", will=("will/gone", b"offline", 1, True))
    gone.publish("state/gone", b"online", 1, retain=True)
    gone.mqtt.loop_stop()
    backhaul.kill()
    backhaul.start()
    watcher = Client(backhaul.mqtt_port, "watcher", clean=False)
    message = watcher.next()
    assert (message.topic, message.payload) == ("will/gone", b"offline")
    for _ in range(2):
        fresh = Client(backhaul.mqtt_port, "fresh")
        fresh.subscribe([("will/+", 0), ("state/+", 0)])
        found = {(m.topic, m.payload, m.retain) for m in (fresh.next(), fresh.next())}
        assert found == {("will/gone", b"offline", True), ("state/gone", b"online", True)}
        fresh.close()
        backhaul.stop()
        backhaul.start()


def test_what_cannot_be_kept_is_not_acknowledged_until_it_can(backhaul):
    reader = Client(backhaul.mqtt_port, "reader", clean=False)
    reader.subscribe("keep/#", 1)
    reader.close()
    change(backhaul, "CREATE TRIGGER full BEFORE INSERT ON copy BEGIN SELECT RAISE(ABORT, 'no room'); END")
    writer = Client(backhaul.mqtt_port, "writer")
    info = writer.mqtt.publish("keep/1", b"1", 1)
    backhaul.wait_for_line(r"(cannot be kept)")
    # What needs no keeping goes on meanwhile.
    other = Client(backhaul.mqtt_port, "other")
    other.subscribe("else/#", 1)
    other.publish("else/1", b"2", 1)
    assert other.next().payload == b"2"
    assert not info.is_published()
    change(backhaul, "DROP TRIGGER full")
    info.wait_for_publish(20)
    assert info.is_published()
    backhaul.kill()
    backhaul.start()
    reader = Client(backhaul.mqtt_port, "reader", clean=False)
    assert reader.next().payload == b"1"
    for client in (reader, writer, other):
        client.close()


def test_a_session_of_a_revoked_credential_does_not_come_back(backhaul):
    login = backhaul.add_gateway("!7c5a0a01")
    client = Client(backhaul.mqtt_port, "!7c5a0a01", login, clean=False)
    client.subscribe("msh/US/2/e/LongFast/+", 1)
    client.close()
    backhaul.kill()
    again = backhaul.run("gateway", "rotate", "!7c5a0a01")
    backhaul.start()
    password = again.split("password")[1].split()[0]
    client = Client(backhaul.mqtt_port, "!7c5a0a01", (login[0], password), clean=False)
    assert not client.flags.session_present
    client.close()


def test_a_store_that_is_newer_or_damaged_is_named_and_left_alone(backhaul):
    backhaul.stop()
    file = backhaul.data / "data/sessions.db"
    change(backhaul, "PRAGMA user_version = 99")
    said = serve_and_fail("--data", backhaul.data / "data")
    assert "newer" in said and "sessions.db" in said and "99" in said
    file.write_bytes(b"not a database at all, but long enough to be taken for one by a hasty reader" * 99)
    said = serve_and_fail("--data", backhaul.data / "data")
    assert "sessions.db" in said and "move it away" in said
    assert file.read_bytes().startswith(b"not a database")


def test_without_persistence_nothing_is_kept(serve, tmp_path):
    config = tmp_path / "backhaul.toml"
    config.write_text("[mqtt]\npersistence = false\n")
    backhaul = serve("--config", str(config))
    client = Client(backhaul.mqtt_port, "reader", clean=False)
    client.subscribe("keep/#", 1)
    client.close()
    backhaul.stop()
    assert not (backhaul.data / "data/sessions.db").exists()
    backhaul.start()
    client = Client(backhaul.mqtt_port, "reader", clean=False)
    assert not client.flags.session_present
    client.close()
