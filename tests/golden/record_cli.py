#!/usr/bin/env python3
"""Fills in the outcomes of the golden cases of the command line from a real Consul 1.8.7. Never run by the tests.

    consul agent -server -bootstrap-expect=1 -data-dir=DIR -config-file=golden.json     # a fresh one
    record_cli.py CONSUL_BINARY HOST:HTTP_PORT SERVER_PORT LAN_PORT

with golden.json: {"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "node_name": "golden", "ports": {...}}; the
ports have five digits, as those of the tests. The files of cli/ are run in order of name against the one server, the
cases of a file in the order they have there; tests/cli does the same with our binary and our server. A case is

    {"args": [...]}              a command, with "stdin" and "env" if it needs them; $BINARY names the program
    {"http": [METHOD, TARGET, BODY]}   a request that prepares the next cases; nothing of it is compared
    {"file": [NAME, TEXT]}       a file in the directory in which commands run

"capture": [NAME, REGEX] keeps the first group of a match in the standard output or answer, for {NAME} in later cases.
"compare" says how much of the two outputs counts: all of it unless it is "first" (the first line of standard error,
where usage follows it) or "loose" (runs of blanks are one, because columns depend on what is replaced). What differs from
run to run is replaced on both sides, see `normalise`. A case may carry "lictor": {...}, which replaces parts of the
outcome where we differ on purpose, and then says "why".
"""
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def normalise(text, address, server, lan, compare):
    text = text.replace(address, "<http>")
    text = re.sub(rf":{server}\b", ":<server>", text)
    text = re.sub(rf":{lan}\b", ":<lan>", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>", text)
    text = re.sub(r"\b(?=[a-f]*[0-9])[0-9a-f]{8}\b", "<id>", text)
    text = re.sub(r"\b(CreateIndex|ModifyIndex)(\"?:? *)[1-9][0-9]*", r"\1\2<index>", text)
    text = re.sub(r"\bto index [0-9]+", "to index <index>", text)
    text = re.sub(r"\brtt: [0-9.]+ ms", "rtt: <time> ms", text)
    text = re.sub(r"\bpid [0-9]+", "pid <pid>", text)
    text = re.sub(r"^[A-Za-z0-9+/]{43}=$", "<key>", text, flags=re.M)
    text = re.sub(r"(?<![0-9.])[0-9]+\.[0-9]+\.[0-9]+(?![0-9.]*[0-9])", "<version>", text)
    if compare == "loose":
        text = re.sub(r"[ -]{2,}|\t+", " ", text)
    return text


def outcome(case, run, address, server, lan):
    compare = case.get("compare", "all")
    stderr = run.stderr.decode()
    if compare == "first":
        stderr = stderr.split("\n")[0]
    clean = lambda text: normalise(text, address, server, lan, compare)
    return {"code": run.returncode, "stdout": clean(run.stdout.decode()), "stderr": clean(stderr)}


def main():
    binary, address, server, lan = sys.argv[1:5]
    base = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "LICTOR_"))}
    captured = {}

    def fill(text):
        for name, value in captured.items():
            text = text.replace("{" + name + "}", value)
        return text

    for path in sorted((pathlib.Path(__file__).parent / "cli").glob("*.json")):
        cases = json.loads(path.read_text())
        directory = tempfile.mkdtemp()
        for case in cases:
            if "file" in case:
                name, text = case["file"]
                pathlib.Path(directory, name).write_text(fill(text))
                continue
            if "http" in case:
                method, target, body = case["http"]
                connection = http.client.HTTPConnection(address, timeout=30)
                connection.request(method, fill(target), body=fill(body).encode() if body else None)
                text = connection.getresponse().read().decode()
            else:
                env = {**base, "CONSUL_HTTP_ADDR": address, "SHELL": "/bin/sh", "BINARY": binary, **case.get("env", {})}
                run = subprocess.run(
                    [binary, *map(fill, case["args"])], input=fill(case.get("stdin", "")).encode(),
                    capture_output=True, env=env, cwd=directory, timeout=60)
                text = run.stdout.decode()
                case["outcome"] = outcome(case, run, address, server, lan)
            if "capture" in case:
                name, pattern = case["capture"]
                found = re.search(pattern, text, flags=re.M)
                assert found, f"{case}: nothing to capture in {text!r}"
                captured[name] = found.group(1)
        path.write_text("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")
        print(path.name, len(cases))


main()
