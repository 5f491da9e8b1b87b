"""A running Backhaul for each test: the real binary, its own data folder, ports chosen by the system."""

import pathlib
import re
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "debug" / "backhaul"
VECTORS = ROOT / "testdata" / "vectors"


class Backhaul:
    """One process of `backhaul serve`."""

    def __init__(self, data, *arguments):
        self.data = pathlib.Path(data)
        self.arguments = arguments
        self.start()

    def start(self):
        self.output = open(self.data / "serve.out", "ab+")
        begin = self.output.seek(0, 2)
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data", self.data / "data", "--mqtt-listen", "127.0.0.1:0",
             "--web-listen", "127.0.0.1:0", *self.arguments],
            stdout=self.output, stderr=subprocess.STDOUT)
        self.mqtt_port = int(self.wait_for_line(r"MQTT\s+127\.0\.0\.1:(\d+)", begin))
        if "--lab" not in self.arguments:
            self.web_port = int(self.wait_for_line(r"Pages\s+https?://127\.0\.0\.1:(\d+)", begin))
            self.web = f"http://127.0.0.1:{self.web_port}"

    def text(self, begin=0):
        with open(self.data / "serve.out", "rb") as file:
            file.seek(begin)
            return file.read().decode()

    def wait_for_line(self, pattern, begin=0):
        return wait_for(lambda: self._found(pattern, begin), f"{pattern} in the output of serve")

    def _found(self, pattern, begin):
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.text(begin)}")
        match = re.search(pattern, self.text(begin))
        return match and match.group(1)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=10) == 0, self.text()

    def run(self, *arguments, check=True):
        """Runs another command of the same binary on the same data folder."""
        done = subprocess.run([BINARY, *map(str, arguments), "--data", self.data / "data"], capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout if check else done

    def add_gateway(self, node, owner="Test Owner"):
        """Adds a gateway and returns its user name and password, once the running broker knows it."""
        login = credentials_in(self.run("gateway", "add", node, "--owner", owner))
        self.logins = {**getattr(self, "logins", {}), node: login}
        wait_for(lambda: self.connack() != 0 and self.connack(*login) == 0, "the broker to learn of the gateway")
        return login

    def login_of(self, node):
        """User name and password of a gateway that was added before."""
        return self.logins[node]

    def connack(self, username=None, password=None):
        """The return code of a CONNECT made by hand."""
        def field(text):
            return len(text).to_bytes(2, "big") + text.encode()
        flags, rest = 2, field("probe")
        if username:
            flags, rest = 0xC2, rest + field(username) + field(password)
        body = field("MQTT") + bytes([4, flags, 0, 60]) + rest
        with socket.create_connection(("127.0.0.1", self.mqtt_port), timeout=10) as connection:
            connection.sendall(bytes([0x10, len(body)]) + body)
            return connection.recv(4)[3]


def credentials_in(output):
    username = re.search(r"^\s*username\s+(\S+)", output, re.M).group(1)
    password = re.search(r"^\s*password\s+(\S+)", output, re.M).group(1)
    return username, password


def wait_for(probe, what, seconds=20):
    """Asks until there is an answer: nothing here sleeps for a fixed time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def pytest_addoption(parser):
    parser.addoption("--home-assistant", help="the `hass` of a Home Assistant, for home_assistant.py")


@pytest.fixture
def serve(tmp_path):
    """Starts Backhaul with further arguments; stops what was started."""
    started = []

    def start(*arguments):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Backhaul(folder, *arguments))
        return started[-1]

    yield start
    for backhaul in started:
        if backhaul.process.poll() is None:
            backhaul.kill()


@pytest.fixture
def backhaul(serve):
    return serve()
