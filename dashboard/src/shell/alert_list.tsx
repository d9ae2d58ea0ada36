import type { Status } from "../admin/status.js";
import { plural } from "../format/words.js";
import type { Alert } from "./alerts.js";

/** One line always stands here, so that the first alert moves nothing. */
export function AlertList({ alerts, status }: { alerts: Alert[]; status: Status | null }) {
  return (
    <div class="summary">
      {/* Titles alone: a number that changes every second must not be read out every second. */}
      <p class="unseen" role="status">{alerts.map((alert) => alert.title).join(", ")}</p>
      <ul class="alerts" aria-label="Summary">
        {alerts.length === 0 && <li class="alert good">{status ? calm(status) : "Asking the admin listener…"}</li>}
        {alerts.map((alert) => (
          <li key={alert.title + alert.level} class={`alert ${alert.level}`}>
            <strong>{alert.title}</strong> <span>{alert.text}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function calm(status: Status): string {
  const count = status.upstreams.reduce((sum, upstream) => sum + upstream.servers.length, 0);
  const servers = count === 1 ? "The server is up" : `All ${count} servers are up`;
  return `${servers}, in ${plural(status.upstreams.length, "upstream")}. Fewer than 1\u202f% of requests fail.`;
}
