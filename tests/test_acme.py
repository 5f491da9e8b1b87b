"""ACME against Pebble, Let's Encrypt's own test authority."""

import json
import socket
import subprocess

import pytest
from cryptography import x509

from conftest import wait_for
from test_listeners import Ways, listener, own_certificate, shown_certificate

NAME = "mesh.example.org"


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Authority:
    """Pebble and its name server, which says that every name is this machine."""

    def __init__(self, folder):
        root = own_certificate(folder, "root")
        self.root = root[0]
        certificate, key = own_certificate(folder, "authority", root, subject="localhost")
        self.port, self.http, self.tls = free_port(), free_port(), free_port()
        names = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        config = folder / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{free_port()}",
            "certificate": str(certificate), "privateKey": str(key),
            "httpPort": self.http, "tlsPort": self.tls,
        }}))
        self.output = open(folder / "pebble.out", "ab+")
        start = lambda *command: subprocess.Popen(
            command, stdout=self.output, stderr=subprocess.STDOUT, env={"PEBBLE_VA_NOSLEEP": "1"})
        self.processes = [
            start("pebble-challtestsrv", "-dns01", names, "-http01", "", "-https01", "", "-tlsalpn01", "",
                  "-management", f"127.0.0.1:{free_port()}", "-defaultIPv6", ""),
            start("pebble", "-config", str(config), "-dnsserver", names),
        ]
        wait_for(self.is_up, "Pebble")

    def is_up(self):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def settings(self, proof):
        return (f"[tls]\nacme = '{proof}'\nnames = ['{NAME}']\nacme_directory = 'https://localhost:{self.port}/dir'\n"
                f"acme_directory_ca = '{self.root}'\nacme_contact = 'mailto:operator@example.org'\n"
                f"acme_http_listen = '127.0.0.1:{self.http}'\n")

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def authority(tmp_path):
    authority = Authority(tmp_path / "authority")
    yield authority
    authority.stop()


@pytest.mark.parametrize("proof", ["http-01", "tls-alpn-01"])
def test_a_certificate_is_obtained_and_kept(serve, tmp_path, authority, proof):
    config = authority.settings(proof) + listener("secure", "tls", address=f"127.0.0.1:{authority.tls}")
    way = Ways(serve, tmp_path, config)
    shown = lambda: x509.load_der_x509_certificate(shown_certificate(authority.tls))
    wait_for(lambda: "Pebble" in shown().issuer.rfc4514_string(), "the authority's certificate: " + way.text())
    names = shown().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    kept = sorted((way.backhaul.data / "data" / "tls").glob("acme-*/*"))
    assert [file.name for file in kept] == ["account.json", "certificate-and-key.pem"]
    assert {oct(file.stat().st_mode)[-3:] for file in kept} == {"600"}
    # The next start shows it at once, without asking.
    first = shown()
    way.backhaul.stop()
    authority.stop()
    way.backhaul.start()
    assert shown() == first


def test_without_an_authority_the_self_made_certificate_stands_in(serve, tmp_path):
    config = f"[tls]\nacme = 'http-01'\nnames = ['{NAME}']\nacme_directory = 'https://localhost:{free_port()}/dir'\n"
    way = Ways(serve, tmp_path, config + listener("secure", "tls"))
    way.backhaul.wait_for_line("(no certificate was obtained)")
    shown = x509.load_der_x509_certificate(shown_certificate(way.port("secure")))
    assert shown.issuer == shown.subject
    way.backhaul.stop()
