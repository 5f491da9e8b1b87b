"""Bad input and bad days: each has a clear word, harms nobody else, and loses nothing that was acknowledged."""

import json
import os
import socket
import sqlite3
import subprocess

from conftest import BINARY, wait_for
from mesh_packets import envelope, opened, text
from test_paho import ALPHA, CHARLIE, FIELD, Client, topic_of


def serve_and_fail(*arguments):
    done = subprocess.run([BINARY, "serve", "--mqtt-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0", *arguments],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    return done.stderr


def test_a_broken_configuration_is_reported_whole_with_lines(tmp_path):
    config = tmp_path / "backhaul.toml"
    config.write_text('[mqtt]\nlisten = 1883\nmax_conections = 5\n')
    said = serve_and_fail("--config", config, "--data", tmp_path / "data")
    for line, word in [(2, "listen"), (3, "max_connections")]:
        assert f"{config}:{line}:" in said and word in said, said
    assert not (tmp_path / "data").exists()
    (tmp_path / "data").mkdir()
    policy = tmp_path / "data/policy.toml"
    policy.write_text('hop_limit_max = 9\n[rules]\nconsent = "maybe"\n')
    said = serve_and_fail("--data", tmp_path / "data")
    for line, word in [(1, "hop_limit_max"), (3, "enforce")]:
        assert f"{policy}:{line}:" in said and word in said, said
    missing = serve_and_fail("--config", tmp_path / "nowhere.toml")
    assert "nowhere.toml" in missing


def test_files_of_a_newer_version_are_refused_and_left_alone(serve):
    backhaul = serve()
    backhaul.add_gateway(ALPHA)
    Client(backhaul.mqtt_port, "probe").close()
    wait_for(lambda: list((backhaul.data / "data/history").glob("*.db")), "the day's file")
    backhaul.stop()
    for file in [*(backhaul.data / "data/history").glob("*.db"), backhaul.data / "data/directory.db"]:
        with sqlite3.connect(file) as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute("PRAGMA user_version = 99")
        said = serve_and_fail("--data", backhaul.data / "data")
        assert "newer" in said and file.name in said and "99" in said
        with sqlite3.connect(file) as database:
            assert database.execute("PRAGMA user_version").fetchone()[0] == 99
            database.execute(f"PRAGMA user_version = {version}")
    backhaul.start()


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([BINARY, "serve", "--mqtt-listen", f"127.0.0.1:{port}", "--data", tmp_path / "data"],
                              capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and str(port) in done.stderr and "--mqtt-listen" in done.stderr


def test_a_folder_that_another_server_works_on_is_left_alone(serve):
    backhaul = serve()
    said = serve_and_fail("--data", backhaul.data / "data")
    assert "another backhaul" in said and "--data" in said
    backhaul.kill()
    backhaul.start()


def test_nonsense_on_a_socket_ends_that_connection_and_no_other(backhaul):
    alpha = Client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    charlie = Client(backhaul.mqtt_port, CHARLIE, backhaul.add_gateway(CHARLIE))
    charlie.subscribe("msh/US/2/e/LongFast/+", 1)
    connect = bytes.fromhex("101000044d5154540402003c000470726f62")
    for nonsense in [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b"\x10\xff\xff\xff\xff\x7f", b"\x10\xff\xff\xff\x7f",
                     b"\x30\x02\x00\x00", os.urandom(4096), connect[:5], connect + b"\xf0\x00"]:
        with socket.create_connection(("127.0.0.1", backhaul.mqtt_port), timeout=10) as stranger:
            stranger.sendall(nonsense)
            if nonsense != connect[:5]:
                # Closed by the broker, with or without an answer.
                try:
                    while stranger.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
    alpha.publish(topic_of(ALPHA), envelope(FIELD, 3, text("still here"), ALPHA), 1)
    assert opened(charlie.next().payload)[1].payload == b"still here"
    alpha.close()
    charlie.close()


def test_what_was_acknowledged_is_there_after_a_kill_under_load_and_the_numbering_goes_on(backhaul):
    login = backhaul.add_gateway(ALPHA)
    alpha = Client(backhaul.mqtt_port, ALPHA, login)
    acknowledged = []
    pending = {}
    alpha.mqtt.on_publish = lambda c, u, mid, reason, p: acknowledged.append(pending[mid])
    for packet_id in range(1, 400):
        payload = envelope(FIELD, packet_id, text("kept"), ALPHA)
        info = alpha.mqtt.publish(topic_of(ALPHA), payload, 1)
        pending[info.mid] = packet_id
    wait_for(lambda: len(acknowledged) > 100, "some acknowledgements")
    backhaul.kill()
    promised = set(acknowledged)
    alpha.mqtt.loop_stop()
    rows = [json.loads(line) for line in backhaul.run("log", "--json", "--limit", "10000").splitlines()]
    kept = {row["packet"]["id"] for row in rows}
    assert promised <= kept
    highest = max(row["seq"] for row in rows)
    backhaul.start()
    again = Client(backhaul.mqtt_port, "again", login)
    again.publish(topic_of(ALPHA), envelope(FIELD, 9999, text("after"), ALPHA), 1)
    newest = json.loads(backhaul.run("log", "--json", "--limit", "1").splitlines()[0])
    assert (newest["seq"], newest["packet"]["id"]) == (highest + 1, 9999)
    again.close()
