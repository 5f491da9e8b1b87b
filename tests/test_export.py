"""`backhaul export` while the server runs: all of what the log holds, as files that other programs open."""

import csv
import json
import stat
import struct

import duckdb
import pcapng
import pytest
from meshtastic.protobuf import mesh_pb2, portnums_pb2

from conftest import wait_for
from mesh_packets import BROADCAST, DEFAULT_KEY, channel_hash, crypt, envelope, text
from test_paho import FIELD, Client, topic_of
from test_mosquitto import ALPHA, as_gateway, captured, mosquitto


def test_a_running_servers_history_is_exported_as_a_table_and_as_lines(backhaul, tmp_path):
    username, password = backhaul.add_gateway(ALPHA)
    login = ["-u", username, "-P", password, "-i", ALPHA, "-q", "1", "-t", f"msh/US/2/e/LongFast/{ALPHA}", "-s"]
    sent = [as_gateway(captured(name)) for name in ["text_default", "text_not_ok_to_mqtt"]]
    for payload in sent:
        assert mosquitto("pub", backhaul.mqtt_port, *login, input=payload).returncode == 0
    wait_for(lambda: len(backhaul.run("log", "--json").splitlines()) == 2, "both to be stored")

    table = tmp_path / "all.csv"
    backhaul.run("export", "--output", str(table))
    rows = list(csv.DictReader(table.open(newline="")))
    assert [row["payload_hex"] for row in rows] == [payload.hex() for payload in sent]
    assert stat.S_IMODE(table.stat().st_mode) == 0o600

    lines = [json.loads(line) for line in backhaul.run("export", "verdict:record-only").splitlines()]
    assert [line["seq"] for line in lines] == [int(row["seq"]) for row in rows if row["verdict"] == "record only"]
    assert len(lines) == 1


@pytest.fixture
def heard(backhaul):
    """A text and a place of a node through a gateway."""
    gateway = Client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    place = mesh_pb2.Position(latitude_i=392_466_000, longitude_i=-944_191_000, altitude=270, precision_bits=32)
    for number, content in enumerate([text("net tonight"), (portnums_pb2.POSITION_APP, place.SerializeToString())]):
        payload = envelope(FIELD, 70 + number, content, ALPHA, rssi=-101, snr=-3.25, hop_limit=2)
        gateway.publish(topic_of(ALPHA), payload, 1)
    wait_for(lambda: len(backhaul.run("log", "--json").splitlines()) == 2, "both to be stored")
    yield
    gateway.close()


def test_a_capture_holds_the_frames_of_the_radio(backhaul, heard, tmp_path):
    capture = tmp_path / "all.pcapng"
    backhaul.run("export", "--output", str(capture))
    with capture.open("rb") as file:
        blocks = list(pcapng.FileScanner(file))
    interface = next(block for block in blocks if type(block).__name__ == "InterfaceDescription")
    frames = [block for block in blocks if type(block).__name__ == "EnhancedPacket"]
    assert interface.link_type == 270 and len(frames) == 2
    logged = [json.loads(line)["at_ms"] for line in backhaul.run("export").splitlines()]
    assert [round(frame.timestamp * 1000) for frame in frames] == logged
    first = frames[0].packet_data
    version, length = struct.unpack(">BxH", first[:4])
    assert (version, length, first[14]) == (0, 15, 0x2B)
    assert first[10] - 139 == -101 and struct.unpack("b", first[13:14])[0] / 4 == -3.25
    frame = first[length:]
    to, sender, number, flags, hash_, next_hop, relay = struct.unpack("<IIIBBBB", frame[:16])
    assert (to, sender, number, hash_) == (BROADCAST, FIELD, 70, channel_hash("LongFast", DEFAULT_KEY))
    assert (flags & 7, flags >> 5) == (2, 3)
    data = mesh_pb2.Data.FromString(crypt(DEFAULT_KEY, number, sender, frame[16:]))
    assert data.payload == b"net tonight"


def test_columns_are_counted_by_a_program_for_that(backhaul, heard, tmp_path):
    table = tmp_path / "all.parquet"
    backhaul.run("export", "--output", str(table))
    rows = duckdb.sql(f"SELECT \"from\", port_name, rx_snr_db, length(hex(payload)) / 2 > 50 FROM '{table}' ORDER BY seq")
    sender = f"!{FIELD:08x}"
    assert rows.fetchall() == [(sender, "TEXT_MESSAGE_APP", -3.25, True), (sender, "POSITION_APP", -3.25, True)]


def test_places_are_drawn_on_a_map(backhaul, heard, tmp_path):
    places = tmp_path / "places.geojson"
    said = backhaul.run("export", "--output", str(places), check=False).stderr
    assert "1 receptions exported" in said and "1 are left out" in said
    features = json.loads(places.read_text())["features"]
    assert [feature["geometry"]["coordinates"] for feature in features] == [[-94.4191, 39.2466, 270.0]]


def test_an_unknown_ending_says_which_there_are(backhaul, tmp_path):
    refused = backhaul.run("export", "--output", str(tmp_path / "all.xlsx"), check=False).stderr
    assert "xlsx" in refused and "parquet" in refused and "pcapng" in refused
