"""The corners of MQTT 5.0 and 3.1.1, with Eclipse Paho and mosquitto's clients."""

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

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
