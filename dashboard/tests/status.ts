// A status with one route to one upstream of two servers, which tests change where it matters.

import type { ByClass, Route, Server, Status, Upstream } from "../src/admin/status.js";

export const NO_REQUESTS: ByClass = { "1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, none: 0 };
const NO_LATENCY = { p50: null, p90: null, p99: null };

export function server(name: string, changes: Partial<Server> = {}): Server {
  return {
    name, address: name, endpoints: ["127.0.0.1:1"], weight: 1, configured_weight: 1, backup: false, state: "up",
    admin: "ready", health: "up", in_flight: 0, requests: NO_REQUESTS, ends: {}, latency_ms: NO_LATENCY,
    latency_counts: [0, 0, 0], connect_ms: NO_LATENCY, connects: 0, reused: 0, replayed: 0, retries: 0,
    idle_connections: 0, http2_connections: 0, bytes_in: 0, bytes_out: 0, last_check: null, history: [], ...changes,
  };
}

export function upstream(servers: Server[], changes: Partial<Upstream> = {}): Upstream {
  return { name: "app", balance: "random", checked: true, panic: false, backup_in_use: false, servers, ...changes };
}

export function route(changes: Partial<Route> = {}): Route {
  return {
    name: "all", host: "*", path: "/", upstream: "app", requests: NO_REQUESTS, ends: {}, latency_ms: NO_LATENCY,
    latency_counts: [0, 0, 0], bytes_in: 0, bytes_out: 0, ...changes,
  };
}

export function status(changes: Partial<Status> = {}): Status {
  return {
    version: "1.0.0", uptime_seconds: 100, generation: 1, loaded_at: "2026-01-01T00:00:00.000Z", workers: 1, requests_held: 0,
    ready: true, draining: false, connections: { open: 1, max: 100 }, requests: { active: 0, total: 0 }, latency_bounds_ms: [10, 100],
    listeners: [], routes: [route()], upstreams: [upstream([server("one"), server("two")])], events: [], ...changes,
  };
}
