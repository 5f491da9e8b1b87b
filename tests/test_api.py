"""The API as programs meet it: the description, answers that keep to it, tags, streams that resume, the examples."""

import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest
import websocket
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from conftest import ROOT, wait_for
from mesh_packets import envelope, text
from test_pages import gateway  # noqa: F401 (a fixture)
from test_paho import ALPHA, FIELD, topic_of


def get(backhaul, path, **headers):
    return urllib.request.urlopen(urllib.request.Request(f"{backhaul.web}{path}", headers=headers), timeout=20)


def ask(backhaul, path):
    return json.load(get(backhaul, path))


def say(gateway, number, words):
    gateway.publish(topic_of(ALPHA), envelope(FIELD, number, text(words), ALPHA), 1)


def token_of(backhaul, scope):
    return backhaul.run("token", "new", "a script", "--scope", scope).split()[-1]


def do(backhaul, path, token, body):
    request = urllib.request.Request(f"{backhaul.web}{path}", json.dumps(body).encode(), {"Authorization": f"Bearer {token}"})
    return json.load(urllib.request.urlopen(request, timeout=20))


@pytest.fixture
def described(backhaul):
    return ask(backhaul, "/api/v1/openapi.json")


def test_the_description_is_openapi(described):
    validate(described)


@pytest.mark.parametrize("scope", [None, "read"])
def test_every_answer_keeps_to_its_schema(backhaul, gateway, described, scope):
    headers = {"Authorization": f"Bearer {token_of(backhaul, scope)}"} if scope else {}

    for number in range(1, 4):
        say(gateway, number, f"words {number}")
    values = {"from": f"!{FIELD:08x}", "id": "2", "q": "port:text", "limit": "2", "at": "3", "number": "1"}
    checked = 0
    backhaul.run("incident", "mark", "Storm", "last 1h", "--public")
    for path, operations in described["paths"].items():
        if "get" not in operations:
            continue
        operation = operations["get"]
        content = operation["responses"]["200"]["content"]
        schema = content.get("application/json", {}).get("schema", {})
        if "$ref" not in schema:
            continue
        parameters = {p["name"]: values.get(p["name"]) for p in operation["parameters"]}
        if path == "/api/v1/nodes/{id}":
            parameters["id"] = values["from"]
        address = re.sub(r"{(\w+)}", lambda m: urllib.parse.quote(parameters.pop(m[1])), path)
        query = urllib.parse.urlencode({name: value for name, value in parameters.items() if value})
        try:
            answer = json.load(get(backhaul, f"{address}?{query}", **headers))
        except urllib.error.HTTPError as refused:
            assert not scope and refused.code == 403, f"{address}: {refused.read()}"
            answer, schema = json.load(refused), {"$ref": "#/components/schemas/Problem"}
        Draft202012Validator({**schema, "components": described["components"]}).validate(answer)
        checked += 1
    assert checked > 20


def test_who_has_the_answer_already_is_told_so(backhaul):
    tag = get(backhaul, "/api/v1/rules").headers["ETag"]
    with pytest.raises(urllib.error.HTTPError) as unchanged:
        get(backhaul, "/api/v1/rules", **{"If-None-Match": f'"other", {tag}'})
    assert unchanged.value.code == 304
    assert get(backhaul, "/api/v1/rules", **{"If-None-Match": '"other"'}).status == 200


def test_a_page_leads_to_the_next_until_all_was_told(backhaul, gateway):
    for number in range(1, 8):
        say(gateway, number, f"words {number}")
    seen, cursor = [], ""
    while cursor is not None:
        page = ask(backhaul, f"/api/v1/receptions?q=port:text&limit=3&cursor={cursor}" if cursor else
                   "/api/v1/receptions?q=port:text&limit=3")
        seen += [one["said"] for one in page["receptions"]]
        cursor = page["cursor"]
    assert seen == [f"words {number}" for number in range(7, 0, -1)]


def events(answer, count):
    """The next events of a stream, each with its id."""
    found, last = [], None
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "id":
            last = value
        elif name == "data":
            found.append((last, json.loads(value)))
            if len(found) == count:
                return found
    raise AssertionError(f"the stream ended after {found}")


def test_a_stream_goes_on_where_it_was_left(backhaul, gateway):
    say(gateway, 1, "before")
    wait_for(lambda: ask(backhaul, "/api/v1/receptions?q=port:text")["receptions"], "the first text to be stored")
    stream = get(backhaul, "/api/v1/stream?q=port:text&after=0")
    (first, heard), = events(stream, 1)
    assert heard["said"] == "before" and first == str(heard["seq"])
    say(gateway, 2, "live")
    assert events(stream, 1)[0][1]["said"] == "live"
    stream.close()
    say(gateway, 3, "while away")
    wait_for(lambda: len(ask(backhaul, "/api/v1/receptions?q=port:text")["receptions"]) == 3, "the third to be stored")
    again = get(backhaul, "/api/v1/stream?q=port:text", **{"Last-Event-ID": first})
    assert [heard["said"] for _, heard in events(again, 2)] == ["live", "while away"]


def test_a_socket_tells_the_same(backhaul, gateway):
    say(gateway, 1, "before")
    wait_for(lambda: ask(backhaul, "/api/v1/receptions?q=port:text")["receptions"], "the first text to be stored")
    socket = websocket.create_connection(
        f"ws://127.0.0.1:{backhaul.web_port}/api/v1/socket?q=port:text&after=0", timeout=20)
    assert json.loads(socket.recv())["said"] == "before"
    say(gateway, 2, "live")
    assert json.loads(socket.recv())["said"] == "live"
    socket.close()


def test_a_wrong_filter_is_told_with_its_place(backhaul):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(backhaul, "/api/v1/stream?q=prot:text")
    problem = json.load(refused.value)["problems"][0]
    assert (problem["start"], problem["end"]) == (0, 4) and "port" in str(problem["instead"])


def test_the_example_script_prints_texts_as_they_come(backhaul, gateway):
    script = subprocess.Popen([sys.executable, ROOT / "examples" / "texts.py", backhaul.web],
                              stdout=subprocess.PIPE, text=True)
    try:
        numbers = iter(range(1, 1000))
        lines = []
        threading.Thread(target=lambda: lines.append(script.stdout.readline()), daemon=True).start()
        # Only what comes after it is there is told, so it is said until it is heard.
        wait_for(lambda: say(gateway, next(numbers), "hello script") or lines, "the script to print")
        assert lines[0] == f"!{FIELD:08x} by {ALPHA}: hello script\n"
    finally:
        script.kill()


def test_the_example_notebook_runs(backhaul, gateway):
    say(gateway, 1, "for the notebook")
    wait_for(lambda: ask(backhaul, "/api/v1/receptions")["receptions"], "a reception")
    cells = json.loads((ROOT / "examples" / "day.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    scope = {}
    exec(code.replace("http://127.0.0.1:8080", backhaul.web), scope)
    assert scope["by_gateway"] == {ALPHA: 1} and scope["hops"] == {0: 1}


def test_a_program_with_a_token_does_what_its_scope_allows_until_it_is_revoked(backhaul, gateway):
    say(gateway, 1, "before the storm")
    reads, operates = token_of(backhaul, "read"), token_of(backhaul, "operate")
    told = json.load(get(backhaul, "/api/v1/receptions", Authorization=f"Bearer {reads}"))
    assert "client_id" in told["receptions"][0]
    storm = {"title": "Storm", "when": "last 1h", "is_public": True}
    with pytest.raises(urllib.error.HTTPError) as refused:
        do(backhaul, "/api/v1/incidents", reads, storm)
    assert refused.value.code == 403
    number = do(backhaul, "/api/v1/incidents", operates, storm)["number"]
    assert ask(backhaul, f"/api/v1/incidents/{number}")["incident"]["counts"]["during"]["receptions"] == 1
    do(backhaul, "/api/v1/downlink", operates, {"is_stopped": True})
    wait_for(lambda: ask(backhaul, "/api/v1/status")["is_downlink_stopped"], "the switch")
    assert get(backhaul, "/metrics", Authorization=f"Bearer {reads}").status == 200
    assert "seq,at_ms" in get(backhaul, "/export?format=csv", Authorization=f"Bearer {reads}").read().decode()
    backhaul.run("token", "revoke", "2")
    with pytest.raises(urllib.error.HTTPError) as ended:
        do(backhaul, "/api/v1/downlink", operates, {"is_stopped": False})
    assert ended.value.code == 401
    assert "a script" in backhaul.run("token", "list")
