import { useState } from "preact/hooks";
import type { Server, Upstream } from "../admin/status.js";
import { quantity } from "../format/numbers.js";
import { words } from "../format/words.js";
import type { Recording } from "../measure/recording.js";
import { serverTraffic, type Traffic } from "../measure/traffic.js";
import { matches, type FilterState } from "./filter.js";
import { COLUMNS, ServerRow } from "./server_row.js";

interface Props {
  upstream: Upstream;
  recording: Recording;
  filter: FilterState;
  now: number;
  /** The operator wants to change the server of this name. */
  onChange: (server: string) => void;
}

export function UpstreamSection({ upstream, recording, filter, now, onChange }: Props) {
  const [open, setOpen] = useState<string | null>(null);
  const rows = upstream.servers.map((server) => ({
    server,
    traffic: recording.period && serverTraffic(recording.period, upstream.name, server),
  }));
  const shown = rows.filter(({ server, traffic }) => passes(filter, upstream, server, traffic));
  if (shown.length === 0) return null;
  const rate = recording.period && rows.reduce((sum, { traffic }) => sum + (traffic?.rate ?? 0), 0);
  return (
    <section aria-label={`Upstream ${upstream.name}`}>
      <h2>
        <span class="kind">Upstream</span> {upstream.name} <UpstreamFacts upstream={upstream} rate={rate} />
      </h2>
      <table class="servers">
        <thead><tr>{COLUMNS.map((column) => <th key={column.name} scope="col" class={column.kind} title={column.title}>{column.name}</th>)}</tr></thead>
        <tbody>
          {shown.map(({ server, traffic }) => (
            <ServerRow key={server.name} upstream={upstream.name} server={server} traffic={traffic} now={now}
              strips={recording.strips} open={open === server.name}
              onOpen={() => setOpen(open === server.name ? null : server.name)} onChange={() => onChange(server.name)} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function UpstreamFacts({ upstream, rate }: { upstream: Upstream; rate: number | null }) {
  const up = upstream.servers.filter((server) => server.state === "up").length;
  const count = upstream.servers.length;
  return (
    <span class="facts">
      <span class={up === count ? "" : "attention"}>{up} of {count} up</span>
      <span>{quantity(rate)}/s</span>
      <span>{words(upstream.balance)}</span>
      {!upstream.checked && <span>no active checks</span>}
      {upstream.panic && <strong class="chip bad">panic</strong>}
      {upstream.backup_in_use && <strong class="chip warn">backup in use</strong>}
    </span>
  );
}

function passes(filter: FilterState, upstream: Upstream, server: Server, traffic: Traffic | null): boolean {
  const trouble = server.state !== "up" || (traffic?.errors ?? 0) > 0;
  return (!filter.trouble || trouble) && matches(filter, upstream.name, server.name, server.address, server.state);
}
