"""Retention as people see it: what is kept, what the last purge took away, and that it is really gone."""

import datetime
import json
import shutil
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
