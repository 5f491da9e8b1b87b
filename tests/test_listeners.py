"""Every way in: TLS, WebSocket, IPv6, PROXY headers, limits, with clients that are not ours."""

import base64
import os
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import threading
import urllib.request

import paho.mqtt.client as paho
import pytest

import conftest
from conftest import wait_for
from test_paho import Client

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
CONNECT_V5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"
CONNACK = b"\x20\x02\x00\x00"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


class Ways:
    """A running Backhaul with listeners, by name."""

    def __init__(self, serve, tmp_path, config, *arguments):
        file = tmp_path / "backhaul.toml"
        file.write_text(config)
        self.backhaul = serve("--config", file, *arguments)
        self.text = self.backhaul.text

    def port(self, name):
        return int(re.search(rf":(\d+) \({name}\)", self.text()).group(1))

    @property
    def certificate(self):
        return self.backhaul.data / "data" / "tls" / "certificate.pem"


@pytest.fixture
def ways(serve, tmp_path):
    return lambda config, *arguments: Ways(serve, tmp_path, config, *arguments)


def listener(name, kind, address="127.0.0.1:0", more=""):
    return f"[[listener]]\nname = '{name}'\naddress = '{address}'\nkind = '{kind}'\n{more}\n"


def paho_client(port, transport="tcp", ca=None, certificate=None, login=None, path="/mqtt", version=paho.MQTTv311):
    """A connected Paho client, or the reason why not."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, f"c{os.urandom(4).hex()}", protocol=version,
                         transport=transport)
    if ca:
        client.tls_set(ca_certs=ca, **(certificate or {}))
    if transport == "websockets":
        client.ws_set_options(path=path)
    if login:
        client.username_pw_set(*login)
    connected = threading.Event()
    client.reason = None

    def on_connect(client, userdata, flags, reason, properties):
        client.reason = reason
        connected.set()
    client.on_connect = on_connect
    client.connect("localhost", port)
    client.loop_start()
    assert connected.wait(10)
    return client


def round_trip(client):
    """Publishes to itself and returns what came back; both directions are larger than one TLS record."""
    got, subscribed = [], threading.Event()
    client.on_message = lambda c, u, message: got.append(message.payload)
    client.on_subscribe = lambda *rest: subscribed.set()
    topic = f"round/{os.urandom(4).hex()}"
    client.subscribe(topic, 1)
    assert subscribed.wait(10)
    sent = [b"small", b"", os.urandom(60_000), b"last"]
    for payload in sent:
        client.publish(topic, payload, 1)
    wait_for(lambda: len(got) == len(sent), "the messages to come back")
    assert got == sent


def connect(port, host="127.0.0.1"):
    return socket.create_connection((host, port), timeout=10)


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, f"closed after {data!r}"
        data += part
    return data


def is_closed(connection):
    """Whether the other side closes, whatever it says before."""
    try:
        while connection.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True


# --- TLS


def test_the_self_made_certificate_is_good_for_localhost(ways):
    way = ways(listener("secure", "tls"), "--lab")
    client = paho_client(way.port("secure"), ca=way.certificate)
    assert client.reason == "Success"
    round_trip(client)
    assert oct(way.certificate.with_name("key.pem").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_mosquitto_trusts_it_by_file(ways, version):
    way = ways(listener("secure", "tls"), "--lab")
    port = str(way.port("secure"))
    tls = ["-h", "localhost", "-p", port, "--cafile", way.certificate, "--tls-version", version]
    subprocess.run(["mosquitto_pub", *tls, "-t", "a/b", "-m", "kept", "-r", "-q", "1"], check=True, timeout=20)
    done = subprocess.run(["mosquitto_sub", *tls, "-t", "a/b", "-C", "1"], check=True, timeout=20, capture_output=True)
    assert done.stdout == b"kept\n"


def test_a_client_that_does_not_trust_it_is_counted_and_harms_nobody(ways):
    way = ways(listener("secure", "tls"), "--lab")
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(connect(way.port("secure")), server_hostname="localhost")
    with connect(way.port("secure")) as plain:
        plain.sendall(CONNECT)
        assert is_closed(plain)
    assert paho_client(way.port("secure"), ca=way.certificate).reason == "Success"


def own_certificate(folder, name="localhost", ca=None, subject=None):
    """Chain and key made by OpenSSL; signed by itself, or by `ca`."""
    folder.mkdir(exist_ok=True)
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    sign = ["-CA", ca[0], "-CAkey", ca[1]] if ca else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3",
         "-subj", f"/CN={subject or name}", "-addext", "subjectAltName=DNS:localhost",
         "-addext", f"basicConstraints=critical,CA:{'FALSE' if ca else 'TRUE'}",
         *sign, "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key


def shown_certificate(port):
    context = ssl._create_unverified_context()
    with context.wrap_socket(connect(port)) as tls:
        return tls.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not(ways, tmp_path):
    certificate, key = own_certificate(tmp_path / "tls", "server")
    way = ways(listener("secure", "tls", more=f"certificate = '{certificate}'\nkey = '{key}'"), "--lab")
    port = way.port("secure")
    first = shown_certificate(port)
    context = ssl._create_unverified_context()
    stays = context.wrap_socket(connect(port))
    certificate.write_text("not a certificate")
    way.backhaul.wait_for_line("(changed certificate is not used)")
    assert shown_certificate(port) == first
    other, other_key = own_certificate(tmp_path / "tls", "renewed")
    other.replace(certificate)
    other_key.replace(key)
    wait_for(lambda: shown_certificate(port) != first, "the renewed certificate")
    stays.sendall(CONNECT)
    assert read_exactly(stays, 4) == CONNACK


def test_a_missing_certificate_stops_the_start_with_the_files_name(serve, tmp_path):
    config = listener("secure", "tls", more="certificate = 'none.pem'\nkey = 'none.key'")
    with pytest.raises(AssertionError, match="none.pem"):
        ways = Ways(serve, tmp_path, config)
        ways.port("secure")


def test_client_certificates_stand_for_credentials(ways, tmp_path):
    ca = own_certificate(tmp_path / "tls", "authority")
    stranger = own_certificate(tmp_path / "tls", "stranger")
    more = f"client_certificates = '{{}}'\nclient_ca = '{ca[0]}'\ncertificate_is_credential = true"
    way = ways(listener("must", "tls", more=more.format("required"))
               + listener("may", "tls", more=more.format("optional")))
    username, password = way.backhaul.add_gateway("!7c5a0a01")
    mine = own_certificate(tmp_path / "tls", "gateway", ca, subject=username)
    unknown = own_certificate(tmp_path / "tls", "unknown", ca, subject="nobody")
    as_paho = lambda files: {"certfile": files[0], "keyfile": files[1]}
    for name in ["must", "may"]:
        client = paho_client(way.port(name), ca=way.certificate, certificate=as_paho(mine))
        assert client.reason == "Success", name
        client = paho_client(way.port(name), ca=way.certificate, certificate=as_paho(unknown))
        assert client.reason != "Success", name
    # Without a certificate: the usual credential where it is optional, nothing where it is required.
    assert paho_client(way.port("may"), ca=way.certificate, login=(username, password)).reason == "Success"
    assert paho_client(way.port("may"), ca=way.certificate).reason != "Success"
    for files in [None, stranger]:
        context = ssl.create_default_context(cafile=way.certificate)
        if files:
            context.load_cert_chain(*files)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            tls = context.wrap_socket(connect(way.port("must")), server_hostname="localhost")
            tls.sendall(CONNECT)
            read_exactly(tls, 4)


# --- WebSocket


@pytest.mark.parametrize("kind, version", [("ws", paho.MQTTv311), ("ws", paho.MQTTv5), ("wss", paho.MQTTv311)])
def test_paho_speaks_websocket(ways, kind, version):
    way = ways(listener("sockets", kind), "--lab")
    ca = way.certificate if kind == "wss" else None
    client = paho_client(way.port("sockets"), "websockets", ca=ca, version=version)
    assert client.reason == "Success"
    round_trip(client)


@pytest.mark.parametrize("tls", [False, True])
def test_the_web_port_speaks_mqtt_at_its_path(ways, tls):
    way = ways("[web]\ntls = true\n" if tls else "")
    scheme = "https" if tls else "http"
    port = int(way.backhaul._found(rf"Pages\s+{scheme}://127\.0\.0\.1:(\d+)", 0))
    login = way.backhaul.add_gateway("!7c5a0a01")
    ca = way.certificate if tls else None
    client = paho_client(port, "websockets", ca=ca, login=login)
    assert client.reason == "Success"
    # No guests by WebSocket, and no credential no entry.
    assert paho_client(port, "websockets", ca=ca).reason != "Success"
    context = ssl.create_default_context(cafile=ca) if tls else None
    page = urllib.request.urlopen(f"{scheme}://localhost:{port}/", timeout=10, context=context).read()
    assert b"<html" in page
    got = []
    client.on_message = lambda c, u, message: got.append(message)
    with pytest.raises(urllib.error.HTTPError, match="426"):
        urllib.request.urlopen(f"{scheme}://localhost:{port}/mqtt", timeout=10, context=context)


def upgrade(connection, more="Sec-WebSocket-Protocol: mqtt\r\n"):
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(f"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += read_exactly(connection, 1)
    return head


def frame(payload, first=0x82):
    mask = os.urandom(4)
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def test_packets_may_span_frames_and_frames_hold_several(ways):
    way = ways(listener("sockets", "ws"), "--lab")
    with connect(way.port("sockets")) as connection:
        assert b" 101 " in upgrade(connection)
        both = CONNECT + PINGREQ
        connection.sendall(frame(both[:3]) + frame(b"ping", 0x89) + frame(both[3:]))
        got = read_exactly(connection, 6 + 6 + 4 - 4)
        assert b"\x8a\x04ping" in got
        rest = got.replace(b"\x8a\x04ping", b"")
        while len(rest) < 8:
            rest += read_exactly(connection, 1)
        assert CONNACK in rest
    with connect(way.port("sockets")) as connection:
        upgrade(connection)
        connection.sendall(frame(b"text", 0x81))
        assert read_exactly(connection, 4) == b"\x88\x02\x03\xeb"
        assert is_closed(connection)
    with connect(way.port("sockets")) as connection:
        upgrade(connection)
        connection.sendall(b"\x82\x01x")  # not masked
        assert read_exactly(connection, 4) == b"\x88\x02\x03\xea"
        assert is_closed(connection)


def test_a_websocket_client_without_the_subprotocol_is_told(ways):
    way = ways(listener("sockets", "ws"), "--lab")
    with connect(way.port("sockets")) as connection:
        assert b" 400 " in upgrade(connection, more="")
        assert b"`mqtt`" in connection.recv(4096)
        assert is_closed(connection)


def test_frames_that_come_with_the_request_are_not_lost(ways):
    way = ways(listener("sockets", "ws"), "--lab")
    with connect(way.port("sockets")) as connection:
        request = ("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Protocol: mqtt\r\n\r\n").encode()
        connection.sendall(request + frame(CONNECT))
        data = b""
        while CONNACK not in data:
            data += read_exactly(connection, 1)


# --- PROXY


def v2(source, tlv=b""):
    body = socket.inet_aton(source) + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 5000, 1883) + tlv
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(body)) + body


BEHIND = "proxy_protocol = '{}'\nproxy_from = ['127.0.0.0/8']"


def test_the_address_in_a_proxy_header_is_the_clients(ways):
    way = ways(listener("behind", "tcp", more=BEHIND.format("any")))
    v1 = b"PROXY TCP4 {} 10.0.0.1 5000 1883\r\n"
    # Loopback behind the proxy is a guest before the first credential; anybody else is not.
    for header, code in [
        (v1.replace(b"{}", b"127.0.0.1"), 0), (v1.replace(b"{}", b"192.0.2.7"), 5),
        (v2("127.0.0.1"), 0), (v2("192.0.2.8", tlv=b"\x04\x00\x01x"), 5),
        (b"PROXY UNKNOWN\r\n", 5), (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", 5),
    ]:
        with connect(way.port("behind")) as connection:
            connection.sendall(header + CONNECT)
            assert read_exactly(connection, 4)[3] == code, header
    # In pieces, and with the rest later.
    with connect(way.port("behind")) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in v2("127.0.0.1") + CONNECT:
            connection.sendall(bytes([byte]))
        assert read_exactly(connection, 4) == CONNACK


def test_connections_without_a_right_header_are_closed(ways):
    config = listener("old", "tcp", more=BEHIND.format("v1")) + listener("new", "tcp", more=BEHIND.format("v2"))
    config += listener("elsewhere", "tcp", more="proxy_protocol = 'any'\nproxy_from = ['192.0.2.0/24']")
    way = ways(config)
    for name, sent in [("old", CONNECT), ("old", v2("127.0.0.1")), ("new", b"PROXY UNKNOWN\r\n"), ("new", CONNECT),
                       ("elsewhere", b"PROXY UNKNOWN\r\n" + CONNECT)]:
        with connect(way.port(name)) as connection:
            connection.sendall(sent)
            assert is_closed(connection), name


def test_a_proxy_header_may_stand_before_tls(ways):
    way = ways(listener("both", "tls", more=BEHIND.format("v2")))
    with connect(way.port("both")) as connection:
        connection.sendall(v2("127.0.0.1"))
        context = ssl.create_default_context(cafile=way.certificate)
        tls = context.wrap_socket(connection, server_hostname="localhost")
        tls.sendall(CONNECT)
        assert read_exactly(tls, 4) == CONNACK


# --- addresses, limits, beginnings


def test_an_ipv6_listener_takes_ipv4_too(ways):
    way = ways(listener("six", "tls", address="[::]:0"))
    for host in ["::1", "127.0.0.1"]:
        context = ssl.create_default_context(cafile=way.certificate)
        tls = context.wrap_socket(connect(way.port("six"), host), server_hostname="localhost")
        tls.sendall(CONNECT)
        assert read_exactly(tls, 4) == CONNACK, host


def test_a_listener_has_limits_of_its_own(ways):
    more = "connections_per_address = 2\nmax_packet_size = 1024\nguests = true"
    way = ways(listener("narrow", "tls", more=more))
    context = ssl._create_unverified_context()
    held = [context.wrap_socket(connect(way.port("narrow"))) for _ in range(2)]
    for number, tls in enumerate(held):
        tls.sendall(CONNECT[:-1] + bytes([0x61 + number]))
        assert read_exactly(tls, 4) == CONNACK
    third = context.wrap_socket(connect(way.port("narrow")))
    assert is_closed(third)
    held.pop().close()

    def again():
        tls = context.wrap_socket(connect(way.port("narrow")))
        try:
            tls.sendall(CONNECT)
            return tls.recv(4) == CONNACK
        except ConnectionError:
            return False
    wait_for(again, "the place of the one that left")
    held[0].sendall(b"\x30\xd0\x0f")  # a PUBLISH of 2,003 bytes begins
    assert is_closed(held[0])


def test_slow_handshakes_are_ended_and_delay_nobody(ways):
    way = ways(listener("secure", "tls", more="connect_timeout_s = 1") + listener("sockets", "ws", more="connect_timeout_s = 1"),
               "--lab")
    silent = [connect(way.port(name)) for name in ["secure", "sockets"] for _ in range(100)]
    drip = connect(way.port("secure"))
    drip.sendall(b"\x16\x03\x01")
    assert paho_client(way.port("secure"), ca=way.certificate).reason == "Success"
    with connect(way.backhaul.mqtt_port) as plain:
        plain.sendall(CONNECT)
        assert read_exactly(plain, 4) == CONNACK
    assert all(is_closed(connection) for connection in [*silent, drip])


def test_connect_and_close_is_no_attack(ways):
    way = ways(listener("secure", "tls") + listener("sockets", "ws"), "--lab")
    for port in [way.backhaul.mqtt_port, way.port("secure"), way.port("sockets")] * 50:
        connect(port).close()
    assert paho_client(way.port("secure"), ca=way.certificate).reason == "Success"


def test_whoever_sends_and_hangs_up_at_once_is_gone_at_once(ways):
    way = ways(listener("secure", "tls"), "--lab")
    watcher = Client(way.backhaul.mqtt_port, "watcher")
    watcher.subscribe("wills/#", 1)
    for number in range(5):
        will = b"\x00\x04MQTT\x04\x06\x00\x3c\x00\x01w\x00\x07wills/a\x00\x01" + b"%d" % number
        with connect(way.backhaul.mqtt_port) as hasty:
            hasty.sendall(bytes([0x10, len(will)]) + will)
            assert read_exactly(hasty, 4) == CONNACK
            # While the broker stands still, so that it finds the last bytes and the end of the connection together.
            way.backhaul.process.send_signal(signal.SIGSTOP)
            hasty.sendall(b"\x30\x04\x00\x01bx")  # QoS 0: no answer, whose failure would tell
        way.backhaul.process.send_signal(signal.SIGCONT)
        assert watcher.next().payload == b"%d" % number
    watcher.close()


def test_without_file_descriptors_those_who_are_in_are_served(ways):
    way = ways(listener("secure", "tls"), "--lab")
    pid = way.backhaul.process.pid
    with connect(way.backhaul.mqtt_port) as first:
        first.sendall(CONNECT)
        assert read_exactly(first, 4) == CONNACK
        few = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 6
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        crowd = [connect(port) for port in [way.backhaul.mqtt_port, way.port("secure")] for _ in range(20)]
        way.backhaul.wait_for_line("(could not be accepted)")
        first.sendall(PINGREQ)
        assert read_exactly(first, 2) == PINGRESP
        for one in crowd:
            one.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert paho_client(way.port("secure"), ca=way.certificate).reason == "Success"
        assert paho_client(way.backhaul.mqtt_port).reason == "Success"
        # Not asked again and again, which would keep a processor busy and fill the log.
        assert way.text().count("could not be accepted") < 30


# --- the end


def test_a_refused_client_reads_why(ways):
    way = ways(listener("secure", "tls"))
    way.backhaul.add_gateway("!7c5a0a01")
    for _ in range(20):
        with connect(way.backhaul.mqtt_port) as plain:
            # More than it may say: what is unread must not turn the answer into a reset.
            plain.sendall(CONNECT + PINGREQ * 1000)
            assert read_exactly(plain, 4) == b"\x20\x02\x00\x05"
            plain.settimeout(10)
            assert plain.recv(1) == b""


def test_a_stop_tells_clients_and_flushes(ways):
    way = ways(listener("secure", "tls") + listener("sockets", "ws"), "--lab")
    context = ssl._create_unverified_context()
    plain, tls, ws = connect(way.backhaul.mqtt_port), context.wrap_socket(connect(way.port("secure"))), \
        connect(way.port("sockets"))
    upgrade(ws)
    for number, (connection, wrap) in enumerate([(plain, bytes), (tls, bytes), (ws, frame)]):
        connection.sendall(wrap(CONNECT_V5[:-1] + bytes([0x61 + number])))
    first = {connection: connection.recv(4096) for connection in [plain, tls, ws]}
    way.backhaul.process.terminate()
    for connection, data in first.items():
        while part := connection.recv(4096):
            data += part
        disconnect = data[data.index(b"\xe0"):]
        assert disconnect[2] == 0x8B, data
    # The close frame of WebSocket came last, and TLS ended with close_notify: otherwise `recv` had raised.
    assert data.endswith(b"\x88\x02\x03\xe8")
    assert way.backhaul.process.wait(10) == 0


def test_a_stop_under_load_loses_nothing_that_was_acknowledged_and_ends_in_time(ways):
    way = ways("[mqtt]\nstop_grace_s = 2\n" + listener("secure", "tls"), "--lab")
    reader = Client(way.backhaul.mqtt_port, "reader", version=paho.MQTTv5)
    reader.subscribe("load/#", 1)
    stuck = connect(way.backhaul.mqtt_port)  # subscribes and never reads
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(CONNECT[:-1] + b"s" + b"\x82\x0b\x00\x01\x00\x06load/#\x00")
    writers = [paho_client(way.port("secure"), ca=way.certificate) for _ in range(4)]
    acknowledged, stopping = [], threading.Event()

    def write(client, number):
        count = 0
        while not stopping.is_set() and client.is_connected():
            payload = f"{number} {count} ".encode() + bytes(1000)
            info = client.publish(f"load/{number}", payload, 1)
            count += 1
            try:
                info.wait_for_publish(2)
            except RuntimeError:
                return
            if info.is_published():
                acknowledged.append(payload)
    threads = [threading.Thread(target=write, args=(client, number)) for number, client in enumerate(writers)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(acknowledged) > 200, "some load")
    way.backhaul.process.terminate()
    assert way.backhaul.process.wait(10) == 0, way.text()
    stopping.set()
    for thread in threads:
        thread.join(10)
    assert str(reader.gone.get(timeout=10)) == "Server shutting down"
    got = set()
    while not reader.messages.empty():
        got.add(reader.messages.get().payload)
    assert set(acknowledged) <= got


# --- the service manager


class Notices:
    """A service manager's socket, as systemd has it."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(10)

    def next(self):
        return self.socket.recv(4096).decode().strip()


def test_the_service_manager_is_told(serve, tmp_path, monkeypatch):
    notices = Notices(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(notices.path))
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    backhaul = serve("--lab")
    assert notices.next() == "READY=1"
    assert [notices.next() for _ in range(2)] == ["WATCHDOG=1"] * 2
    backhaul.process.terminate()
    told = notices.next()
    while told == "WATCHDOG=1":
        told = notices.next()
    assert told == "STOPPING=1"
    assert backhaul.process.wait(10) == 0


def activated(tmp_path, config, names):
    """Backhaul started as systemd would: with open sockets from file descriptor 3 on, and their names."""
    file = tmp_path / "backhaul.toml"
    file.write_text(config)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    places = [one.fileno() + 100 for one in sockets]

    def place():
        # First out of the way, because a socket may stand where another belongs.
        for one, at in zip(sockets, places):
            os.dup2(one.fileno(), at)
        for index, at in enumerate(places):
            os.dup2(at, 3 + index)
    binary = conftest.BINARY
    command = f'LISTEN_PID=$$ exec "{binary}" serve --config "{file}" --data "{tmp_path / "data"}" --web-listen 127.0.0.1:0'
    environment = {**os.environ, "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
    process = subprocess.Popen(["sh", "-c", command], preexec_fn=place, close_fds=False, env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return process, [one.getsockname()[1] for one in sockets]


def test_sockets_of_the_service_manager_are_used_by_name(tmp_path):
    config = "[mqtt]\nlisten = '127.0.0.1:1'\n" + listener("secure", "tls", address="127.0.0.1:2")
    process, (mqtt, secure, web) = activated(tmp_path, config, ["mqtt", "secure", "web"])
    try:
        with connect(mqtt) as plain:
            plain.sendall(CONNECT)
            assert read_exactly(plain, 4) == CONNACK
        tls = ssl._create_unverified_context().wrap_socket(connect(secure))
        tls.sendall(CONNECT)
        assert read_exactly(tls, 4) == CONNACK
        assert b"<html" in urllib.request.urlopen(f"http://127.0.0.1:{web}/", timeout=10).read()
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_socket_that_nobody_asked_for_is_an_error(tmp_path):
    process, _ = activated(tmp_path, "[mqtt]\nlisten = '127.0.0.1:0'", ["backhaul.socket"])
    output = process.communicate(timeout=20)[0].decode()
    assert process.returncode != 0 and "`backhaul.socket`" in output and "FileDescriptorName=" in output
