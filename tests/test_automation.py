"""What home automation and monitors read, with clients that are not ours: paho, a JSON Schema validator, YAML."""

import json
import re
import urllib.request

import jsonschema
import paho.mqtt.client as paho
import pytest
import yaml

import mesh_packets
from conftest import ROOT, credentials_in, wait_for
from meshtastic.protobuf import mesh_pb2, portnums_pb2, telemetry_pb2

ALPHA = 0x7C5A0A01
CONFIG = """
[automation]
json = "{json}"
packets = "packet"
home_assistant = "{home_assistant}"
home_assistant_nodes = ["!7c5a0a01"]
"""


def client(port, login, name, topics=()):
    """A connected client; what it gets stands in `got` as (topic, payload, retained)."""
    made = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
    made.username_pw_set(*login)
    made.got, ready = [], []
    made.on_message = lambda c, u, m: made.got.append((m.topic, m.payload, m.retain))
    made.on_subscribe = lambda *_: ready.append(1)
    made.connect("127.0.0.1", port)
    made.loop_start()
    for topic in topics:
        made.subscribe(topic, 1)
    wait_for(lambda: made.is_connected() and len(ready) >= len(topics), "the subscriptions")
    return made


def telemetry(**metrics):
    content = telemetry_pb2.Telemetry(time=1, device_metrics=telemetry_pb2.DeviceMetrics(**metrics))
    return portnums_pb2.TELEMETRY_APP, content.SerializeToString()


def nodeinfo(name):
    user = mesh_pb2.User(id="!7c5a0a01", long_name=name, short_name="A", hw_model=43)
    return portnums_pb2.NODEINFO_APP, user.SerializeToString()


class Mesh:
    def __init__(self, serve, tmp_path, json="packet", home_assistant="chosen", policy=""):
        self.config, policy_file = tmp_path / "backhaul.toml", tmp_path / "policy.toml"
        policy_file.write_text(policy)
        self.config.write_text(f'policy = "{policy_file}"\n' + CONFIG.format(json=json, home_assistant=home_assistant))
        self.backhaul = serve("--config", self.config)
        self.login = self.backhaul.add_gateway("!7c5a0a01")
        self.reader = credentials_in(self.backhaul.run("observer", "add", "home"))
        wait_for(lambda: self.backhaul.connack(*self.reader) == 0, "the broker to learn of the observer")
        self.ids = iter(range(1000, 2000))
        self.gateway = client(self.backhaul.mqtt_port, self.login, "!7c5a0a01", ["msh/US/2/json/LongFast/+"])

    def watch(self, *topics):
        return client(self.backhaul.mqtt_port, self.reader, f"watch{next(self.ids)}", topics)

    def send(self, content, sender=ALPHA, **more):
        payload = mesh_packets.envelope(sender, next(self.ids), content, "!7c5a0a01", **more)
        self.gateway.publish("msh/US/2/e/LongFast/!7c5a0a01", payload, 1).wait_for_publish(10)


@pytest.fixture
def mesh(serve, tmp_path):
    return Mesh(serve, tmp_path)


def topics_of(watcher):
    return [topic for topic, _, _ in watcher.got]


def test_json_as_firmware_wrote_it_and_a_richer_one_that_keeps_its_schema(mesh):
    watcher = mesh.watch("msh/US/2/json/#", "backhaul/1/packet/#")
    mesh.send(mesh_packets.text("not for you"), sender=0x11223344, consent=False)
    mesh.send(mesh_packets.text("hello"), sender=0x11223344)
    mesh.send(telemetry(battery_level=81, voltage=3.9))
    wait_for(lambda: len(watcher.got) >= 4, "four messages")
    by_topic = {topic: json.loads(payload) for topic, payload, _ in watcher.got}
    assert not any(b"not for you" in payload for _, payload, _ in watcher.got)
    first = json.loads(watcher.got[0][1])
    assert watcher.got[0][0] == "msh/US/2/json/LongFast/!7c5a0a01"
    assert (first["type"], first["payload"], first["from"]) == ("text", {"text": "hello"}, 0x11223344)
    schema = json.loads((ROOT / "docs/packet.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    rich = [message for topic, message in by_topic.items() if topic.startswith("backhaul/1/packet/LongFast/")]
    assert len(rich) == 2
    for message in rich:
        jsonschema.validate(message, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(rich[0] | {"surprise": 1}, schema)
    assert mesh.gateway.got == [], "gateways are not told what they have sent"


def test_home_assistant_finds_a_chosen_node_and_follows_its_name(mesh):
    watcher = mesh.watch("homeassistant/#", "backhaul/1/node/#")
    mesh.send(telemetry(battery_level=81), sender=0x11223344)
    mesh.send(telemetry(battery_level=81, voltage=3.9))
    battery = "homeassistant/sensor/backhaul_7c5a0a01/battery_level/config"
    wait_for(lambda: "backhaul/1/node/!7c5a0a01/state" in topics_of(watcher), "the state")
    config = json.loads(dict((t, p) for t, p, _ in watcher.got)[battery])
    assert config["state_topic"] == "backhaul/1/node/!7c5a0a01/state"
    assert config["device"]["name"] == "!7c5a0a01"
    assert not any("11223344" in topic for topic in topics_of(watcher)), "not chosen"
    mesh.send(nodeinfo("Hill Top"))
    wait_for(lambda: topics_of(watcher).count(battery) == 2, "the new name")
    late = mesh.watch(battery)
    wait_for(lambda: late.got, "the retained announcement")
    assert late.got[0][2] and json.loads(late.got[0][1])["device"]["name"] == "Hill Top"


def test_who_is_no_longer_chosen_is_taken_back_at_the_next_start(mesh):
    watcher = mesh.watch("homeassistant/#")
    mesh.send(telemetry(battery_level=81))
    wait_for(lambda: watcher.got, "an announcement")
    for used in (watcher, mesh.gateway):
        used.disconnect()
    mesh.backhaul.stop()
    mesh.config.write_text(CONFIG.format(json="off", home_assistant="off"))
    mesh.backhaul.start()
    def is_clean():
        late = mesh.watch("homeassistant/#", "backhaul/1/node/#", "msh/none")
        found = list(late.got)
        late.disconnect()
        return not found
    wait_for(is_clean, "the retained topics to be gone")


def metrics_of(backhaul):
    with urllib.request.urlopen(f"{backhaul.web}/metrics") as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def test_dashboard_and_alerts_use_metrics_that_exist(mesh):
    mesh.send(mesh_packets.text("hello"))
    text = wait_for(lambda: (m := metrics_of(mesh.backhaul)) and 'verdict="rewrite"} 1' in m and m, "a reception")
    there = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    for line in text.splitlines():
        assert re.fullmatch(r'#.*|backhaul_[a-z0-9_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.]+', line), line
    for name in there:
        kind = re.search(rf"^# TYPE {name} (\S+)$", text, re.M).group(1)
        assert name.endswith("_total") == (kind == "counter"), name
    packaging = ROOT / "packaging"
    dashboard = json.loads((packaging / "grafana/backhaul.json").read_text())
    rules = yaml.safe_load((packaging / "prometheus/backhaul.rules.yml").read_text())
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    expressions += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    used = set(re.findall(r"backhaul_[a-z0-9_]+", " ".join(expressions)))
    assert len(used) > 15 and used <= there, used - there
