#!/usr/bin/env python3
"""Records what a real Consul answers to a table of DNS questions.

    record_dns.py CONSUL_BINARY > tests/golden/dns/consul-1.8.7.json
    record_dns.py CONSUL_BINARY options > tests/golden/dns/options-1.8.7.json

The first asks much of a server without options, the second a little of servers with options, one after the other.

Needs nothing but Python's standard library. Starts a server of its own on loopback with free ports, registers the
catalog below, asks, and ends the server. Run by hand when the table changes; never by the test suite, which reads the
file. Records are written as text; order within a section is random in Consul and sorted here.
"""
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "OPT": 41,
         "AXFR": 252, "ANY": 255}
TYPE_NAMES = {number: name for name, number in TYPES.items()}


def node(name, address, service=None, meta=None, checks=()):
    entry = {"Node": name, "Address": address}
    if meta:
        entry["NodeMeta"] = meta
    if service:
        entry["Service"] = service
    if checks:
        entry["Checks"] = list(checks)
    return entry


def service(name, ident=None, port=80, address="", tags=(), weights=None):
    entry = {"Service": name, "ID": ident or name, "Port": port, "Address": address, "Tags": list(tags)}
    if weights:
        entry["Weights"] = {"Passing": weights[0], "Warning": weights[1]}
    return entry


def check(status, service_id="", ident="c1"):
    return {"CheckID": f"{service_id}:{ident}", "Name": ident, "Status": status, "ServiceID": service_id}


META = {"os": "linux", "rfc1035-00": "v=spf1 -all", "k=ey": "a`b"}
CATALOG = [
    node("n1", "10.1.0.1", service("web", port=8080, tags=["v1", "a.b"])),
    node("n2", "10.1.0.2", service("web", port=8081, address="10.9.0.2", tags=["V2"], weights=(10, 5))),
    node("n3", "10.1.0.3", service("web", port=8082, weights=(10, 3)), checks=[check("warning", "web")]),
    node("n4", "10.1.0.4", service("web", port=8083), checks=[check("critical", "web")]),
    node("n5", "2001:db8::5", service("web6", port=90)),
    node("n5", "2001:db8::5", service("own6", port=91, address="2001:db8::99")),
    node("h1", "host1.example.com", service("ext", port=443)),
    node("n1", "10.1.0.1", service("alias", port=80, address="www.example.com")),
    node("n2", "10.1.0.2", service("inner", port=80, address="web.service.consul")),
    node("n2", "10.1.0.2", service("innode", port=81, address="n1.node.consul")),
    node("n2", "10.1.0.2", service("gone", port=81, address="nobody.service.consul")),
    node("c1", "n1.node.consul"),
    node("c2", "c1.node.consul"),
    node("l1", "l2.node.consul"),
    node("l2", "l1.node.consul"),
    node("n1", "10.1.0.1", service("same", "same1", 1001)),
    node("n1", "10.1.0.1", service("same", "same2", 1002)),
    node("n1", "10.1.0.1", service("same", "same3", 1002)),
    node("n1", "10.1.0.1", service("shared", "shared1", 1001, "10.9.1.1")),
    node("n1", "10.1.0.1", service("shared", "shared2", 1002, "10.9.1.1")),
    node("n2", "10.1.0.2", service("shared", "shared3", 1003, "10.9.1.1")),
    node("n4", "10.1.0.4", service("down", port=5432), checks=[check("critical", "down")]),
    node("n6", "10.1.0.6", service("onbad", port=1), checks=[check("critical")]),
    node("n7", "10.1.0.7", service("onwarn", port=1), checks=[check("warning")]),
    node("n7", "10.1.0.7", service("maint", port=1), checks=[check("critical", "maint", "_service_maintenance")]),
    node("web.example", "10.1.1.1", service("dotnode", port=1)),
    node("n_8", "10.1.1.2", service("undernode", port=1)),
    node("Node9", "10.1.1.3", service("UPPER", port=1, tags=["Tag"])),
    node("n1", "10.1.0.1", service("with.dot", port=1)),
    node("n1", "10.1.0.1", service("mixed", "m1", 1, "10.9.2.1")),
    node("n2", "10.1.0.2", service("mixed", "m2", 2, "2001:db8::2")),
    node("n3", "10.1.0.3", service("mixed", "m3", 3, "mixed.example.com")),
    node("n1", "10.1.0.1", service("selfie", port=1, address="selfie.service.consul")),
    node("n1", "10.1.0.1", service("zero", port=0)),
    node("meta1", "10.1.3.1", service("onmeta", port=1), META),
    node("meta1", "10.1.3.1", service("ownmeta", port=1, address="10.9.3.1"), META),
    node("c3", "meta1.node.consul"),
    node("n2", "10.1.0.2", service("inmeta", port=1, address="meta1.node.consul")),
    node("fat", "10.1.2.1", service("onfat", port=1), {f"key{i:02}": "x" * 60 for i in range(12)}),
] + [node(f"m{i:03}", f"10.2.0.{i}", service("many", port=7000 + i)) for i in range(60)
] + [node(f"m{i:03}", f"10.2.0.{i}", service("four", port=7000 + i, address=f"10.3.0.{i}")) for i in range(4)]

# name, type, EDNS size (0: none), transport. Only counts are recorded of what Consul cuts at random.
QUESTIONS = []


def ask_all(names, types, edns=4096, transport="udp"):
    for name in names.split():
        for kind in types.split():
            QUESTIONS.append((name + ".", kind, edns, transport))


ask_all("web.service.consul WEB.Service.Consul v1.web.service.consul a.b.web.service.consul v2.web.service.consul "
        "nope.web.service.consul web.service.dc1.consul web.service.dc2.consul web.service.dc1.dc1.consul",
        "A SRV ANY")
ask_all("web.service.consul", "AAAA TXT MX CNAME PTR")
ask_all("_web._tcp.service.consul _web._v1.service.consul _web._tcp.consul _web._TCP.service.dc1.consul "
        "_web._nope.service.consul _web._udp.service.consul _web.service.consul _web.consul _a._b._c.service.consul",
        "SRV A")
ask_all("web6.service.consul own6.service.consul mixed.service.consul", "A AAAA ANY SRV")
ask_all("ext.service.consul alias.service.consul inner.service.consul innode.service.consul gone.service.consul "
        "selfie.service.consul", "A AAAA SRV ANY")
ask_all("same.service.consul shared.service.consul dotnode.service.consul undernode.service.consul "
        "upper.service.consul tag.upper.service.consul zero.service.consul", "A SRV")
ask_all("down.service.consul onbad.service.consul onwarn.service.consul maint.service.consul with.dot.service.consul "
        "unknown.service.consul", "A SRV AAAA")
ask_all("n1.node.consul N1.Node.consul n1.node.dc1.consul n1.node.dc2.consul n5.node.consul n6.node.consul "
        "web.example.node.consul n_8.node.consul node9.node.consul unknown.node.consul",
        "A AAAA ANY TXT SRV MX")
ask_all("meta1.node.consul c3.node.consul onmeta.service.consul ownmeta.service.consul inmeta.service.consul",
        "A AAAA ANY TXT SRV")
ask_all("h1.node.consul c1.node.consul c2.node.consul l1.node.consul", "A AAAA ANY TXT")
ask_all("0a010001.addr.consul 0A010001.addr.dc1.consul 20010db8000000000000000000000005.addr.consul",
        "A AAAA ANY SRV TXT")
ask_all("0a0100zz.addr.consul 0a01.addr.consul x.0a010001.addr.consul 0a010001.addr.dc2.consul", "A")
ask_all("consul", "A ANY TXT SRV SOA NS")
ask_all("web.service.consul n1.node.consul unknown.service.consul", "SOA NS")
ask_all("service.consul node.consul addr.consul query.consul x.query.consul web.connect.consul web.ingress.consul "
        "foo.consul web.services.consul service.service.consul web.virtual.consul", "A SRV")
ask_all("1.0.1.10.in-addr.arpa 1.0.9.10.in-addr.arpa 2.0.9.10.in-addr.arpa 1.1.9.10.in-addr.arpa "
        "9.9.9.9.in-addr.arpa 1.0.10.in-addr.arpa "
        "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa "
        "9.9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR A")
ask_all("www.example.com consul.example.com .", "A NS SOA")
ask_all("many.service.consul four.service.consul web.service.consul n1.node.consul unknown.service.consul",
        "A SRV ANY", edns=0)
ask_all("many.service.consul four.service.consul", "A SRV", edns=512)
ask_all("many.service.consul four.service.consul", "A SRV", edns=1232)
ask_all("many.service.consul four.service.consul", "A SRV", edns=4096)
ask_all("many.service.consul four.service.consul web.service.consul", "A SRV", edns=0, transport="tcp")
ask_all("fat.node.consul onfat.service.consul", "A SRV", edns=0)
ask_all("fat.node.consul onfat.service.consul fat.node.consul", "A SRV", edns=4096)
ask_all("consul web.service.consul", "AXFR", transport="tcp")


def query(name, kind, edns):
    message = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 1 if edns else 0)
    for label in name.strip(".").split("."):
        if label:
            message += bytes([len(label)]) + label.encode()
    message += b"\0" + struct.pack(">HH", TYPES[kind], 1)
    if edns:
        message += b"\0" + struct.pack(">HHIH", 41, edns, 0, 0)
    return message


def ask(port, name, kind, edns, transport):
    message = query(name, kind, edns)
    if transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2)
            s.sendto(message, ("127.0.0.1", port))
            return s.recv(65535)
    with socket.create_connection(("127.0.0.1", port), 2) as s:
        s.sendall(struct.pack(">H", len(message)) + message)
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
            piece = s.recv(65535)
            if not piece:
                break
            data += piece
        return data[2:]


def read_name(message, at):
    labels, end = [], None
    while True:
        size = message[at]
        if size >= 0xC0:
            end = end or at + 2
            at = (size & 0x3F) << 8 | message[at + 1]
        elif size == 0:
            return ".".join(labels) + ".", end or at + 1
        else:
            labels.append(message[at + 1:at + 1 + size].decode())
            at += size + 1


def read_record(message, at):
    owner, at = read_name(message, at)
    kind, klass, ttl, size = struct.unpack(">HHIH", message[at:at + 10])
    at += 10
    data, end = message[at:at + size], at + size
    if kind == 41:
        return f"OPT {klass}", end
    if kind in (1, 28):
        text = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data)
    elif kind == 33:
        text = " ".join(map(str, struct.unpack(">HHH", data[:6]))) + " " + read_name(message, at + 6)[0]
    elif kind in (2, 5, 12):
        text = read_name(message, at)[0]
    elif kind == 16:
        strings, i = [], 0
        while i < len(data):
            strings.append(data[i + 1:i + 1 + data[i]].decode())
            i += data[i] + 1
        text = " ".join(f'"{s}"' for s in strings)
    elif kind == 6:
        mname, i = read_name(message, at)
        rname, i = read_name(message, i)
        _, *rest = struct.unpack(">IIIII", message[i:i + 20])
        text = f"{mname} {rname} SERIAL " + " ".join(map(str, rest))
    else:
        text = data.hex()
    return f"{owner} {ttl} {TYPE_NAMES.get(kind, kind)} {text}", end


def describe(message, transport):
    _, flags, questions, *counts = struct.unpack(">HHHHHH", message[:12])
    at = 12
    for _ in range(questions):
        _, at = read_name(message, at)
        at += 4
    sections = []
    for count in counts:
        records = []
        for _ in range(count):
            record, at = read_record(message, at)
            records.append(record)
        sections.append(sorted(records))
    bits = [name for name, bit in (("aa", 0x400), ("tc", 0x200), ("rd", 0x100), ("ra", 0x80)) if flags & bit]
    return {"rcode": flags & 15, "flags": " ".join(bits), "bytes": len(message), "answers": sections[0],
            "authority": sections[1], "additional": sections[2]}


def free_ports(count):
    sockets = []
    for _ in range(count):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        sockets.append(s)
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def http(port, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=5) as reply:
        return reply.read()


# Configuration, and the questions asked under it: names, types, EDNS size, transport. RECURSOR stands for the address of
# a server that answers every A question with 192.0.2.1 and every other with NXDOMAIN.
RECURSOR = "<recursor>"
MANY = ("many.service.consul four.service.consul", "A SRV", 0, "udp")
PLAIN = ("web.service.consul n1.node.consul unknown.service.consul", "A SRV SOA", 4096, "udp")
OPTIONS = [
    ({"dns_config": {"only_passing": True}},
     [("web.service.consul onwarn.service.consul down.service.consul", "A SRV", 4096, "udp")]),
    ({"dns_config": {"only_passing": False}}, [("web.service.consul onwarn.service.consul", "A SRV", 4096, "udp")]),
    ({"dns_config": {"node_ttl": "10s", "service_ttl": {"*": "5s", "web": "30s", "we*": "7s"}}},
     [PLAIN, ("web6.service.consul ext.service.consul n5.node.consul c1.node.consul meta1.node.consul "
              "0a010001.addr.consul inner.service.consul", "A AAAA SRV TXT ANY", 4096, "udp"),
      ("1.0.1.10.in-addr.arpa", "PTR", 4096, "udp"), ("consul", "NS SOA", 4096, "udp")]),
    ({"dns_config": {"service_ttl": {"web": "30s"}}}, [PLAIN]),
    ({"dns_config": {"enable_truncate": True}},
     [MANY, ("many.service.consul four.service.consul", "A SRV", 1232, "udp"),
      ("many.service.consul", "A SRV", 0, "tcp")]),
    ({"dns_config": {"enable_truncate": True, "udp_answer_limit": 10}}, [MANY]),
    ({"dns_config": {"udp_answer_limit": 2}},
     [MANY, ("many.service.consul", "A SRV", 4096, "udp"), ("many.service.consul", "A SRV", 0, "tcp")]),
    ({"dns_config": {"udp_answer_limit": 10, "a_record_limit": 2}},
     [MANY, ("many.service.consul", "A SRV", 4096, "udp"), ("many.service.consul", "A SRV", 0, "tcp")]),
    ({"dns_config": {"a_record_limit": 1}}, [MANY, ("many.service.consul", "A SRV", 0, "tcp")]),
    ({"dns_config": {"allow_stale": False}}, [PLAIN]),
    ({"dns_config": {"allow_stale": True, "max_stale": "5s", "use_cache": True, "cache_max_age": "3s"}}, [PLAIN]),
    ({"dns_config": {"soa": {"refresh": 7200, "retry": 1200, "expire": 172800, "min_ttl": 60}}},
     [PLAIN, ("consul", "SOA NS", 4096, "udp")]),
    ({"dns_config": {"enable_additional_node_meta_txt": False}},
     [("meta1.node.consul onmeta.service.consul ownmeta.service.consul", "A SRV ANY TXT", 4096, "udp")]),
    ({"domain": "example.org"},
     [("web.service.example.org web.service.consul n1.node.example.org example.org", "A SRV SOA NS", 4096, "udp"),
      ("1.0.1.10.in-addr.arpa", "PTR", 4096, "udp")]),
    ({"alt_domain": "other"},
     [("web.service.other web.service.consul n1.node.other unknown.service.other other consul", "A SRV SOA NS", 4096,
       "udp"), ("1.0.1.10.in-addr.arpa", "PTR", 4096, "udp")]),
    ({"recursors": [RECURSOR]},
     [("www.example.com web.service.consul ext.service.consul h1.node.consul alias.service.consul "
       "unknown.service.consul", "A AAAA SRV", 4096, "udp"), ("www.example.com", "A", 0, "tcp"),
      ("9.9.9.9.in-addr.arpa 1.0.1.10.in-addr.arpa", "PTR", 4096, "udp")]),
]


class Recursor(threading.Thread):
    """Answers as RECURSOR says."""

    def __init__(self):
        super().__init__(daemon=True)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    @staticmethod
    def answer(message):
        _, end = read_name(message, 12)
        is_a = message[end:end + 2] == b"\0\1"
        head = message[:2] + struct.pack(">HHHHH", 0x8580 if is_a else 0x8583, 1, int(is_a), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 77, 4) + bytes([192, 0, 2, 1])
        return head + message[12:end + 4] + (record if is_a else b"")

    def run(self):
        while True:
            message, peer = self.udp.recvfrom(65535)
            self.udp.sendto(self.answer(message), peer)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            with connection:
                reply = self.answer(connection.recv(65535)[2:])
                connection.sendall(struct.pack(">H", len(reply)) + reply)


def record(options, questions):
    """The cases of one server, which has these options."""
    dns, http_port, server, lan, wan = free_ports(5)
    ports = {"dns": dns, "http": http_port, "server": server, "serf_lan": lan, "serf_wan": wan, "grpc": -1}
    with tempfile.TemporaryDirectory() as home:
        with open(f"{home}/config.json", "w") as out:
            json.dump({"ports": ports, **options}, out)
        agent = subprocess.Popen(
            [sys.argv[1], "agent", "-dev", "-node", "srv1", "-bind", "127.0.0.1", "-config-file",
             f"{home}/config.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.time() + 30
            while True:
                try:
                    if b"srv1" in http(http_port, "GET", "/v1/catalog/service/consul"):
                        break
                except OSError:
                    pass
                if time.time() > deadline:
                    raise SystemExit("the server did not start")
                time.sleep(0.2)
            for entry in CATALOG:
                http(http_port, "PUT", "/v1/catalog/register", entry)
            cases = []
            for name, kind, edns, transport in questions:
                question = {"name": name, "type": kind, "edns": edns, "transport": transport}
                try:
                    question["reply"] = describe(ask(dns, name, kind, edns, transport), transport)
                except (OSError, struct.error, IndexError) as error:
                    question["error"] = type(error).__name__
                cases.append(question)
            return cases
        finally:
            agent.terminate()
            agent.wait()


def lines(values):
    return ",\n  ".join(json.dumps(value) for value in values)


def main():
    catalog = [node("srv1", "127.0.0.1", service("consul", port=8300), {"consul-network-segment": ""})] + CATALOG
    if sys.argv[2:] != ["options"]:
        cases = record({"dns_config": {}}, QUESTIONS)
        print(f'{{"catalog": [\n  {lines(catalog)}\n],\n"cases": [\n  {lines(cases)}\n]}}')
        return
    recursor = Recursor()
    recursor.start()
    servers = []
    for options, rows in OPTIONS:
        del QUESTIONS[:]
        for row in rows:
            ask_all(*row)
        configuration = json.loads(json.dumps(options).replace(RECURSOR, f"127.0.0.1:{recursor.port}"))
        cases = record(configuration, QUESTIONS)
        servers.append(f'{{"options": {json.dumps(options)}, "cases": [\n  {lines(cases)}\n]}}')
    print(f'{{"catalog": [\n  {lines(CATALOG)}\n],\n"servers": [\n{", ".join(servers)}\n]}}')


if __name__ == "__main__":
    main()
