"""Stands for the Docker client in py-consul's tests: a container of the image `hashicorp/consul` is a process here.

It knows what those tests ask for and nothing else. ECOSYSTEM_PROGRAM is the program, ECOSYSTEM_KIND whose it is.
"""

import json
import os
import shlex
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from servers import Kind, Program, Server

from .errors import NotFound


class Container:
    """A running server."""

    def __init__(self, server):
        self.server = server
        port = {"HostIp": "127.0.0.1", "HostPort": str(server.port)}
        self.attrs = {"NetworkSettings": {"Ports": {"8500/tcp": [port]}}}

    def reload(self):
        """The attributes are complete from the start."""

    def logs(self):
        return self.server.output().encode()

    def stop(self):
        self.server.stop()

    def remove(self, force=False):
        """Nothing stays behind a process that was stopped."""


class Containers:
    def run(self, image, command, environment, **_):
        program = Program(Kind(os.environ["ECOSYSTEM_KIND"]), os.environ["ECOSYSTEM_PROGRAM"])
        config = json.loads(environment["CONSUL_LOCAL_CONFIG"])
        config["ports"] = {name: port for name, port in config["ports"].items() if name not in ("dns", "grpc_tls")}
        # The container's network is its own; here every address is the loopback one.
        flags = [word for word in shlex.split(command)[1:] if word not in ("-dev", "-client=0.0.0.0")]
        return Container(Server(program, config, flags).__enter__())

    def get(self, name):
        raise NotFound(name)


class DockerClient:
    containers = Containers()


def from_env():
    return DockerClient()
