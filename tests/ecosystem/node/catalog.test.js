// The catalog, health, status, events, prepared queries, and the ACL calls of a server without ACLs.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { consul, refused, eventually } = require("./client");

async function registered(name, call, tags = ["v1"]) {
  await consul.agent.service.register({ name, tags, port: 80, check: { ttl: "60s", status: "passing" } });
  try {
    await eventually(
      () => consul.health.service({ service: name, passing: true }),
      (answer) => answer.length === 1,
    );
    return await call();
  } finally {
    await consul.agent.service.deregister(name);
  }
}

test("catalog.datacenters", async () => {
  assert.deepEqual(await consul.catalog.datacenters(), ["dc1"]);
});

test("catalog.node.list, catalog.node.services", async () => {
  const nodes = await consul.catalog.nodes();
  assert.deepEqual(nodes, await consul.catalog.node.list({ dc: "dc1" }));
  const { Node, Services } = await consul.catalog.node.services(nodes[0].Node);
  assert.equal(Node.Node, nodes[0].Node);
  assert.equal(Services.consul.Service, "consul");
  assert.equal(await consul.catalog.node.services("no-such-node"), undefined);
  await refused(500, consul.catalog.node.list("no-such-dc"));
});

test("catalog.node.list with a filter, node-meta and near", async () => {
  const [{ Node }] = await consul.catalog.node.list();
  assert.equal((await consul.catalog.node.list({ filter: `Node == "${Node}"` })).length, 1);
  assert.equal((await consul.catalog.node.list({ filter: `Node == "other"` })).length, 0);
  assert.equal((await consul.catalog.node.list({ "node-meta": "no:such" })).length, 0);
  assert.equal((await consul.catalog.node.list({ near: "_agent" })).length, 1);
  await refused(500, consul.catalog.node.list({ filter: "bad" }));
});

test("catalog.register, catalog.deregister", async () => {
  await consul.catalog.register({
    node: "external",
    address: "127.0.0.9",
    nodemeta: { external: "yes" },
    service: { id: "db1", service: "db", tags: ["primary"], port: 5432, meta: { a: "b" } },
    check: { node: "external", checkid: "db1-alive", name: "alive", serviceid: "db1", status: "passing" },
  });
  const [node] = await consul.catalog.service.nodes("db");
  assert.equal(node.Address, "127.0.0.9");
  assert.deepEqual(node.ServiceTags, ["primary"]);
  assert.deepEqual(node.ServiceMeta, { a: "b" });
  assert.deepEqual(node.NodeMeta, { external: "yes" });
  assert.equal((await consul.health.checks("db"))[0].CheckID, "db1-alive");
  await consul.catalog.deregister({ node: "external", checkid: "db1-alive" });
  assert.deepEqual(await consul.health.checks("db"), []);
  await consul.catalog.deregister({ node: "external", serviceid: "db1" });
  assert.deepEqual(await consul.catalog.service.nodes("db"), []);
  await consul.catalog.deregister("external");
  assert.equal(await consul.catalog.node.services("external"), undefined);
});

test("catalog.service.list, catalog.service.nodes", () =>
  registered("listed", async () => {
    const services = await consul.catalog.services();
    assert.deepEqual(services.listed, ["v1"]);
    assert.deepEqual(services.consul, []);
    assert.equal((await consul.catalog.service.nodes({ service: "listed", tag: "v1" })).length, 1);
    assert.equal((await consul.catalog.service.nodes({ service: "listed", tag: "v2" })).length, 0);
  }));

test("catalog.connect.nodes", async () => {
  assert.deepEqual(await consul.catalog.connect.nodes("none"), []);
});

test("health.node, health.checks, health.service, health.state", () =>
  registered("healthy", async () => {
    const [entry] = await consul.health.service({ service: "healthy", passing: true, tag: "v1" });
    assert.equal(entry.Service.Service, "healthy");
    assert.deepEqual(entry.Checks.map((each) => each.CheckID).sort(), ["serfHealth", "service:healthy"]);
    assert.equal((await consul.health.checks("healthy")).length, 1);
    const ids = (checks) => checks.map((each) => each.CheckID);
    assert.ok(ids(await consul.health.node(entry.Node.Node)).includes("service:healthy"));
    assert.ok(ids(await consul.health.state("passing")).includes("service:healthy"));
    assert.ok(!ids(await consul.health.state("critical")).includes("service:healthy"));
  }));

test("health.service blocks until an instance appears", async () => {
  const empty = await consul.health.service({ service: "awaited", wait: "1ms" });
  assert.deepEqual(empty, []);
  const watch = consul.watch({ method: consul.health.service, options: { service: "awaited", passing: true } });
  try {
    const found = new Promise((resolve, reject) => {
      watch.on("error", reject);
      watch.on("change", (data) => data.length === 1 && resolve(data));
    });
    await registered("awaited", async () => {
      assert.equal((await found)[0].Service.Service, "awaited");
    });
  } finally {
    watch.end();
  }
});

test("status.leader, status.peers", async () => {
  const leader = await consul.status.leader();
  assert.match(leader, /^127\.0\.0\.1:\d+$/);
  assert.deepEqual(await consul.status.peers(), [leader]);
});

test("event.fire, event.list", async () => {
  const fired = await consul.event.fire("deploy", "payload");
  assert.equal(fired.Name, "deploy");
  assert.equal(fired.Payload, "payload");
  const [seen] = await eventually(
    () => consul.event.list("deploy"),
    (events) => events.length === 1,
  );
  assert.equal(seen.ID, fired.ID);
  assert.equal(seen.Payload, "payload");
  await consul.event.fire({ name: "filtered", node: "^.*$", service: "consul", tag: "none" });
  await consul.event.fire("bare");
  assert.equal((await eventually(() => consul.event.list("bare"), (events) => events.length === 1))[0].Payload, null);
});

test("query.create, get, list, update, explain, execute, destroy", () =>
  registered("queried", async () => {
    const { ID } = await consul.query.create({
      name: "eco-query",
      service: { service: "queried", onlypassing: true, tags: ["v1"], failover: { nearestn: 1 } },
      dns: { ttl: "7s" },
    });
    const query = await consul.query.get(ID);
    assert.equal(query.Name, "eco-query");
    assert.equal(query.DNS.TTL, "7s");
    assert.equal(query.Service.Failover.NearestN, 1);
    assert.ok((await consul.query.list()).some((each) => each.ID === ID));
    const result = await consul.query.execute("eco-query");
    assert.equal(result.Service, "queried");
    assert.equal(result.Nodes.length, 1);
    assert.equal(result.DNS.TTL, "7s");
    await consul.query.update({ query: ID, name: "eco-query", service: { service: "queried", tags: ["v2"] } });
    assert.deepEqual((await consul.query.execute({ query: ID })).Nodes, []);
    await consul.query.destroy(ID);
    await refused(404, consul.query.get(ID));
    await refused(404, consul.query.execute("eco-query"));
  }));

test("query.explain of a template", async () => {
  const { ID } = await consul.query.create({
    name: "geo-",
    template: { type: "name_prefix_match", regexp: "^geo-(.*)$" },
    service: { service: "${match(1)}" },
  });
  const explained = await consul.query.explain("geo-web");
  // The client takes the answer for a list; what it shows of an object is nothing.
  assert.equal(explained, undefined);
  await consul.query.destroy(ID);
});

test("acl calls without ACLs", async () => {
  const calls = [
    () => consul.acl.bootstrap(),
    () => consul.acl.replication(),
    () => consul.acl.legacy.create({ name: "x", type: "client", rules: "" }),
    () => consul.acl.legacy.update({ id: "x", name: "x" }),
    () => consul.acl.legacy.destroy("x"),
    () => consul.acl.legacy.info("x"),
    () => consul.acl.legacy.clone("x"),
    () => consul.acl.legacy.list(),
  ];
  for (const call of calls) {
    await call().then(
      () => assert.fail("it was answered"),
      (error) => assert.match(error.message, /ACL support disabled/),
    );
  }
});
