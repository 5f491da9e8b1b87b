"""Signing in by SCRAM-SHA-256 over AUTH, by hand: Paho's client has no AUTH."""

import base64
import hashlib
import hmac
import socket

import pytest

from test_protocol import add_client

METHOD = b"SCRAM-SHA-256"


def field(text):
    return len(text).to_bytes(2, "big") + text


def with_length(body):
    assert len(body) < 16384
    length = [len(body)] if len(body) < 128 else [len(body) & 0x7F | 0x80, len(body) >> 7]
    return bytes(length) + body


def packet(header, body):
    return bytes([header]) + with_length(body)


def section(data, method=METHOD):
    return with_length(b"\x15" + field(method) + b"\x16" + field(data))


def connect(data, method=METHOD):
    return packet(0x10, field(b"MQTT") + bytes([5, 2, 0, 60]) + section(data, method) + field(b"by-hand"))


def receive(connection):
    """One control packet: its first byte and its body."""
    def exactly(count):
        got = b""
        while len(got) < count:
            piece = connection.recv(count - len(got))
            assert piece, "closed"
            got += piece
        return got
    header, length, shift = exactly(1)[0], 0, 0
    while True:
        byte = exactly(1)[0]
        length, shift = length | (byte & 0x7F) << shift, shift + 7
        if byte < 128:
            return header, exactly(length)


def data_in(properties):
    return properties.split(b"\x15" + field(METHOD) + b"\x16")[1][2:]


def sign_in(port, name, password):
    """Returns the connection and the code that CONNACK carries."""
    sha = lambda key, text: hmac.new(key, text, hashlib.sha256).digest()
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    bare = b"n=%s,r=rOprNGfwEbeRWgbNEkqO" % name.encode()
    connection.sendall(connect(b"n,," + bare))
    header, body = receive(connection)
    assert (header, body[0]) == (0xF0, 0x18)
    first = data_in(body)
    fields = dict(part.split(b"=", 1) for part in first.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields[b"s"]), int(fields[b"i"]))
    without_proof = b"c=biws,r=" + fields[b"r"]
    message = b",".join([bare, first, without_proof])
    client_key = sha(salted, b"Client Key")
    proof = bytes(a ^ b for a, b in zip(client_key, sha(hashlib.sha256(client_key).digest(), message)))
    last = without_proof + b",p=" + base64.b64encode(proof)
    connection.sendall(packet(0xF0, b"\x18" + section(last)))
    header, body = receive(connection)
    assert header == 0x20
    if body[1] == 0:
        assert b"v=" + base64.b64encode(sha(sha(salted, b"Server Key"), message)) in body
    return connection, body[1]


def test_a_token_signs_in_without_crossing_the_wire(backhaul):
    name, password = add_client(backhaul, "service", "add", "home", "--prefix", "home")
    port = backhaul.mqtt_port
    connection, code = sign_in(port, name, password)
    assert code == 0
    connection.sendall(packet(0x32, field(b"other/topic") + b"\0\1\0" + b"x"))
    assert receive(connection)[1][2] == 0x87, "it may what the service may"
    assert sign_in(port, name, "wrong")[1] == 0x87
    assert sign_in(port, "nobody", password)[1] == 0x87
    backhaul.run("service", "rotate", name)
    header, body = receive(connection)
    assert (header, body[0]) == (0xE0, 0x87), "a rotated token ends its connections"
    assert sign_in(port, name, password)[1] == 0x87


@pytest.mark.parametrize("lab", [True, False])
def test_other_methods_are_refused_by_name(serve, lab):
    port = serve(*["--lab"] * lab).mqtt_port
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(connect(b"anything", b"GS2-KRB5"))
    header, body = receive(connection)
    assert (header, body[1]) == (0x20, 0x8C)
    assert b"SCRAM-SHA-256" in body
