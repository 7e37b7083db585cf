"""The simplest filter that does the same: each period it lists all ports and who is under inspection, and writes the files
that differ. For the benchmark only: it cannot do anything but that.

usage: reference.py HOST PORT FOLDER SECONDS
"""

import http.client
import json
import os
import sys
import time

host, port, folder, period = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
api = http.client.HTTPConnection(host, port)


def listed(what, query):
    """All pages of a listing."""
    found, rest = [], query
    while rest is not None:
        api.request("GET", f"/v1/{what}?{rest}", headers={"X-OpenStack-Ironic-API-Version": "1.81"})
        answer = api.getresponse()
        body = json.loads(answer.read())
        if answer.status != 200:
            raise OSError(f"{what}?{rest}: {answer.status}")
        found += body[what]
        following = body.get("next")
        rest = following.split("?", 1)[1] if following else None
    return found


def wanted():
    """What each file is to say."""
    active = set()
    for state in ("inspecting", "inspect%20wait"):
        active |= {node["uuid"] for node in listed("nodes", f"provision_state={state}&fields=uuid")}
    says = {}
    for port in listed("ports", "fields=address,node_uuid&limit=1000"):
        mac = port["address"]
        says[mac] = mac + ("\n" if port["node_uuid"] in active else ",ignore\n")
    return says | {"unknown_hosts_filter": "*:*:*:*:*:*" + ("\n" if active else ",ignore\n")}


def write(name, text):
    """Replaces a file at once."""
    hidden = os.path.join(folder, "." + name)
    with open(hidden, "w") as file:
        file.write(text)
    os.rename(hidden, os.path.join(folder, name))


for name in os.listdir(folder):
    os.remove(os.path.join(folder, name))
written = {}
while True:
    began = time.monotonic()
    for name, text in wanted().items():
        if written.get(name) != text:
            write(name, text)
            written[name] = text
    time.sleep(max(0, began + period - time.monotonic()))
