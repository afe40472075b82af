// The client under test and what the test files share.
"use strict";

const Consul = require("consul");

const consul = new Consul({ host: "127.0.0.1", port: Number(process.env.ECOSYSTEM_PORT) });

// Fails unless the call is refused with this status.
async function refused(status, call) {
  const error = await call.then(
    () => null,
    (e) => e,
  );
  if (error?.response?.statusCode !== status && error?.statusCode !== status) {
    throw new Error(`expected status ${status}, not ${error ? error.message : "success"}`);
  }
  return error;
}

// Asks until the answer pleases; fails with the last answer after ten seconds.
async function eventually(ask, pleases) {
  const end = Date.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (pleases(answer)) return answer;
    if (Date.now() > end) throw new Error(`never came true: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = { consul, refused, eventually };
