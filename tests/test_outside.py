"""Whoever is outside the community gets what its sender agreed to, and nothing that says nothing of consent."""

import pytest

from conftest import wait_for
from mesh_packets import envelope, text
from test_paho import ALPHA, FIELD, client, topic_of  # noqa: F401 (client is a fixture)


@pytest.fixture
def backhaul(serve, tmp_path):
    policy, config = tmp_path / "policy.toml", tmp_path / "outside.toml"
    policy.write_text('outside = ["bridge"]\nconsent_no = "accept"\n[rules]\njson-uplink = "off"\nstat = "off"\n')
    config.write_text(f'policy = "{policy}"\n')
    return serve("--config", config)


def test_nothing_without_consent_leaves_the_community(backhaul, client):
    alpha = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    logins = {name: login_in(backhaul.run("observer", "add", name)) for name in ["bridge", "wall"]}
    wait_for(lambda: all(backhaul.connack(*login) == 0 for login in logins.values()), "the broker to learn of them")
    inside, outside = (client(backhaul.mqtt_port, name, logins[name]) for name in ["wall", "bridge"])
    for reader in [inside, outside]:
        reader.subscribe("msh/#", 1)
    json_topic = f"msh/US/2/json/LongFast/{ALPHA}"
    alpha.publish(json_topic, b'{"text":"decoded by the gateway"}', 1)
    alpha.publish(topic_of(ALPHA), envelope(FIELD, 1, text("for us"), ALPHA, consent=False), 1)
    alpha.publish(topic_of(ALPHA), envelope(FIELD, 2, text("for all"), ALPHA), 1)
    assert [inside.next().topic for _ in range(3)] == [json_topic, topic_of(ALPHA), topic_of(ALPHA)]
    first = outside.next()
    assert first.topic == topic_of(ALPHA) and b"\x35\x02\x00\x00\x00" in first.payload, "the first is the consented one"


def login_in(output):
    lines = dict(line.split(None, 1) for line in output.splitlines() if len(line.split(None, 1)) == 2)
    return lines["username"].strip(), lines["password"].strip()
