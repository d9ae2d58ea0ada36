import type { Server } from "../admin/status.js";
import { exact, milliseconds, percent, quantity } from "../format/numbers.js";
import { ago } from "../format/times.js";
import { stripKey, type StripLog } from "../measure/strip.js";
import type { Traffic } from "../measure/traffic.js";
import { ServerDetails } from "./server_details.js";
import { Strip } from "./strip.js";

export const COLUMNS = [
  { name: "State", kind: "c-state" },
  { name: "Server", kind: "c-name" },
  { name: "Weight", kind: "number c-weight", title: "Share of the traffic that it should get" },
  { name: "In flight", kind: "number c-flight", title: "Requests that wait for it or are being answered" },
  { name: "Req/s", kind: "number c-rate" },
  { name: "Errors", kind: "number c-errors", title: "5xx, and attempts that got no whole answer" },
  { name: "p99", kind: "number c-p99", title: "From the request sent to the response head received" },
  { name: "Last check", kind: "c-check" },
  { name: "Last 5 min", kind: "c-strip", title: "Height: requests; colour: state; red: errors" },
  { name: "", kind: "c-action" },
];

interface Props {
  upstream: string;
  server: Server;
  traffic: Traffic | null;
  strips: StripLog;
  now: number;
  open: boolean;
  onOpen: () => void;
  onChange: () => void;
}

export function ServerRow({ upstream, server, traffic, strips, now, open, onOpen, onChange }: Props) {
  const cell = (index: number): { class?: string; "data-label"?: string } =>
    ({ class: COLUMNS[index]?.kind, "data-label": COLUMNS[index]?.name });
  const overridden = server.weight !== server.configured_weight;
  return (
    <>
      <tr class={open ? "opened" : ""}>
        <td {...cell(0)}><span class={`state ${server.state}`}>{server.state}</span></td>
        <th scope="row" class="c-name" title={`${server.name} at ${server.address}`}>
          <button type="button" class="disclose" aria-expanded={open} onClick={onOpen}>{server.name}</button>
          {server.backup && <span class="chip">backup</span>}
          {server.address !== server.name && <span class="aside">{server.address}</span>}
        </th>
        <td {...cell(2)} title={overridden ? `Configured: ${server.configured_weight}` : undefined}>
          {server.weight}{overridden && <span class="attention" aria-label="changed"> *</span>}
        </td>
        <td {...cell(3)}>{exact(server.in_flight)}</td>
        <td {...cell(4)}>{quantity(traffic?.rate)}</td>
        <td {...cell(5)}><span class={traffic?.errors ? "wrong" : ""}>{percent(traffic?.errors ?? null)}</span></td>
        <td {...cell(6)}>{milliseconds(traffic?.p99 ?? null)}</td>
        <td {...cell(7)}><LastCheck server={server} now={now} /></td>
        <td {...cell(8)}><Strip cells={strips.cells(stripKey(upstream, server.name), now)} /></td>
        <td {...cell(9)}><button type="button" onClick={onChange} aria-label={`Change ${server.name}`}>Change…</button></td>
      </tr>
      {open && <tr class="details"><td colSpan={COLUMNS.length}><ServerDetails server={server} now={now} /></td></tr>}
    </>
  );
}

function LastCheck({ server, now }: { server: Server; now: number }) {
  const check = server.last_check;
  if (!check) return <span class="aside">not checked</span>;
  return (
    <span class="check-result" title={`${check.detail}, at ${check.at}`}>
      <span class={check.ok ? "right" : "wrong"}>{check.ok ? "✓" : "✕"}</span> {check.detail}{" "}
      <span class="aside">{check.ok && `${milliseconds(check.ms)}, `}{ago(check.at, now)}</span>
    </span>
  );
}
