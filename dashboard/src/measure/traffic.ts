// What happened between two readings of the counters.

import type { ByClass, Ends, Listener, Route, Server, Status, StatusClass } from "../admin/status.js";
import { quantile, since, together } from "./quantile.js";

export const CLASSES: StatusClass[] = ["2xx", "3xx", "1xx", "4xx", "none", "5xx"];

/** Ends that are nobody's fault, and those that the client chose: not errors of a server. */
const NOT_THE_SERVER = new Set([
  "completed", "tunnel_closed", "tunnel_timeout", "client_closed", "client_too_slow", "request_truncated",
  "bad_request_body", "body_timeout", "body_too_large",
]);

/** A reading of `GET /status`, and when it was taken (milliseconds, monotonic enough: the clock of the browser). */
export interface Sample {
  at: number;
  status: Status;
}

export interface Traffic {
  /** Per second. */
  rate: number;
  /** Share, 0 to 1; null without requests. */
  errors: number | null;
  p50: number | null;
  p99: number | null;
  /** Ends other than the usual, by reason, in the period. */
  ends: Ends;
}

interface Counted {
  requests: ByClass;
  ends: Ends;
  latency_counts: number[];
}

export type Period = { before: Sample; after: Sample };

/** Seconds of the process, which are not those of a browser that slept. */
export function seconds({ before, after }: Period): number {
  return after.status.uptime_seconds - before.status.uptime_seconds;
}

/** What ends before a route is known, and is not answered with 4xx. */
const EARLY_5XX = new Set([
  "connection_limit", "request_limit", "unsupported_transfer_coding", "method_not_supported",
  "version_not_supported", "local_resources", "shutdown", "internal",
]);
const UNANSWERED = new Set(["client_closed", "client_too_slow"]);

/** Requests per second of the whole process by class of status, with those that never had a route. */
export function ratesByClass(period: Period): Record<StatusClass, number> {
  const rates = { "1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, none: 0 };
  const length = seconds(period);
  for (const route of period.after.status.routes) {
    const earlier = routeOf(period.before.status, route.name);
    for (const name of CLASSES) rates[name] += difference(route.requests[name], earlier?.requests[name]) / length;
  }
  for (const listener of period.after.status.listeners) {
    const earlier = byName(period.before.status.listeners).get(listener.name);
    for (const [reason, count] of Object.entries(endsSince(listener.ends, earlier?.ends))) {
      rates[EARLY_5XX.has(reason) ? "5xx" : UNANSWERED.has(reason) ? "none" : "4xx"] += count / length;
    }
  }
  return rates;
}

/** Requests per second that came in at a listener, malformed ones included. */
export function listenerRate(period: Period, listener: Listener): number {
  const earlier = byName(period.before.status.listeners).get(listener.name);
  return difference(listener.requests, earlier?.requests) / seconds(period);
}

/** Share of the requests, 0 to 1, that had to wait for a busy worker; null without requests. */
export function heldShare({ before, after }: Period): number | null {
  const requests = difference(after.status.requests.total, before.status.requests.total);
  const held = difference(after.status.requests_held, before.status.requests_held);
  return requests > 0 ? Math.min(1, held / requests) : null;
}

export function latency(period: Period): { p50: number | null; p99: number | null } {
  const bounds = period.after.status.latency_bounds_ms;
  const counts = together(period.after.status.routes.map((route) =>
    since(route.latency_counts, routeOf(period.before.status, route.name)?.latency_counts)));
  return { p50: quantile(counts, bounds, 0.5), p99: quantile(counts, bounds, 0.99) };
}

export function routeTraffic(period: Period, route: Route): Traffic {
  const earlier = routeOf(period.before.status, route.name);
  return traffic(period, route, earlier, (counted) => counted.requests["5xx"]);
}

export function serverTraffic(period: Period, upstream: string, server: Server): Traffic {
  return traffic(period, server, serverOf(period.before.status, upstream, server.name), failures);
}

/** Answers 5xx, and attempts that ended without a whole answer, unless the client was the cause. */
export function failures(counted: { requests: ByClass; ends: Ends }): number {
  const broken = Object.entries(counted.ends).filter(([reason]) => !NOT_THE_SERVER.has(reason));
  return counted.requests["5xx"] + broken.reduce((sum, [, count]) => sum + count, 0);
}

export function total(requests: ByClass): number {
  return Object.values(requests).reduce((sum, count) => sum + count, 0);
}

function traffic(
  period: Period,
  now: Counted,
  earlier: Counted | undefined,
  errorsOf: (counted: Counted) => number,
): Traffic {
  const requests = difference(total(now.requests), earlier && total(earlier.requests));
  const errors = difference(errorsOf(now), earlier && errorsOf(earlier));
  const counts = since(now.latency_counts, earlier?.latency_counts);
  const bounds = period.after.status.latency_bounds_ms;
  return {
    rate: requests / seconds(period),
    errors: requests > 0 ? Math.min(1, errors / requests) : null,
    p50: quantile(counts, bounds, 0.5),
    p99: quantile(counts, bounds, 0.99),
    ends: endsSince(now.ends, earlier?.ends),
  };
}

function endsSince(after: Ends, before: Ends | undefined): Ends {
  const changes = Object.entries(after).map(([reason, count]) => [reason, difference(count, before?.[reason])] as const);
  return Object.fromEntries(changes.filter(([, count]) => count > 0));
}

/** Never below zero: an object that was removed and added again counts from zero. */
function difference(after: number, before: number | undefined): number {
  return Math.max(0, after - (before ?? 0));
}

function routeOf(status: Status, name: string): Route | undefined {
  return byName(status.routes).get(name);
}

function serverOf(status: Status, upstream: string, name: string): Server | undefined {
  const found = byName(status.upstreams).get(upstream);
  return found && byName(found.servers).get(name);
}

const indexes = new WeakMap<object, Map<string, unknown>>();

/** Looked up for every row each second: with a thousand rows a search would be felt. */
function byName<T extends { name: string }>(list: T[]): Map<string, T> {
  let index = indexes.get(list) as Map<string, T> | undefined;
  if (!index) {
    index = new Map(list.map((entry) => [entry.name, entry]));
    indexes.set(list, index);
  }
  return index;
}
