"""A real Home Assistant against Backhaul, by one command (it takes minutes, so it is not part of the everyday run):

    python3 -m venv /tmp/ha && /tmp/ha/bin/pip install -r tests/home_assistant.txt
    python -m pytest -q tests/home_assistant.py --home-assistant /tmp/ha/bin/hass
"""

import json
import pathlib
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest

import mesh_packets
from conftest import wait_for
from meshtastic.protobuf import mesh_pb2, portnums_pb2
from test_automation import Mesh, nodeinfo, telemetry


@pytest.fixture
def hass(pytestconfig):
    return pathlib.Path(pytestconfig.getoption("--home-assistant")).absolute()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class HomeAssistant:
    def __init__(self, hass, folder, broker_port, login):
        self.port, self.folder = free_port(), folder
        (folder / ".storage").mkdir(parents=True)
        (folder / "configuration.yaml").write_text(
            f"http:\n  server_host: 127.0.0.1\n  server_port: {self.port}\napi:\nlogger:\n  default: warning\n")
        entry = {"entry_id": "mqtt1", "version": 1, "minor_version": 1, "domain": "mqtt", "title": "Backhaul",
                 "data": {"broker": "127.0.0.1", "port": broker_port, "username": login[0], "password": login[1],
                          "discovery": True, "discovery_prefix": "homeassistant"},
                 "options": {}, "pref_disable_new_entities": False, "pref_disable_polling": False, "source": "user",
                 "unique_id": None, "disabled_by": None}
        (folder / ".storage" / "core.config_entries").write_text(json.dumps(
            {"version": 1, "minor_version": 1, "key": "core.config_entries", "data": {"entries": [entry]}}))
        subprocess.run([hass, "--script", "auth", "-c", folder, "add", "kc", "a-password"], check=True,
                       capture_output=True, timeout=300)
        self.output = open(folder / "out", "wb")
        self.process = subprocess.Popen([hass, "-c", folder, "--skip-pip"], stdout=self.output,
                                        stderr=subprocess.STDOUT)
        self.token = None
        wait_for(self.sign_in, "Home Assistant to start", 300)

    def post(self, path, content=None, **fields):
        body = json.dumps(content).encode() if content is not None else urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body, timeout=10) as answer:
            return json.loads(answer.read())

    def sign_in(self):
        me = f"http://127.0.0.1:{self.port}/"
        try:
            flow = self.post("/auth/login_flow", {"client_id": me, "handler": ["homeassistant", None],
                                                  "redirect_uri": me})
        except OSError:
            assert self.process.poll() is None, (self.folder / "out").read_text()
            return False
        code = self.post(f"/auth/login_flow/{flow['flow_id']}",
                         {"client_id": me, "username": "kc", "password": "a-password"})["result"]
        self.token = self.post("/auth/token", grant_type="authorization_code", code=code, client_id=me)["access_token"]
        return True

    def states(self):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/states",
                                         headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return {state["entity_id"]: state for state in json.loads(answer.read())}


def test_home_assistant_shows_a_node_as_a_device(serve, tmp_path, hass):
    # A node that measures more often than is ordinary is held back, and here it does within a minute.
    mesh = Mesh(serve, tmp_path, policy="telemetry_interval_s = 0\nposition_interval_s = 0\n")
    home = HomeAssistant(hass, tmp_path / "ha", mesh.backhaul.mqtt_port, mesh.reader)
    try:
        mesh.send(nodeinfo("Hill Top"))
        mesh.send(telemetry(battery_level=81, voltage=3.9, channel_utilization=4.5))
        place = mesh_pb2.Position(latitude_i=390_997_000, longitude_i=-945_786_000, precision_bits=14)
        mesh.send((portnums_pb2.POSITION_APP, place.SerializeToString()))
        def value(entity):
            return home.states().get(f"{entity.split('.')[0]}.backhaul_7c5a0a01_{entity.split('.')[1]}", {})
        wait_for(lambda: value("sensor.battery_level").get("state") == "81", "the battery", 60)
        wait_for(lambda: value("binary_sensor.online").get("state") == "on", "the node to be heard", 60)
        wait_for(lambda: value("device_tracker.position").get("attributes", {}).get("gps_accuracy") == 1460,
                 "the position", 60)
        battery = value("sensor.battery_level")["attributes"]
        assert (battery["device_class"], battery["unit_of_measurement"]) == ("battery", "%")
        assert battery["friendly_name"] == "Hill Top Battery"
        assert value("sensor.last_heard")["state"].startswith("20")
        assert value("binary_sensor.external_power")["state"] == "off"
        wait_for(lambda: "event.backhaul_7c5a0a01_text" in home.states()
                 or mesh.send(mesh_packets.text("hello")), "the text's entity", 60)
        def says():
            mesh.send(mesh_packets.text("hello again"))
            return value("event.text").get("attributes", {}).get("text") == "hello again"
        wait_for(says, "the text", 60)
        mesh.send(telemetry(battery_level=101))
        wait_for(lambda: value("binary_sensor.external_power")["state"] == "on", "external power", 60)
        log = (tmp_path / "ha" / "out").read_text()
        assert "mqtt" not in "\n".join(line for line in log.splitlines() if "ERROR" in line or "WARNING" in line), log
    finally:
        home.process.terminate()
        home.process.wait(timeout=60)
