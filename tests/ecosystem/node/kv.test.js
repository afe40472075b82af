// Keys, sessions, transactions and watches.
// This client shows an answer of `false` or `null` as undefined.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { consul, refused } = require("./client");

test("kv.set, kv.get", async () => {
  assert.equal(await consul.kv.set("eco/a", "value"), true);
  const found = await consul.kv.get("eco/a");
  assert.equal(found.Value, "value");
  assert.equal(found.Key, "eco/a");
  assert.equal(found.LockIndex, 0);
  assert.equal(found.CreateIndex, found.ModifyIndex);
});

test("kv.get raw and as a buffer", async () => {
  const bytes = Buffer.from([0, 255, 10, 13]);
  assert.equal(await consul.kv.set("eco/raw", bytes), true);
  assert.deepEqual(await consul.kv.get({ key: "eco/raw", raw: true }), bytes);
  const found = await consul.kv.get({ key: "eco/raw", buffer: true });
  assert.deepEqual(found.Value, bytes);
});

test("kv.get of a missing key is undefined", async () => {
  assert.equal(await consul.kv.get("eco/missing"), undefined);
});

test("kv.get recurse, kv.keys", async () => {
  for (const key of ["r/a", "r/b/c", "r/b/d"]) await consul.kv.set(`eco/${key}`, key);
  const all = await consul.kv.get({ key: "eco/r/", recurse: true });
  assert.deepEqual(
    all.map((each) => [each.Key, each.Value]),
    [
      ["eco/r/a", "r/a"],
      ["eco/r/b/c", "r/b/c"],
      ["eco/r/b/d", "r/b/d"],
    ],
  );
  assert.deepEqual(await consul.kv.keys("eco/r/"), ["eco/r/a", "eco/r/b/c", "eco/r/b/d"]);
  assert.deepEqual(await consul.kv.keys({ key: "eco/r/", separator: "/" }), ["eco/r/a", "eco/r/b/"]);
  await refused(404, consul.kv.keys("eco/none/"));
});

test("kv.set with flags and cas", async () => {
  assert.equal(await consul.kv.set({ key: "eco/cas", value: "1", flags: 42, cas: 0 }), true);
  assert.equal(await consul.kv.set({ key: "eco/cas", value: "2", cas: 0 }), undefined);
  const { ModifyIndex, Flags } = await consul.kv.get("eco/cas");
  assert.equal(Flags, 42);
  assert.equal(await consul.kv.set({ key: "eco/cas", value: "2", cas: ModifyIndex }), true);
});

test("kv.del, with cas and recurse", async () => {
  await consul.kv.set("eco/del/a", "1");
  await consul.kv.set("eco/del/b", "1");
  const { ModifyIndex } = await consul.kv.get("eco/del/a");
  assert.equal(await consul.kv.del({ key: "eco/del/a", cas: ModifyIndex - 1 }), undefined);
  assert.equal(await consul.kv.delete({ key: "eco/del/a", cas: ModifyIndex }), true);
  assert.equal(await consul.kv.del({ key: "eco/del/", recurse: true }), true);
  assert.equal(await consul.kv.get({ key: "eco/del/", recurse: true }), undefined);
});

test("kv.get blocks until the key changes", async () => {
  await consul.kv.set("eco/block", "old");
  const { ModifyIndex } = await consul.kv.get("eco/block");
  const blocked = consul.kv.get({ key: "eco/block", index: ModifyIndex, wait: "30s" });
  await consul.kv.set("eco/block", "new");
  assert.equal((await blocked).Value, "new");
});

test("session.create, info, node, list, renew, destroy", async () => {
  const { ID } = await consul.session.create({ name: "eco", ttl: "30s", behavior: "delete", lockdelay: "1s" });
  const info = await consul.session.info(ID);
  assert.equal(info.Name, "eco");
  assert.equal(info.TTL, "30s");
  assert.equal(info.Behavior, "delete");
  assert.equal(info.LockDelay, 1e9);
  assert.deepEqual(await consul.session.get(ID), info);
  assert.ok((await consul.session.list()).some((each) => each.ID === ID));
  assert.ok((await consul.session.node(info.Node)).some((each) => each.ID === ID));
  assert.equal((await consul.session.renew(ID))[0].ID, ID);
  await consul.session.destroy(ID);
  assert.equal(await consul.session.info(ID), undefined);
  await refused(404, consul.session.renew(ID));
});

test("session.create with checks of the node", async () => {
  const { Node } = (await consul.catalog.node.list())[0];
  const { ID } = await consul.session.create({ node: Node, checks: ["serfHealth"] });
  assert.deepEqual((await consul.session.info(ID)).NodeChecks, ["serfHealth"]);
  await consul.session.destroy(ID);
});

test("kv locks: acquire, release, a second holder", async () => {
  const [first, second] = [await consul.session.create(), await consul.session.create()];
  const set = (how) => consul.kv.set({ key: "eco/lock", value: "held", ...how });
  assert.equal(await set({ acquire: first.ID }), true);
  assert.equal(await set({ acquire: second.ID }), undefined);
  const held = await consul.kv.get("eco/lock");
  assert.equal(held.Session, first.ID);
  assert.equal(held.LockIndex, 1);
  assert.equal(await set({ release: second.ID }), undefined);
  assert.equal(await set({ release: first.ID }), true);
  assert.equal(await set({ acquire: second.ID }), true);
  await consul.session.destroy(second.ID);
  assert.equal((await consul.kv.get("eco/lock")).Session, undefined);
  await consul.session.destroy(first.ID);
});

test("transaction.create", async () => {
  const value = Buffer.from("in a transaction").toString("base64");
  const done = await consul.transaction.create([
    { KV: { Verb: "set", Key: "eco/txn", Value: value } },
    { KV: { Verb: "get", Key: "eco/txn" } },
  ]);
  assert.equal(done.Errors, null);
  assert.equal(done.Results.length, 2);
  assert.equal(done.Results[1].KV.Value, value);
  const error = await refused(409, consul.transaction.create([{ KV: { Verb: "get", Key: "eco/missing" } }]));
  assert.match(error.response.body.Errors[0].What, /doesn't exist/);
});

test("watch follows a key and ends", async () => {
  await consul.kv.set("eco/watch", "0");
  const watch = consul.watch({ method: consul.kv.get, options: { key: "eco/watch", wait: "30s" } });
  const seen = [];
  await new Promise((resolve, reject) => {
    watch.on("error", reject);
    watch.on("change", (data) => {
      seen.push(data.Value);
      if (seen.length === 3) resolve();
      else consul.kv.set("eco/watch", String(seen.length)).catch(reject);
    });
  }).finally(() => watch.end());
  assert.deepEqual(seen, ["0", "1", "2"]);
  assert.equal(watch.isRunning(), false);
  assert.ok(watch.updateTime() > 0);
});

test("watch ends when the request is refused", async () => {
  const watch = consul.watch({ method: consul.kv.get, options: { key: "eco/watch", wait: "bad" } });
  const error = await new Promise((resolve) => watch.on("error", resolve));
  assert.match(String(error), /Invalid wait time/);
  assert.equal(watch.isRunning(), false);
});
