"""Retention as people see it: what is kept, what the last purge took away, and that it is really gone."""

import datetime
import json
import shutil
import sqlite3
import urllib.request

from conftest import wait_for
from mesh_packets import envelope, text
from test_paho import ALPHA, FIELD, client, topic_of  # noqa: F401 (client is a fixture)


def told(backhaul):
    return json.load(urllib.request.urlopen(f"{backhaul.web}/.well-known/backhaul-retention.json"))


def test_what_is_older_than_is_kept_goes_and_everybody_can_see_it(serve, client, tmp_path):
    config = tmp_path / "backhaul.toml"
    config.write_text("[history]\nkeep_days = 30\n")
    backhaul = serve("--config", config)
    gateway = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 1, text("soon forgotten"), ALPHA), 1)
    page = urllib.request.urlopen(f"{backhaul.web}/retention").read().decode()
    assert "30 days" in page and "backhaul-retention.json" in page
    today = datetime.datetime.now(datetime.timezone.utc).date()
    assert told(backhaul)["oldest_day"] == str(today) and told(backhaul)["keep_days"] == 30
    gateway.close()
    backhaul.stop()
    # The same day, as if it were long ago.
    history = backhaul.data / "data" / "history"
    shutil.copy(history / f"{today}.db", history / "2020-02-02.db")
    arguments = ("--config", config)
    shown = json.loads(backhaul.run("retention", "show", "--json", *arguments))
    assert shown["oldest_day"] == "2020-02-02" and shown["due"]["days"] == 1 and shown["due"]["receptions"] == 1
    assert (history / "2020-02-02.db").exists(), "showing deletes nothing"
    assert "1 days with 1 receptions" in backhaul.run("retention", "run", *arguments)
    assert not list(history.glob("2020-02-02.db*"))
    backhaul.start()
    last = wait_for(lambda: told(backhaul)["last_deletion"], "the purge to be told")
    assert last["purged"]["receptions"] == 1 and told(backhaul)["oldest_day"] == str(today)


def moved_back(backhaul, days):
    """The day's file as if it were so many days old; the server must be stopped."""
    history = backhaul.data / "data" / "history"
    today = datetime.datetime.now(datetime.timezone.utc).date()
    then = today - datetime.timedelta(days=days)
    file = history / f"{then}.db"
    (history / f"{today}.db").rename(file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE reception SET at_ms = at_ms - ?", [days * 86_400_000])
    connection.close()
    return file, str(then)


def test_a_class_goes_before_the_rest_and_what_is_left_still_reads_and_explains(serve, client, tmp_path):
    config = tmp_path / "backhaul.toml"
    config.write_text("[history]\nkeep_text_days = 30\nkeep_connections_days = 0\n")
    backhaul = serve("--config", config)
    gateway = client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    gateway.publish(topic_of(ALPHA), envelope(FIELD, 7, text("soon forgotten"), ALPHA), 1)
    gateway.close()
    backhaul.stop()
    file, then = moved_back(backhaul, 40)
    arguments = ("--config", config)
    # Other times first: what they would delete is said, and nothing is deleted.
    other = json.loads(backhaul.run("retention", "preview", "--bytes-days", "35", "--json", *arguments))
    assert other["due"]["bytes"] >= 1 and other["due"]["texts"] == 0
    assert "nothing" in backhaul.run("retention", "preview", "--text-days", "50", *arguments)
    assert json.loads(backhaul.run("retention", "show", "--json", *arguments))["due"]["texts"] == 1
    assert "1 texts" in backhaul.run("retention", "run", *arguments)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM reception WHERE length(content) > 0 OR body IS NOT NULL").fetchone() == (0,)
    connection.close()
    # The packet is still in the log, explained, and its page says what became of its bytes.
    row, = [json.loads(line) for line in backhaul.run("log", "--json", "--limit", "9").splitlines()]
    assert row["packet"]["id"] == 7 and row["payload_hex"] == "" and row["verdict"] == "rewrite"
    assert "rewrit" in backhaul.run("explain", f"!{FIELD:08x}", "7")
    assert backhaul.run("log", "text:forgotten", "--json") == ""
    backhaul.start()
    page = urllib.request.urlopen(f"{backhaul.web}/packet/!{FIELD:08x}/7").read().decode()
    assert "The bytes of this packet were deleted on" in page
    classes = {one["class"]: one for one in told(backhaul)["classes"]}
    assert classes["text"]["keep_days"] == 30 and classes["text"]["oldest_day"] != then
    assert classes["decisions"]["oldest_day"] == then
    assert told(backhaul)["last_deletion"]["purged"]["texts"] == 1
