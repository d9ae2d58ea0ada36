// The shape of GET /status, as docs/admin-api.md describes it. Counters begin at the start of the process.

export type StatusClass = "1xx" | "2xx" | "3xx" | "4xx" | "5xx" | "none";
export type ByClass = Record<StatusClass, number>;
export type Ends = Record<string, number>;

export type ServerState = "up" | "down" | "unchecked" | "ejected" | "draining" | "disabled" | "unresolved";
export type AdminState = "ready" | "drain" | "disabled";

export interface Quantiles {
  p50: number | null;
  p90: number | null;
  p99: number | null;
}

export interface Status {
  version: string;
  uptime_seconds: number;
  generation: number;
  loaded_at: string;
  workers: number;
  requests_held: number;
  ready: boolean;
  draining: boolean;
  connections: { open: number; max: number };
  requests: { active: number; total: number };
  latency_bounds_ms: number[];
  listeners: Listener[];
  routes: Route[];
  upstreams: Upstream[];
  events: Event[];
}

export interface Listener {
  name: string;
  addresses: string[];
  connections_open: number;
  accepted: number;
  refused: number;
  requests: number;
  ends: Ends;
}

export interface Route {
  name: string;
  host: string;
  path: string;
  upstream: string;
  requests: ByClass;
  ends: Ends;
  latency_ms: Quantiles;
  latency_counts: number[];
  bytes_in: number;
  bytes_out: number;
}

export interface Upstream {
  name: string;
  balance: string;
  checked: boolean;
  panic: boolean;
  backup_in_use: boolean;
  servers: Server[];
}

export interface Server {
  name: string;
  address: string;
  endpoints: string[];
  weight: number;
  configured_weight: number;
  backup: boolean;
  state: ServerState;
  admin: AdminState;
  health: string;
  in_flight: number;
  requests: ByClass;
  ends: Ends;
  latency_ms: Quantiles;
  latency_counts: number[];
  connect_ms: Quantiles;
  connects: number;
  reused: number;
  replayed: number;
  retries: number;
  idle_connections: number;
  http2_connections: number;
  bytes_in: number;
  bytes_out: number;
  last_check: Check | null;
  history: Change[];
}

export interface Check {
  at: string;
  ok: boolean;
  detail: string;
  ms: number;
}

export interface Change {
  at: string;
  from: string;
  to: string;
  cause: string;
  detail: string | null;
}

export interface Event {
  at: string;
  kind: string;
  message: string;
}
