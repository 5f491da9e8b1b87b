"""The corners of MQTT 5.0 and 3.1.1, with Eclipse Paho and mosquitto's clients."""

import queue
import subprocess

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conftest import credentials_in, wait_for
from test_paho import client  # noqa: F401  (a fixture)


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
def test_a_group_shares_a_subscription(serve, client, version):
    port = serve("--lab").mqtt_port
    group = [client(port, f"member-{number}", version=version) for number in range(3)]
    for member in group:
        member.subscribe("$share/workers/jobs/#", 1)
    writer = client(port, "writer", version=version)
    writer.publish("jobs/old", "retained", 1, retain=True)
    for number in range(9):
        writer.publish("jobs/new", str(number), 1)
    late = client(port, "late", version=version)
    late.subscribe("$share/workers/jobs/#", 1)
    late.subscribe("end", 1)
    assert late.nothing_but("end", writer) == [], "a group gets no retained messages"
    for member in group:
        member.subscribe("end", 1)
    shares = [[int(m.payload) for m in member.nothing_but("end", writer) if m.topic == "jobs/new"] for member in group]
    assert sorted(sum(shares, [])) == list(range(9))
    assert [len(share) for share in shares] == [3, 3, 3]


def with_properties(kind, **named):
    properties = Properties(kind)
    for name, value in named.items():
        setattr(properties, name, value)
    return properties


def test_topic_aliases_both_ways(serve, client):
    port = serve("--lab").mqtt_port
    reader = client(port, "reader", version=paho.MQTTv5,
                    properties=with_properties(PacketTypes.CONNECT, TopicAliasMaximum=5))
    assert reader.properties.TopicAliasMaximum == 16
    reader.subscribe("a/#", 1)
    writer = client(port, "writer", version=paho.MQTTv5)
    writer.publish("a/long/topic", "1", 1, properties=with_properties(PacketTypes.PUBLISH, TopicAlias=3))
    writer.publish("", "2", 1, properties=with_properties(PacketTypes.PUBLISH, TopicAlias=3))
    first, second = reader.next(), reader.next()
    assert (first.topic, second.topic) == ("a/long/topic", "")
    assert first.properties.TopicAlias == second.properties.TopicAlias == 1
    writer.mqtt.publish("a", "x", 1, properties=with_properties(PacketTypes.PUBLISH, TopicAlias=17))
    assert writer.gone.get(timeout=10).value == 0x94


def add_client(backhaul, *arguments):
    """Adds an observer or a service; returns its login once the running broker knows it."""
    login = credentials_in(backhaul.run(*arguments))
    wait_for(lambda: backhaul.connack() != 0 and backhaul.connack(*login) == 0, "the broker to learn of the client")
    return login


def test_one_service_asks_another_and_nobody_else_hears_the_answer(backhaul, client):
    asker_login = add_client(backhaul, "service", "add", "asker", "--prefix", "asker")
    helper_login = add_client(backhaul, "service", "add", "helper", "--prefix", "helper")
    curious_login = add_client(backhaul, "observer", "add", "curious")
    port = backhaul.mqtt_port
    wants = with_properties(PacketTypes.CONNECT, RequestResponseInformation=1)
    asker = client(port, "asker-1", asker_login, version=paho.MQTTv5, properties=wants)
    helper = client(port, "helper-1", helper_login, version=paho.MQTTv5)
    curious = client(port, "curious-1", curious_login, version=paho.MQTTv5, properties=wants)
    assert "ResponseInformation" not in curious.properties.json()
    answers_to = asker.properties.ResponseInformation
    assert answers_to == "$response/asker-1"
    assert asker.subscribe(answers_to, 1)[0].value == 1
    assert curious.subscribe(answers_to, 1)[0].value == 0x87
    assert curious.subscribe("#", 1)[0].value == 1
    helper.subscribe("asker/questions", 1)
    asker.publish("asker/questions", "how?", 1, properties=with_properties(
        PacketTypes.PUBLISH, ResponseTopic=answers_to, CorrelationData=b"17"))
    question = helper.next()
    helper.publish(question.properties.ResponseTopic, "so", 1, properties=with_properties(
        PacketTypes.PUBLISH, CorrelationData=question.properties.CorrelationData))
    answer = asker.next()
    assert (answer.payload, answer.properties.CorrelationData) == (b"so", b"17")
    assert [m.topic for m in curious.nothing_but("helper/end", helper)] == ["asker/questions"]


def test_refusals_say_why(backhaul, client):
    alpha = "!7c5a0a01"
    login = backhaul.add_gateway(alpha)
    nobody = client(backhaul.mqtt_port, "nobody", version=paho.MQTTv5)
    assert (nobody.reason.value, "user name and a password" in nobody.properties.ReasonString) == (0x87, True)
    gateway = client(backhaul.mqtt_port, alpha, login, version=paho.MQTTv5)
    told = queue.Queue()
    gateway.mqtt.on_publish = lambda c, u, mid, reason, properties: told.put((reason.value, properties.ReasonString))
    gateway.mqtt.on_subscribe = lambda c, u, mid, reasons, properties: told.put((reasons[0].value, properties.ReasonString))
    gateway.mqtt.publish("home/lights", "on", 1)
    assert told.get(timeout=10) == (0x87, "A gateway publishes on its own mesh topics only; this topic is none of them. "
                                          "Check the MQTT root topic.")
    gateway.mqtt.subscribe("$share/x/msh/US/2/e/LongFast/+")
    code, why = told.get(timeout=10)
    assert code == 0x87 and "does not share its subscription" in why


def test_the_broker_tells_of_itself_to_those_who_may_know(backhaul, client):
    alpha = "!7c5a0a01"
    login = backhaul.add_gateway(alpha)
    observer = add_client(backhaul, "observer", "add", "dashboard")
    gateway = client(backhaul.mqtt_port, alpha, login, version=paho.MQTTv5)
    assert gateway.subscribe("$SYS/broker/uptime", 0)[0].value == 0x87
    reader = subprocess.run(
        ["mosquitto_sub", "-p", str(backhaul.mqtt_port), "-u", observer[0], "-P", observer[1], "-t", "$SYS/broker/version",
         "-t", "$SYS/broker/clients/total", "-t", "$SYS/broker/load/bytes/received/15min", "-v", "-C", "3", "-W", "20"],
        capture_output=True, text=True, check=True)
    values = dict(line.split(" ", 1) for line in reader.stdout.splitlines())
    assert values["$SYS/broker/version"].startswith("Backhaul ")
    assert int(values["$SYS/broker/clients/total"]) >= 0
    assert float(values["$SYS/broker/load/bytes/received/15min"]) >= 0


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_clients_of_mqtt_3_1_are_served(serve, client, qos):
    port = serve("--lab").mqtt_port
    reader = client(port, "reader", version=paho.MQTTv31)
    reader.subscribe("a/+", qos)
    writer = client(port, "a-name-of-more-than-twenty-three-bytes", version=paho.MQTTv31)
    for number in range(10):
        writer.publish("a/b", str(number), qos)
    got = [reader.next() for _ in range(10)]
    assert [(int(m.payload), m.qos) for m in got] == [(number, qos) for number in range(10)]
    subprocess.run(["mosquitto_pub", "-V", "mqttv31", "-p", str(port), "-i", "tool", "-t", "a/tool", "-m", "x", "-q", str(qos)],
                   check=True, timeout=20)
    assert reader.next().topic == "a/tool"
