// What an operator should know first.

import type { Server, ServerState, Status, Upstream } from "../admin/status.js";
import { exact, percent } from "../format/numbers.js";
import { clock, duration } from "../format/times.js";
import { capital, plural } from "../format/words.js";
import { ratesByClass, type Period } from "../measure/traffic.js";

/** `note` is what somebody decided; `warn` will hurt; `bad` hurts. */
export type Level = "bad" | "warn" | "note";

export interface Alert {
  level: Level;
  title: string;
  text: string;
}

interface Known {
  status: Status | null;
  recording: { period: Period | null } | null;
  lost: { since: number; reason: string } | null;
  now: number;
}

const MANY_ERRORS = 0.01;
const NEARLY_FULL = 0.9;
const NAMED = 3;

/** The worst first. */
export function findAlerts({ status, recording, lost, now }: Known): Alert[] {
  // What was known before is shown dimmed, and alarms nobody any more.
  if (lost) {
    const text = `${lost.reason}. Nothing new since ${clock(lost.since, now)}, for ${duration((now - lost.since) / 1000)}; trying every second.`;
    return [{ level: "bad", title: "Connection lost", text: `The admin listener does not answer: ${text}` }];
  }
  const alerts: Alert[] = [];
  if (status) {
    alerts.push(...ofProcess(status));
    alerts.push(...status.upstreams.flatMap(ofUpstream));
    if (recording?.period) alerts.push(...ofTraffic(recording.period));
  }
  const order: Level[] = ["bad", "warn", "note"];
  return alerts.sort((one, other) => order.indexOf(one.level) - order.indexOf(other.level));
}

function ofProcess(status: Status): Alert[] {
  const alerts: Alert[] = [];
  if (status.draining) {
    const left = `${plural(status.connections.open, "connection")} left`;
    alerts.push({ level: "warn", title: "Draining", text: `This process takes no new connections and ends when it is done; ${left}.` });
  } else if (!status.ready) {
    alerts.push({ level: "note", title: "Starting", text: "The first checks have not ended yet." });
  }
  const reload = status.events.findLast((event) => ["started", "reloaded", "reload_failed"].includes(event.kind));
  if (reload?.kind === "reload_failed") {
    alerts.push({ level: "warn", title: "Reload refused", text: `${reload.message}. Generation ${status.generation} stays in service.` });
  }
  const { open, max } = status.connections;
  if (max > 0 && open >= max * NEARLY_FULL) {
    alerts.push({ level: "warn", title: "Nearly full", text: `${exact(open)} of at most ${exact(max)} connections are open; beyond that, clients are refused.` });
  }
  return alerts;
}

/** At most one line for what is wrong, and one for what an operator decided. */
function ofUpstream(upstream: Upstream): Alert[] {
  const alerts: Alert[] = [];
  const failing = inStates(upstream, ["down", "ejected", "unresolved"]);
  const decided = inStates(upstream, ["draining", "disabled"]);
  const trouble = troubleOf(upstream);
  if (trouble) {
    alerts.push({ ...trouble, title: `${upstream.name}: ${trouble.title}`, text: [trouble.text, ...failing].join(" ") });
  } else if (failing.length > 0) {
    alerts.push({ level: "warn", title: upstream.name, text: failing.join(" ") });
  }
  if (decided.length > 0) alerts.push({ level: "note", title: upstream.name, text: `${decided.join(" ")} An operator decided so.` });
  return alerts;
}

function troubleOf(upstream: Upstream): Alert | null {
  const up = upstream.servers.filter((server) => server.state === "up").length;
  const few = up === 0 ? "No server is up" : `Only ${up} of ${plural(upstream.servers.length, "server")} ${up === 1 ? "is" : "are"} up`;
  if (upstream.panic) return { level: "bad", title: "panic", text: `${few}, so traffic also goes to servers that are known to be bad.` };
  if (up === 0) return { level: "bad", title: "no server", text: `${few}: requests are answered with 503.` };
  if (upstream.backup_in_use) return { level: "warn", title: "backup in use", text: "No regular server is usable; the backup servers take the traffic." };
  return null;
}

/** A sentence for each state that servers are in: `Down: web-1 (connection refused), web-2.` */
function inStates(upstream: Upstream, states: ServerState[]): string[] {
  return states.flatMap((state) => {
    const servers = upstream.servers.filter((server) => server.state === state);
    if (servers.length === 0) return [];
    const more = servers.length > NAMED ? ` and ${servers.length - NAMED} more` : "";
    return [`${capital(state)}: ${servers.slice(0, NAMED).map(nameAndReason).join(", ")}${more}.`];
  });
}

function nameAndReason(server: Server): string {
  const check = server.last_check;
  return server.state === "down" && check && !check.ok ? `${server.name} (${check.detail})` : server.name;
}

function ofTraffic(period: Period): Alert[] {
  const rates = ratesByClass(period);
  const total = Object.values(rates).reduce((sum, rate) => sum + rate, 0);
  const share = total > 0 ? rates["5xx"] / total : 0;
  if (share < MANY_ERRORS) return [];
  return [{ level: "bad", title: "Errors", text: `${percent(share)} of the requests of the last 10 s were answered with 5xx.` }];
}
