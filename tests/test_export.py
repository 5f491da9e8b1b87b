"""`backhaul export` while the server runs: all of what the log holds, as files that other programs open."""

import csv
import json
import stat

from conftest import wait_for
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
