"""The corners of MQTT 5.0 and 3.1.1, with Eclipse Paho and mosquitto's clients."""

import paho.mqtt.client as paho
import pytest

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
