import assert from "node:assert/strict";
import { test } from "node:test";
import { quantile } from "../src/measure/quantile.js";
import { Recorder, SPAN_S } from "../src/measure/recording.js";
import { CELL_MS, CELLS, StripLog } from "../src/measure/strip.js";
import { failures, heldShare, latency, ratesByClass, routeTraffic } from "../src/measure/traffic.js";
import { NO_REQUESTS, route, server, status } from "./status.js";

test("quantiles are interpolated inside their bucket, and what is beyond the last bound counts as it", () => {
  const bounds = [10, 100];
  assert.equal(quantile([10, 10, 0], bounds, 0.25), 5);
  assert.equal(quantile([10, 10, 0], bounds, 0.75), 55);
  assert.equal(quantile([0, 0, 3], bounds, 0.99), 100);
  assert.equal(quantile([0, 0, 0], bounds, 0.5), null);
});

test("rates are of the time between, by the clock of the process", () => {
  const before = { at: 0, status: status({ routes: [route({ requests: { ...NO_REQUESTS, "2xx": 50 } })] }) };
  const listener = { name: "web", addresses: [], connections_open: 0, accepted: 0, refused: 0, requests: 9 };
  const after = { at: 99, status: status({
    uptime_seconds: 110,
    routes: [route({ requests: { ...NO_REQUESTS, "2xx": 130, "5xx": 20 }, latency_counts: [80, 20, 0] })],
    listeners: [{ ...listener, ends: { bad_request: 10, connection_limit: 20, client_closed: 30 } }],
  }) };
  const rates = ratesByClass({ before, after });
  assert.deepEqual(rates, { ...NO_REQUESTS, "2xx": 8, "4xx": 1, "5xx": 4, none: 3 });
  const traffic = routeTraffic({ before, after }, after.status.routes[0]!);
  assert.equal(traffic.rate, 10);
  assert.equal(traffic.errors, 0.2);
  assert.equal(latency({ before, after }).p50, 6.25);
});

test("the share of requests that waited is of the time between", () => {
  const at = (total: number, held: number) => ({ at: 0, status: status({ requests: { active: 0, total }, requests_held: held }) });
  assert.equal(heldShare({ before: at(100, 10), after: at(300, 60) }), 0.25);
  assert.equal(heldShare({ before: at(100, 10), after: at(300, 10) }), 0);
  assert.equal(heldShare({ before: at(100, 10), after: at(110, 21) }), 1, "a client that left is held, but no request");
  assert.equal(heldShare({ before: at(100, 10), after: at(100, 10) }), null);
});

test("a client that goes away is no failure of the server", () => {
  const ends = { completed: 90, client_closed: 5, connect_refused: 3 };
  assert.equal(failures({ requests: { ...NO_REQUESTS, "2xx": 89, "5xx": 1 }, ends }), 4);
});

test("a process that started anew is not compared with the one before", () => {
  const recorder = new Recorder();
  recorder.add(status({ uptime_seconds: 500, routes: [route({ requests: { ...NO_REQUESTS, "2xx": 900 } })] }), 1000);
  const recording = recorder.add(status({ uptime_seconds: 1 }), 2000);
  assert.equal(recording.period, null);
  assert.equal(recording.points.at(-1)!.rates, null);
});

test("the recording forgets what the charts do not show", () => {
  const recorder = new Recorder();
  const count = SPAN_S * 2;
  for (let second = 0; second < count; second++) recorder.add(status({ uptime_seconds: second + 1 }), second * 1000);
  assert.ok(recorder.points.length <= SPAN_S + 3, String(recorder.points.length));
  assert.ok(recorder.points[0]!.at <= count - SPAN_S);
});

test("a cell shows the worst that was seen in it, and begins with what the process remembers", () => {
  const log = new StripLog();
  const now = 1_000 * CELL_MS;
  const change = { at: new Date(now - 3 * CELL_MS).toISOString(), from: "up", to: "down", cause: "checks_failed", detail: null };
  log.record("key", server("one", { history: [change] }), now, null);
  log.record("key", server("one", { state: "ejected" }), now + 1, { rate: 4, errors: 1 });
  log.record("key", server("one"), now + 2, { rate: 6, errors: 0 });
  const cells = log.cells("key", now);
  assert.equal(cells.length, CELLS);
  assert.deepEqual(cells.slice(-5).map((cell) => cell?.state), [undefined, "down", "down", "down", "ejected"]);
  assert.equal(cells.at(-1)!.rate, 5);
});
