"""Alerts to targets that are not ours: a web server and a mail server that fail first and then work, and a client of paho."""

import hashlib
import hmac
import http.server
import json
import socketserver
import threading

import pytest

import mesh_packets
from conftest import credentials_in, wait_for
from test_automation import ALPHA, client, nodeinfo, telemetry

FIELD, HERMIT = 0x11223344, 0x55667788
SECRET = "a secret of ours"
CONFIG = """
packaged = {packaged}
gather_s = 0
targets = {targets}

[[rule]]
name = "help"
about = "Go there."
severity = "critical"
filter = "text:help"

[[target]]
name = "hook"
url = "{web}/hook"
secret_file = "hook.secret"

[[target]]
name = "words"
url = "{web}/words"
template = '{{"say": "{{title}}", "{{nothing}}": 1}}'

[[target]]
name = "phone"
kind = "ntfy"
url_file = "phone.url"

[[target]]
name = "chat"
kind = "discord"
url = "{web}/chat"

[[target]]
name = "mail"
kind = "email"
server = "127.0.0.1"
port = {mail}
security = "none"
from = "mesh@example.org"
to = ["team@example.org"]

[[target]]
name = "topic"
kind = "mqtt"
topic = "backhaul/1/alert"

[[target]]
name = "elsewhere"
url = "{web}/moved"
"""


class Web(http.server.ThreadingHTTPServer):
    """Answers 503 while it is `broken`, and 302 at `/moved`; what it took stands in `got`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.broken, self.got, self.tries = False, [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def at(self, path):
        return [(headers, body) for where, headers, body in self.got if where == path]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.tries.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/inside")
        elif self.server.broken:
            self.send_response(503)
        else:
            self.server.got.append((self.path, self.headers, body))
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Mail(socketserver.ThreadingTCPServer):
    """A mail server (RFC 5321, as much as a delivery needs) that turns mails away while it is `broken`."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Delivery)
        self.broken, self.got, self.tries = False, [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Delivery(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 ready")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"MAIL":
                self.server.tries += 1
                self.say("451 not now" if self.server.broken else "250 ok")
            elif word == b"DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.got.append(b"".join(lines).decode())
                self.say("250 taken")
            elif word == b"QUIT":
                return self.say("221 bye")
            else:
                self.say("250 ok")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


class Town:
    def __init__(self, serve, tmp_path, targets, packaged=False):
        self.web, self.mail = Web(), Mail()
        self.folder = tmp_path
        (tmp_path / "hook.secret").write_text(SECRET + "\n")
        (tmp_path / "phone.url").write_text(self.web.url + "/phone\n")
        self.file, self.config = tmp_path / "alerts.toml", tmp_path / "backhaul.toml"
        self.write(targets, packaged)
        self.config.write_text(f'alerts = "{self.file}"\n[mesh]\nname = "Test Mesh"\n')
        self.backhaul = serve("--config", self.config)
        self.login = self.backhaul.add_gateway("!7c5a0a01")
        self.reader = credentials_in(self.backhaul.run("observer", "add", "home"))
        wait_for(lambda: self.backhaul.connack(*self.reader) == 0, "the broker to learn of the observer")
        self.ids = iter(range(1000, 2000))
        self.connect()

    def write(self, targets, packaged=False, more=""):
        text = CONFIG.format(web=self.web.url, mail=self.mail.server_address[1], targets=json.dumps(targets),
                             packaged=json.dumps(packaged))
        self.file.write_text(text + more)

    def connect(self):
        self.gateway = client(self.backhaul.mqtt_port, self.login, "!7c5a0a01")

    def send(self, content, sender=FIELD, **more):
        payload = mesh_packets.envelope(sender, next(self.ids), content, "!7c5a0a01", **more)
        self.gateway.publish("msh/US/2/e/LongFast/!7c5a0a01", payload, 1).wait_for_publish(10)

    def alerts(self, *arguments):
        return self.backhaul.run("alerts", *arguments, "--config", self.config)

    def refused(self, *arguments):
        done = self.backhaul.run("alerts", *arguments, "--config", self.config, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr


@pytest.fixture
def town(serve, tmp_path):
    return lambda *targets, **more: Town(serve, tmp_path, list(targets), **more)


def test_every_kind_of_target_is_told_also_when_it_fails_first(town):
    town = town("hook", "words", "phone", "chat", "mail", "topic")
    watcher = client(town.backhaul.mqtt_port, town.reader, "watch", ["backhaul/1/alert"])
    town.web.broken = town.mail.broken = True
    town.send(nodeinfo("Hill Top"))
    town.send(mesh_packets.text('help "me"'))
    wait_for(lambda: len(set(town.web.tries)) == 4 and town.mail.tries, "the first attempts")
    wait_for(lambda: watcher.got, "the topic, which does not wait for the others")
    assert town.web.got == [] and town.mail.got == []
    wait_for(lambda: "failed 1 times" in town.alerts("history"), "the failures in the history")
    assert "503" in town.alerts("history") and SECRET not in town.alerts("history")
    town.web.broken = town.mail.broken = False
    wait_for(lambda: len(town.web.got) == 4 and town.mail.got, "the second attempts", 40)

    [(headers, body)] = town.web.at("/hook")
    at, signature = (part.split("=")[1] for part in headers["X-Backhaul-Signature"].split(","))
    assert signature == hmac.new(SECRET.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    alert = json.loads(body)["alerts"][0]
    assert alert["rule"] == "help" and alert["subject"] == "node !11223344" and alert["name"] == "Hill Top"
    assert 'help "me"' in alert["detail"]
    assert json.loads(watcher.got[0][1]) == json.loads(body)
    words = json.loads(town.web.at("/words")[0][1])
    assert "Hill Top" in words["say"] and 'help "me"' in words["say"]
    [(headers, body)] = town.web.at("/phone")
    assert headers["X-Priority"] == "5" and "Go there." in body
    [(_, body)] = town.web.at("/chat")
    assert json.loads(body)["allowed_mentions"] == {"parse": []}
    assert "Subject: Test Mesh: help" in town.mail.got[0] and "team@example.org" in town.mail.got[0]
    wait_for(lambda: town.alerts("history").count("arrived at attempt 2") == 5, "the arrivals in the history")


def test_who_has_not_agreed_is_not_named_outside(town):
    town = town("hook", "mail", "topic")
    watcher = client(town.backhaul.mqtt_port, town.reader, "watch", ["backhaul/1/alert"])
    town.send(nodeinfo("Hermit Hut"), sender=HERMIT, consent=False)
    town.send(mesh_packets.text("help, sharks"), sender=HERMIT, consent=False)
    wait_for(lambda: town.web.got and town.mail.got and watcher.got, "the letters")
    for text in [town.web.got[0][2], town.mail.got[0], watcher.got[0][1].decode()]:
        assert "help" in text and "not agreed" in text
        assert not any(word in text for word in ["sharks", "55667788", "Hermit"]), text
    assert "sharks" in town.alerts("history"), "the operator may know"


def test_what_waits_survives_and_what_fires_is_told_once(town):
    town = town("hook")
    town.web.broken = True
    town.send(mesh_packets.text("help"))
    wait_for(lambda: town.web.tries, "the first attempt")
    wait_for(lambda: "failed" in town.alerts("history"), "the failure in the history")
    town.backhaul.kill()
    town.web.broken = False
    town.backhaul.start()
    wait_for(lambda: town.web.got, "the letter", 40)
    town.connect()
    town.send(mesh_packets.text("help again"))
    town.send(mesh_packets.text("help, I am another"), sender=ALPHA)
    wait_for(lambda: len(town.web.got) == 2, "the letter of the other node")
    subjects = [alert["subject"] for _, _, body in town.web.got for alert in json.loads(body)["alerts"]]
    assert subjects == ["node !11223344", "node !7c5a0a01"], "what fires is not told again"


def test_a_storm_ends_at_the_limit_and_is_counted(town):
    town = town("hook")
    for sender in range(0x1000_0000, 0x1000_0000 + 14):
        town.send(mesh_packets.text("help"), sender=sender)
    bodies = lambda: [json.loads(body) for _, _, body in town.web.got]
    told = lambda: sum(len(body["alerts"]) for body in bodies())
    wait_for(lambda: told() == 10, "ten letters")
    wait_for(lambda: town.alerts("history").count("nobody told") == 4, "the rest in the history")
    assert told() == 10


def test_a_changed_file_is_taken_over_and_a_wrong_one_is_not(town):
    town = town("hook")
    more = '[[rule]]\nname = "low"\nwhen = "below"\nvalue = "battery_level"\nlimit = "20"\nclear = "30"\n'
    begin = len(town.backhaul.text())
    town.write(["hook"], more="[[rule]]\nname = 1\n")
    town.backhaul.wait_for_line(r"(the alerts' file is not taken over)", begin)
    town.write(["hook"], more=more)
    town.backhaul.wait_for_line(r"(the alerts' file has been taken over)", begin)
    for level in [50, 19, 25, 18, 31]:
        town.send(telemetry(battery_level=level))
    states = lambda: [alert["state"] for _, _, body in town.web.got for alert in json.loads(body)["alerts"]]
    wait_for(lambda: len(states()) >= 2, "the beginning and the end")
    assert states() == ["firing", "over"], "25 is neither bad nor good again"


def test_the_command_line_checks_tries_and_tests(town):
    town = town("hook", packaged=True)
    assert "emergency" in town.alerts("list") and "right" in town.alerts("check")
    assert "taken" in town.alerts("test", "hook")
    assert json.loads(town.web.at("/hook")[0][1])["test"] is True
    refused = town.refused("test", "elsewhere")
    assert "302" in refused and town.web.at("/inside") == [], "redirects are not followed"
    town.web.shutdown()
    town.web.server_close()
    assert "nobody listens" in town.refused("test", "hook")
    town.send(mesh_packets.text("help"))
    town.send(mesh_packets.text("nothing to see"))
    wait_for(lambda: "2 receptions" in town.alerts("try", "help"), "the history")
    assert "it would have fired 1 times" in town.alerts("try", "help")
    assert "it would have fired 1 times" in town.alerts("try", "text:nothing")
    assert "prot" in town.refused("try", "prot:text")


def test_a_gateway_that_goes_is_missed_until_it_comes_back_or_is_removed(town):
    town = town("hook")
    rule = '[[rule]]\nname = "{}"\nwhen = "{}"\nvalue = "gateway_offline"\nlimit = "{}"\nlasting = "1s"\n'
    town.write(["hook"], more=rule.format("gone", "above", "0") + rule.format("here", "below", "1"))
    town.backhaul.wait_for_line(r"(the alerts' file has been taken over)")
    told = lambda name: [alert["state"] for _, _, body in town.web.got for alert in json.loads(body)["alerts"]
                         if alert["rule"] == name and alert["subject"] == "gateway !7c5a0a01"]
    wait_for(lambda: told("here") == ["firing"], "the gateway to be seen", 40)
    town.gateway.disconnect()
    wait_for(lambda: told("gone") == ["firing"], "it to be missed", 40)
    town.connect()
    wait_for(lambda: told("gone") == ["firing", "over"], "it to be back", 40)
    town.gateway.disconnect()
    wait_for(lambda: told("gone") == ["firing", "over", "firing"], "it to be missed again", 40)
    # What arrived and was not noted yet would be sent again.
    wait_for(lambda: town.alerts("history").count(": arrived") == len(town.web.got), "all arrivals to be noted")
    town.backhaul.kill()
    town.backhaul.start()
    town.backhaul.run("gateway", "remove", "!7c5a0a01")
    wait_for(lambda: len(told("gone")) == 4, "the end", 40)
    assert told("gone")[3] == "over", "it was not told anew after the restart"


def test_what_is_silenced_is_told_to_nobody_until_the_silence_ends(town):
    town = town("hook")
    assert "no rule is called" in town.refused("silence", "hlep")
    printed = town.alerts("silence", "help", "--hours", "2")
    assert "silence 1" in printed and "until" in printed
    assert "help" in town.alerts("silences")
    town.backhaul.stop()
    town.backhaul.start()
    town.connect()
    town.send(mesh_packets.text("help"))
    wait_for(lambda: "!11223344" in town.alerts("history"), "what happened, in the history")
    assert town.web.tries == []
    town.alerts("unsilence", "1")
    assert "nothing is silenced" in town.alerts("silences")
    # It still goes on, so it is told now.
    wait_for(lambda: town.web.at("/hook"), "the letter")
    assert "no silence 1" in town.refused("unsilence", "1")
