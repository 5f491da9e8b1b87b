"""Prints texts that cross the mesh as they come, and goes on where it stopped: python examples/texts.py http://127.0.0.1:8080"""

import json
import sys
import time
import urllib.parse
import urllib.request

site, last = sys.argv[1].rstrip("/"), None
filter = sys.argv[2] if len(sys.argv) > 2 else "port:text"
while True:
    address = f"{site}/api/v1/stream?q={urllib.parse.quote(filter)}"
    request = urllib.request.Request(address, headers={"Last-Event-ID": last} if last else {})
    try:
        for line in urllib.request.urlopen(request, timeout=60):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                last = value
            elif name == "data":
                heard = json.loads(value)
                print(f"{heard['packet']['from']} by {heard['gateway']}: {heard['said']}", flush=True)
    except OSError as error:
        print(f"{error}; trying again", file=sys.stderr)
    time.sleep(2)
