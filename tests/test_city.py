"""The simulated city: on paper, against a broker, and inside `serve --demo`."""

import json
import subprocess
import urllib.request

from conftest import BINARY, wait_for


def simulate(*arguments):
    done = subprocess.run([BINARY, "simulate", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_on_paper_the_same_seed_gives_the_same_city():
    packets = [{key: line[key] for key in ("at_ms", "gateway", "topic")} for line in simulate("--offline")[:-1]]
    again = [{key: line[key] for key in ("at_ms", "gateway", "topic")} for line in simulate("--offline")[:-1]]
    assert packets == again and len(packets) > 100
    assert packets != [{key: line[key] for key in ("at_ms", "gateway", "topic")}
                       for line in simulate("--offline", "--seed", "2")[:-1]]


def test_what_the_city_uplinks_is_judged_and_crosses_to_other_islands(backhaul):
    report = simulate("--broker", f"127.0.0.1:{backhaul.mqtt_port}", "--data", str(backhaul.data / "data"),
                      "--speed", "600", "--hours", "2", "--texts", "200")[-1]["report"]
    assert report["texts_crossed"] > 10 and report["downlink_airtime_ms"] > 0
    rows = [json.loads(line) for line in backhaul.run("log", "--json", "--limit", "10000").splitlines()]
    own = [row for row in rows if row["client_id"] == "backhaul"]
    rows = [row for row in rows if row["client_id"] != "backhaul"]
    verdicts = {row["verdict"] for row in rows}
    assert {"rewrite", "record only", "accept"} <= verdicts and "refuse" not in verdicts
    # The last uplinks may still be on their way when the simulation ends.
    assert report["uplinks"] * 0.95 < len(rows) <= report["uplinks"]
    assert all(row["username"] for row in rows), "simulated gateways sign in with credentials of their own"
    backhaul.stop()
    told = json.loads(backhaul.run("downlink", "status", "--json"))["gateways"]
    assert len(own) >= len(told) == 9 and all(gateway["verified"] for gateway in told), "all were asked and answered"


def test_the_demo_shows_a_living_city_within_a_minute(tmp_path):
    process = subprocess.Popen([BINARY, "serve", "--demo", "--mqtt-listen", "127.0.0.1:0", "--web-listen",
                                "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        page = next(line.split()[1] for line in process.stdout if line.strip().startswith("Pages"))

        def is_alive():
            with urllib.request.urlopen(page) as answer:
                html = answer.read().decode()
            return "9 gateways connected" in html and "Router 1 Liberty" in html
        wait_for(is_alive, "a city", seconds=60)
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0
