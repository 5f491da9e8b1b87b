"""Coverage and links: what gateways hear becomes hexagons, links and routes, and the public sees no exact place."""

import html
import json
import re
import urllib.request

import pytest
from meshtastic.protobuf import mesh_pb2, portnums_pb2
from selenium import webdriver
from selenium.webdriver.common.by import By

from conftest import wait_for
from mesh_packets import envelope, text
from test_paho import ALPHA, CHARLIE, FIELD, Client, topic_of

# A place cut to 14 bits, as the public may know it, and one told more exactly by another node.
CUT = (392429568, -944242688)
EXACT = (392461234, -944191457)
OTHER = 0x7C5A0A77
PAGES = ["coverage", "links", "compare", "traceroutes", "topology"]


def position(latitude_i, longitude_i, bits):
    told = mesh_pb2.Position(latitude_i=latitude_i, longitude_i=longitude_i, precision_bits=bits)
    return portnums_pb2.POSITION_APP, told.SerializeToString()


def traceroute_answer():
    route = mesh_pb2.RouteDiscovery(route=[OTHER], snr_towards=[24, -8], route_back=[OTHER], snr_back=[20, 16])
    return portnums_pb2.TRACEROUTE_APP, route.SerializeToString()


def ask(backhaul, address):
    with urllib.request.urlopen(backhaul.web + address) as answer:
        return answer.read().decode()


def features(backhaul, what, query=""):
    return json.loads(ask(backhaul, f"/api/v1/{what}?{query}"))["features"]


@pytest.fixture
def town(backhaul):
    """Two gateways hear FIELD directly and one hears OTHER, whose place is told exactly."""
    gateways = {node: Client(backhaul.mqtt_port, node, backhaul.add_gateway(node)) for node in (ALPHA, CHARLIE)}
    for node, gateway in gateways.items():
        gateway.publish(topic_of(node), envelope(FIELD, 77, position(*CUT, 14), node, snr=6.25), 1)
        gateway.publish(topic_of(node), envelope(FIELD, 78, text("far away"), node, hop_limit=1, snr=9.0), 1)
    gateways[CHARLIE].publish(topic_of(CHARLIE), envelope(OTHER, 79, position(*EXACT, 32), CHARLIE, snr=-4.0), 1)
    wait_for(lambda: backhaul.run("log", "--json").count("\n") >= 5, "the history to hold all receptions")
    yield backhaul
    for gateway in gateways.values():
        gateway.close()


def test_links_and_hexagons_come_from_direct_receptions_only(town):
    links = {(line["from"], line["to"]): line for line in map(json.loads, town.run("links", "--json").splitlines())}
    field = f"!{FIELD:08x}"
    assert links[(field, ALPHA)]["best_snr_db"] == 6.25
    assert links[(field, ALPHA)]["count"] == 1, "what came over a hop is no link"
    hexagons = json.loads(town.run("coverage", "--format", "geojson"))["features"]
    assert sorted(feature["properties"]["gateways"] for feature in hexagons) == [1, 2]
    single = [f["properties"]["single_gateway"] for f in hexagons if f["properties"]["gateways"] == 1]
    assert single == [CHARLIE]
    both = json.loads(town.run("compare", ALPHA, CHARLIE, "--json").splitlines()[0])
    assert (both["both"], both["only_a"], both["only_b"]) == (2, 0, 1)


def test_traceroutes_become_links_with_every_hop_measured(town):
    asked, answered, relay = int(ALPHA[1:], 16), FIELD, OTHER
    content = traceroute_answer()
    charlie = Client(town.mqtt_port, CHARLIE, town.login_of(CHARLIE))
    charlie.publish(topic_of(CHARLIE), envelope(answered, 90, content, CHARLIE, to=asked, request=5), 1)
    wait_for(lambda: town.run("log", "--json").count("\n") >= 6, "the answer in the history")
    lines = map(json.loads, town.run("links", "--source", "traceroute", "--json").splitlines())
    found = {(line["from"], line["to"]): line["best_snr_db"] for line in lines}
    a, b, c = (f"!{node:08x}" for node in (asked, relay, answered))
    assert found == {(a, b): 6.0, (b, c): -2.0, (c, b): 5.0, (b, a): 4.0}
    page = ask(town, "/traceroutes")
    assert "1 traceroute" in page and "−2.0 dB" in page
    charlie.close()


def test_the_public_sees_no_place_finer_than_allowed(town):
    for feature in features(town, "places"):
        for coordinate in feature["geometry"]["coordinates"]:
            units = round(coordinate * 1e7)
            middle = (units & ~0x3FFFF) + 0x20000
            assert abs(units - middle) <= 60, "cut to the middle of a cell of 14 bits, give or take rounding"
        assert feature["properties"]["error_m"] > 1_400
    whole = ask(town, "/coverage?size=9") + json.dumps(features(town, "coverage", "size=9"))
    assert "39.246123" not in whole and all(f["id"][1] == "7" for f in features(town, "coverage", "size=9"))


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_its_window_and_refuses_what_it_does_not_understand(town, page):
    assert "receptions looked at" in ask(town, f"/{page}?since=6h")
    assert "not understood" in ask(town, f"/{page}?since=soon")


def browser_with_webgl(size, tmp_path):
    options = webdriver.ChromeOptions()
    for flag in ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
                 "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking",
                 f"--user-data-dir={tmp_path / 'chromium'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(executable_path="/usr/bin/chromedriver"))
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return driver


@pytest.mark.parametrize("size", [(360, 800), (1280, 900)])
def test_the_map_draws_what_the_tables_say_and_keeps_its_view_in_the_address(town, tmp_path, size):
    driver = browser_with_webgl(size, tmp_path)
    try:
        driver.get(f"{town.web}/map?since=6h")
        wait_for(lambda: driver.execute_script("return document.getElementById('map').dataset.ready"), "the map", 60)
        places = len(features(town, "places", "since=6h"))
        assert places >= 1
        assert f"{places} place" in driver.find_element(By.ID, "map-status").text
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        driver.execute_script("document.querySelector('[name=show][value=links]').click()")
        assert "hide=links" in driver.current_url
        rows = lambda: driver.find_element(By.ID, "map-rows").text
        wait_for(lambda: "far away" in rows(), "the log's rows of the same time")
        # The brush moves the map and the rows together.
        move = """const s = document.querySelector('[name=to]'); s.value = Number(s.max) / 2;
                  const f = document.querySelector('[name=from]'); f.value = 0;
                  for (const one of [f, s]) {
                      one.dispatchEvent(new Event('input', { bubbles: true }));
                      one.dispatchEvent(new Event('change', { bubbles: true }));
                  }"""
        driver.execute_script(move)
        wait_for(lambda: "Nothing that can be shown" in rows(), "the rows of an earlier time")
        wait_for(lambda: driver.find_element(By.ID, "map-status").text.startswith("0 place"), "the map of an earlier time")
        assert "since=20" in driver.current_url and "until=20" in driver.current_url
        log = driver.find_element(By.CSS_SELECTOR, "a[data-follows='/log']").get_attribute("href")
        assert "since=20" in log and "until=20" in log and "far away" not in ask(town, log.removeprefix(town.web))
        for _ in range(20):
            driver.execute_script("document.getElementById('map-later').click()")
        wait_for(lambda: "far away" in rows(), "the present again")
        assert "until" not in driver.current_url
        assert [e["message"] for e in driver.get_log("browser")] == []
    finally:
        driver.quit()


def test_the_map_shows_the_time_of_an_incident(town, tmp_path):
    town.run("incident", "mark", "Net night", "last 1h", "--public")
    page = ask(town, "/incident/1")
    address = html.unescape(re.search(r'href="(/map[^"]+)"', page).group(1))
    driver = browser_with_webgl((1280, 900), tmp_path)
    try:
        driver.get(town.web + address)
        wait_for(lambda: driver.execute_script("return document.getElementById('map').dataset.ready"), "the map", 60)
        since, until = driver.execute_script("const d = document.getElementById('map').dataset; return [d.since, d.until]")
        assert since[:16] in address.replace("%3A", ":") and until > since
        wait_for(lambda: "far away" in driver.find_element(By.ID, "map-rows").text, "the log's rows")
    finally:
        driver.quit()
