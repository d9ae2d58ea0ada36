import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, exact, milliseconds, percent, quantity } from "../src/format/numbers.js";
import { ago, duration } from "../src/format/times.js";
import { findAlerts } from "../src/shell/alerts.js";
import type { Status } from "../src/admin/status.js";
import { server, status, upstream } from "./status.js";

const thin = (text: string): string => text.replaceAll("\u202f", " ");

test("numbers keep the digits that count", () => {
  const shown = [null, 0, 0.01, 0.4, 4, 9.96, 42.4, 999.6, 1234, 56_789, 3_400_000].map((value) => thin(quantity(value)));
  assert.deepEqual(shown, ["–", "0", "<0.1", "0.4", "4", "10", "42", "1.0 k", "1.2 k", "57 k", "3.4 M"]);
  assert.deepEqual([null, 0.312, 4.2, 42, 999.6, 12_000].map((value) => thin(milliseconds(value))),
    ["–", "0.31 ms", "4.2 ms", "42 ms", "1.0 s", "12 s"]);
  assert.deepEqual([null, 0, 0.0004, 0.0123, 1].map((value) => thin(percent(value))), ["–", "0 %", "<0.1 %", "1.2 %", "100 %"]);
  assert.equal(thin(exact(1_234_567)), "1 234 567");
  assert.deepEqual([999, 2048, 5_000_000].map((value) => thin(bytes(value))), ["999 B", "2.0 KiB", "4.8 MiB"]);
});

test("durations have their two largest units", () => {
  assert.deepEqual([5, 65, 3_725, 180_000].map(duration), ["5 s", "1 m 05 s", "1 h 02 m", "2 d 2 h"]);
  assert.equal(ago("2026-01-01T00:00:00.000Z", Date.parse("2026-01-01T00:01:30.000Z")), "1 m ago");
});

function titles(changes: Partial<Status>, lost: { since: number; reason: string } | null = null): string[] {
  return findAlerts({ status: status(changes), recording: null, lost, now: 0 }).map((alert) => `${alert.level} ${alert.title}`);
}

test("nothing is said when all is well", () => {
  assert.deepEqual(titles({}), []);
});

test("the worst comes first", () => {
  const servers = [server("one", { state: "down" }), server("two", { state: "draining" })];
  const changes = { draining: true, upstreams: [upstream(servers, { panic: true })] };
  assert.deepEqual(titles(changes), ["bad app: panic", "warn Draining", "note app"]);
  assert.deepEqual(titles(changes, { since: 0, reason: "no connection" }), ["bad Connection lost"]);
});

test("an upstream says once what is wrong, with the reasons of its servers", () => {
  const check = { at: "2026-01-01T00:00:00.000Z", ok: false, detail: "connection refused", ms: 1 };
  const servers = [server("one", { state: "down", last_check: check }), server("two", { backup: true })];
  const alerts = findAlerts({ status: status({ upstreams: [upstream(servers, { backup_in_use: true })] }), recording: null, lost: null, now: 0 });
  assert.equal(alerts.length, 1);
  assert.equal(alerts[0]!.title, "app: backup in use");
  assert.match(alerts[0]!.text, /Down: one \(connection refused\)\.$/);
});

test("a refused reload is shown until one succeeds", () => {
  const event = (kind: string) => ({ at: "2026-01-01T00:00:00.000Z", kind, message: "line 3" });
  assert.deepEqual(titles({ events: [event("started"), event("reload_failed"), event("health")] }), ["warn Reload refused"]);
  assert.deepEqual(titles({ events: [event("reload_failed"), event("reloaded")] }), []);
});
