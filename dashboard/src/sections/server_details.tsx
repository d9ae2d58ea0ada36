import type { ComponentChildren } from "preact";
import type { Server } from "../admin/status.js";
import { bytes, exact, milliseconds } from "../format/numbers.js";
import { clock } from "../format/times.js";
import { words } from "../format/words.js";
import { total } from "../measure/traffic.js";
import { EndList } from "./end_list.js";

/** What does not fit into the row: since the start of the process. */
export function ServerDetails({ server, now }: { server: Server; now: number }) {
  return (
    <div class="detail-grid">
      <dl>
        <Fact name="Addresses">{server.endpoints.length > 0 ? server.endpoints.join(", ") : "none: the name does not resolve"}</Fact>
        <Fact name="Attempts">{exact(total(server.requests))}, <EndList ends={server.ends} /></Fact>
        <Fact name="First byte"><Quantiles {...server.latency_ms} /></Fact>
        <Fact name="Connect"><Quantiles {...server.connect_ms} /></Fact>
        <Fact name="Connections">
          {exact(server.connects)} opened, {exact(server.reused)} reuses, {exact(server.idle_connections)} idle now
          {server.http2_connections > 0 && <>, <Http2Connections count={server.http2_connections} /></>}
        </Fact>
        <Fact name="Sent again">{exact(server.retries)} retries, {exact(server.replayed)} replays on a fresh connection</Fact>
        <Fact name="Bytes">{bytes(server.bytes_out)} sent, {bytes(server.bytes_in)} received</Fact>
        <Fact name="Operator">{server.admin}, configured weight {server.configured_weight}; health {server.health}</Fact>
      </dl>
      <div>
        <h3>Changes of health</h3>
        {server.history.length === 0 && <p class="aside">None since the process started.</p>}
        <ol class="changes">
          {server.history.toReversed().map((change) => (
            <li key={change.at + change.to}>
              <time dateTime={change.at} title={change.at}>{clock(change.at, now)}</time>
              <span class={`state ${change.to}`}>{change.to}</span>
              <span>{words(change.cause)}{change.detail && <span class="aside"> {change.detail}</span>}</span>
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

function Http2Connections({ count }: { count: number }) {
  return <span title="Whether they have requests or not; those called idle are of HTTP/1.1">{exact(count)} of HTTP/2 open now</span>;
}

function Quantiles({ p50, p90, p99 }: { p50: number | null; p90: number | null; p99: number | null }) {
  return <>p50 {milliseconds(p50)}, p90 {milliseconds(p90)}, p99 {milliseconds(p99)} <span class="aside">since the start</span></>;
}
