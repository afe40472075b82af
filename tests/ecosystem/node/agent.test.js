// The agent: itself, its services and checks, maintenance.
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { test } = require("node:test");
const { consul, refused, eventually } = require("./client");

test("agent.self", async () => {
  const self = await consul.agent.self();
  assert.equal(self.Config.Datacenter, "dc1");
  assert.equal(self.Config.Server, true);
  assert.equal(self.Member.Name, self.Config.NodeName);
});

test("agent.members", async () => {
  const members = await consul.agent.members();
  assert.equal(members.length, 1);
  assert.equal(members[0].Addr, "127.0.0.1");
  assert.equal(members[0].Status, 1);
  assert.equal((await consul.agent.members({ wan: true }))[0].Name, `${members[0].Name}.dc1`);
});

test("agent.reload", async () => {
  await consul.agent.reload();
});

test("agent.join, agent.forceLeave", async () => {
  await refused(500, consul.agent.join("127.0.0.1:1"));
  const error = await refused(500, consul.agent.forceLeave("no-such-node"));
  assert.match(error.message, /no-such-node|agent: No node found/);
});

test("agent.maintenance", async () => {
  await consul.agent.maintenance({ enable: true, reason: "tests" });
  const check = (await consul.agent.checks())._node_maintenance;
  assert.equal(check.Status, "critical");
  assert.equal(check.Notes, "tests");
  await consul.agent.maintenance(false);
  assert.equal((await consul.agent.checks())._node_maintenance, undefined);
});

test("agent.service.register, list, deregister", async () => {
  await consul.agent.service.register({
    id: "web-1",
    name: "web",
    tags: ["a", "b"],
    meta: { region: "eu" },
    address: "127.0.0.1",
    port: 8080,
    taggedaddresses: { lan: { address: "127.0.0.1", port: 80 } },
  });
  const web = (await consul.agent.services())["web-1"];
  assert.equal(web.Service, "web");
  assert.deepEqual(web.Tags, ["a", "b"]);
  assert.deepEqual(web.Meta, { region: "eu" });
  assert.equal(web.Port, 8080);
  assert.deepEqual(web.TaggedAddresses.lan, { Address: "127.0.0.1", Port: 80 });
  await consul.agent.service.deregister("web-1");
  assert.equal((await consul.agent.service.list())["web-1"], undefined);
});

test("agent.service.register with only a name", async () => {
  await consul.agent.service.register("plain");
  assert.equal((await consul.agent.service.list()).plain.Service, "plain");
  await consul.agent.service.deregister({ id: "plain" });
});

test("agent.service.register with checks of every kind", async () => {
  const every = { interval: "10s", timeout: "1s" };
  const checks = [
    { http: "http://127.0.0.1:1/", method: "POST", header: { "X-A": ["b"] }, body: "x", ...every },
    { tcp: "127.0.0.1:1", ...every },
    { grpc: "127.0.0.1:1", grpcusetls: false, ...every },
    { args: ["true"], ...every },
    { ttl: "10s", status: "passing", deregistercriticalserviceafter: "1m" },
    { aliasservice: "consul" },
  ];
  await consul.agent.service.register({ id: "checked", name: "checked", port: 1, checks });
  const found = Object.values(await consul.agent.checks()).filter((each) => each.ServiceID === "checked");
  assert.deepEqual(found.map((each) => each.Type).sort(), ["alias", "grpc", "http", "script", "tcp", "ttl"]);
  await consul.agent.service.deregister("checked");
  const left = Object.values(await consul.agent.checks()).filter((each) => each.ServiceID === "checked");
  assert.deepEqual(left, []);
});

test("agent.service.maintenance", async () => {
  await consul.agent.service.register("maintained");
  await consul.agent.service.maintenance({ id: "maintained", enable: true, reason: "tests" });
  const id = "_service_maintenance:maintained";
  assert.equal((await consul.agent.checks())[id].Status, "critical");
  await eventually(
    () => consul.health.service({ service: "maintained", passing: true }),
    (answer) => answer.length === 0,
  );
  await consul.agent.service.maintenance({ id: "maintained", enable: false });
  assert.equal((await consul.agent.checks())[id], undefined);
  await consul.agent.service.deregister("maintained");
});

test("agent.check.register, pass, warn, fail, deregister", async () => {
  await consul.agent.check.register({ id: "ttl", name: "a ttl check", ttl: "60s", notes: "of the tests" });
  const status = async () => (await consul.agent.check.list()).ttl;
  assert.equal((await status()).Status, "critical");
  await consul.agent.check.pass({ id: "ttl", note: "fine" });
  assert.deepEqual([(await status()).Status, (await status()).Output], ["passing", "fine"]);
  await consul.agent.check.warn("ttl");
  assert.equal((await status()).Status, "warning");
  await consul.agent.check.fail("ttl");
  assert.equal((await status()).Status, "critical");
  assert.equal((await status()).Notes, "of the tests");
  await consul.agent.check.deregister("ttl");
  assert.equal(await status(), undefined);
  await refused(500, consul.agent.check.pass("ttl"));
});

test("agent.check.register of a service", async () => {
  await consul.agent.service.register("owner");
  await consul.agent.check.register({ id: "owned", name: "owned", ttl: "60s", serviceid: "owner" });
  const check = (await consul.agent.checks()).owned;
  assert.deepEqual([check.ServiceID, check.ServiceName], ["owner", "owner"]);
  await refused(500, consul.agent.check.register({ name: "x", ttl: "60s", serviceid: "no-such-service" }));
  await consul.agent.service.deregister("owner");
  assert.equal((await consul.agent.checks()).owned, undefined);
});

test("an HTTP check follows what it watches", async () => {
  let status = 200;
  const server = http.createServer((_, answer) => answer.writeHead(status).end("hello"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/health`;
  try {
    const check = { http: url, interval: "1s", timeout: "5s" };
    await consul.agent.service.register({ name: "followed", port: server.address().port, check });
    const seen = (wanted) =>
      eventually(
        () => consul.health.checks("followed"),
        (checks) => checks.length === 1 && checks[0].Status === wanted,
      );
    const [passing] = await seen("passing");
    assert.match(passing.Output, /200 OK Output: hello/);
    status = 429;
    await seen("warning");
    status = 500;
    await seen("critical");
  } finally {
    server.close();
    await consul.agent.service.deregister("followed");
  }
});
