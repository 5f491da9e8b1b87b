"""Channel keys that come and go: what was stored before opens, and closes again."""

import base64
import json

from conftest import wait_for
from mesh_packets import envelope, text
from test_paho import ALPHA, FIELD, Client, topic_of

OPS_KEY = bytes(range(1, 33))
OPS = f'[[channel]]\nname = "Ops"\npsk = "{base64.b64encode(OPS_KEY).decode()}"\n'


def test_a_key_opens_what_was_stored_before_it_and_closes_it_when_it_goes(serve, tmp_path):
    config = tmp_path / "backhaul.toml"
    config.write_text("")
    backhaul = serve("--config", str(config))

    def found(words):
        return [json.loads(line) for line in backhaul.run("log", words, "--json", "--config", config).splitlines()]

    gateway = Client(backhaul.mqtt_port, ALPHA, backhaul.add_gateway(ALPHA))
    payload = envelope(FIELD, 90, text("net tonight at nine"), ALPHA, channel="Ops", key=OPS_KEY)
    gateway.publish(topic_of(ALPHA, "Ops"), payload, 1)
    gateway.close()
    stored = wait_for(lambda: found("from:!%08x" % FIELD), "the reception in the history")[0]
    assert stored["port"] is None and stored["consent"] == "unknown" and not found('text:"net tonight"')

    backhaul.stop()
    config.write_text(OPS)
    backhaul.start()
    opened = wait_for(lambda: found('text:"net tonight"'), "what the key opens")[0]
    assert opened["port"] == 1 and opened["consent"] == "yes" and opened["key_class"] == "private"
    assert opened["verdict"] == stored["verdict"], "what was decided stays"
    backhaul.stop()
    config.write_text("")
    backhaul.start()
    closed = wait_for(lambda: [row for row in found("from:!%08x" % FIELD) if row["port"] is None], "what is closed again")
    assert closed[0]["consent"] == "unknown" and not found('text:"net tonight"')
    config.write_text(OPS)
    assert not found('text:"net tonight"'), "the index of words has let go of it"
