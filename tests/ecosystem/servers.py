"""Servers on free ports of the loopback address: ours, or a real Consul 1.8.7."""

import enum
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass

START_SECONDS = 30
STOP_SECONDS = 15
PORTS = ("http", "dns", "server", "serf_lan", "serf_wan", "grpc")


class Kind(enum.Enum):
    """Whose server it is."""

    LICTOR = "lictor"
    CONSUL = "consul"


@dataclass(frozen=True)
class Program:
    """A server's program."""

    kind: Kind
    path: str


def older_spelling(config):
    """A configuration of a newer Consul in the words of 1.8.7: what it would refuse is renamed or left out."""
    config = {key: value for key, value in config.items() if key not in ("peering", "partition", "version")}
    if "ports" in config:
        config["ports"] = {name: port for name, port in config["ports"].items() if name != "grpc_tls"}
    tokens = config.get("acl", {}).get("tokens", {})
    if "initial_management" in tokens:
        renamed = {key: value for key, value in tokens.items() if key != "initial_management"}
        config["acl"] = {**config["acl"], "tokens": {**renamed, "master": tokens["initial_management"]}}
    return config


def free_ports(count):
    """Ports that nothing listens on, for TCP and UDP alike."""
    held = []
    try:
        while len(held) < 2 * count:
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held += [tcp, udp]
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                held = held[:-2]
        return [tcp.getsockname()[1] for tcp in held[::2]]
    finally:
        for each in held:
            each.close()


class Server:
    """One agent with its state in memory; `with` starts and stops it."""

    def __init__(self, program, config=None, flags=()):
        self.program = program
        self.config = dict(config or {})
        self.flags = list(flags)
        self.process = None
        self.port = None

    def __enter__(self):
        failure = "never tried"
        # Another process may take a port between the look and the start.
        for _ in range(3):
            try:
                return self.start()
            except RuntimeError as error:
                failure = error
        raise RuntimeError(failure)

    def __exit__(self, *_):
        self.stop()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        ports = dict(zip(PORTS, free_ports(len(PORTS))))
        self.port = ports["http"]
        config = {**self.config, "ports": {**self.config.get("ports", {}), **ports}}
        config.setdefault("performance", {"raft_multiplier": 1})
        if self.program.kind is Kind.CONSUL:
            config = older_spelling(config)
        self.folder = tempfile.TemporaryDirectory(prefix="ecosystem-")
        file = os.path.join(self.folder.name, "config.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump(config, out)
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        command = [self.program.path, "agent", "-dev", "-bind=127.0.0.1", *self.flags, "-config-file", file]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.until_ready()
        return self

    def until_ready(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            # The node itself is in the catalog only some time after there is a leader.
            if '"ServiceID"' in (self.get("/v1/catalog/service/consul") or ""):
                return
            time.sleep(0.02)
        output = self.output()
        self.stop()
        raise RuntimeError(f"{self.program.path} did not start:\n{output}")

    def get(self, path):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else None
        except OSError:
            return None

    def output(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-8000:]

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.log.close()
        self.folder.cleanup()
