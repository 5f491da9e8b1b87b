"""Coverage and links: what gateways hear becomes hexagons, links and routes, and the public sees no exact place."""

import json
import urllib.request

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from conftest import wait_for
from mesh_packets import envelope, position
from test_paho import ALPHA, BETA, FIELD, Client, topic_of

EXACT = (39.2461234, -94.4191456)
PAGES = ["coverage", "links", "compare", "traceroutes", "topology"]


def ask(backhaul, address):
    with urllib.request.urlopen(backhaul.web + address) as answer:
        return answer.read().decode()


@pytest.fixture
def town(backhaul):
    """FIELD tells its exact place; two gateways hear it directly."""
    gateways = []
    for node in (ALPHA, BETA):
        gateway = Client(backhaul.mqtt_port, node, backhaul.add_gateway(node))
        gateway.publish(topic_of(node), envelope(FIELD, node, 77, position(*EXACT), rx_snr=6.25))
        gateways.append(gateway)
    wait_for(lambda: len(json.loads(ask(backhaul, "/api/v1/links"))["features"]) >= 0 and "features" in ask(backhaul, "/api/v1/places"), "answers")
    yield backhaul
    for gateway in gateways:
        gateway.close()
