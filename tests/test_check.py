"""`backhaul check` on files that the stock exporter made: exit codes, JSON, and nothing secret in what it says."""

import json
import pathlib
import subprocess

import pytest

from conftest import BINARY

SAMPLES = pathlib.Path(__file__).parent.parent / "testdata/config"


def check(*arguments, **options):
    return subprocess.run([BINARY, "check", *arguments], capture_output=True, timeout=30, **options)


@pytest.mark.parametrize("name", ["good_fixed_private_channel.yaml", "good_fixed_private_channel.cfg"])
def test_a_good_gateway_is_ready(name):
    done = check(SAMPLES / name, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["ready"] and report["counts"]["fail"] == 0


def test_a_bad_one_is_told_what_to_change_and_no_secret_is_printed(tmp_path):
    config = tmp_path / "backhaul.toml"
    config.write_text('[mesh]\nname = "Kansas City mesh"\nregion = "US"\nroot = "msh/US"\n')
    done = check("-", "--all", "--config", config, input=(SAMPLES / "bad_everything.yaml").read_bytes())
    said = done.stdout.decode()
    assert done.returncode == 1
    for line in ["fail    The region is EU_868 and not US.", "meshtastic --set mqtt.encryption_enabled true",
                 "Module configuration › Range Test › Range test enabled"]:
        assert line in said
    for secret in ["example-mqtt-secret", "example-wifi-secret", "203.0.113.9", "ICEiIyQl"]:
        assert secret not in said + done.stderr.decode()


def test_what_is_no_configuration_is_said_so(tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    done = check(picture)
    assert done.returncode == 2 and b"--export-config" in done.stderr
    assert check(tmp_path / "nowhere").returncode == 1
