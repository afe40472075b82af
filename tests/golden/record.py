#!/usr/bin/env python3
"""Fills in the responses of the golden cases from a running Consul 1.8.7. Never run by the tests.

    consul agent -server -bootstrap-expect=1 -data-dir=DIR -config-file=golden.json     # a fresh one
    record.py HOST:HTTP_PORT SERVER_PORT LAN_PORT WAN_PORT [FILE...]

with golden.json: {"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "node_name": "golden", "ports": {...}}.
The files of consul/ (or only those named, without their ending) are run in order of name against the one server, the
cases of a file in the order they have there; tests/consul_http.rs does the same with our own server. A file leaves
nothing behind that later ones could see. "capture" keeps the index of an answer under a name, "capture_id" the "ID" of its
body; later requests of the file name them in braces. "pause" is how many seconds Consul needs before the request. What differs from run to run (ids, indexes, ports, versions) is
replaced on both sides, see `normalise`. A case may carry "lictor": {...}, which replaces parts of the response where we
differ on purpose, and then says "why".
"""
import gzip
import http.client
import json
import pathlib
import re
import sys
import time

KEPT_HEADERS = [
    "Content-Type", "Vary", "Allow", "Location", "X-Consul-Index", "X-Consul-Knownleader", "X-Consul-Lastcontact",
    "X-Consul-Effective-Consistency", "X-Content-Type-Options", "Content-Security-Policy", "Content-Encoding", "X-Cache",
    "Age",
]


def normalise(text, ports):
    for name, port in ports.items():
        text = re.sub(rf"\b{port}\b", f"<{name}>", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>", text)
    text = re.sub(r'"(CreateIndex|ModifyIndex)":( ?)[1-9][0-9]*', r'"\1":\2"<index>"', text)
    text = re.sub(r'"ContentHash":( ?)"[0-9a-f]+"', r'"ContentHash":\1"<hash>"', text)
    # The first run of a check is at a random time.
    text = re.sub(r'"Output":( ?)"dial tcp [^"]*"', r'"Output":\1""', text)
    return re.sub(r'"([vV]ersion|build)":( ?)"[0-9][^"]*"', r'"\1":\2"<version>"', text)


def body_of(request):
    body = request.get("body")
    if isinstance(body, dict):
        return (body["repeat"] * body["times"]).encode()
    return body.encode() if body is not None else None


def main():
    address, server, lan, wan = sys.argv[1:5]
    only = sys.argv[5:]
    ports = {"server": server, "lan": lan, "wan": wan}
    for path in sorted((pathlib.Path(__file__).parent / "consul").glob("*.json")):
        if only and path.stem not in only:
            continue
        cases = json.loads(path.read_text())
        captured = {}
        for case in cases:
            request = case["request"]
            target, sent = request["target"], body_of(request)
            for name, value in captured.items():
                target = target.replace("{" + name + "}", value)
                sent = sent and sent.replace(b"{" + name.encode() + b"}", value.encode())
            time.sleep(case.get("pause", 0))
            connection = http.client.HTTPConnection(address, timeout=30)
            connection.request(request["method"], target, body=sent, headers=request.get("headers", {}))
            reply = connection.getresponse()
            body = reply.read()
            text = (gzip.decompress(body) if reply.getheader("Content-Encoding") == "gzip" else body).decode()
            if "capture" in case:
                captured[case["capture"]] = reply.getheader("X-Consul-Index")
            if "capture_id" in case:
                captured[case["capture_id"]] = json.loads(text)["ID"]
            headers = {h: reply.getheader(h) for h in KEPT_HEADERS if reply.getheader(h) is not None}
            if int(headers.get("X-Consul-Index", "0")) > 0:
                headers["X-Consul-Index"] = "<index>"
            if target.startswith("/v1/catalog/services") and request["method"] == "GET" and reply.status == 200:
                # The order of the tags is random there, and by name with us.
                tags = {name: sorted(tags) for name, tags in json.loads(text).items()}
                text = json.dumps(tags, separators=(",", ":"), ensure_ascii=False)
            case["response"] = {"status": reply.status, "headers": headers, "body": normalise(text, ports)}
            connection.close()
        path.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
        print(path.name, len(cases))


main()
