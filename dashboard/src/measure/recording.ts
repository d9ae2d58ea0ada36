// The last five minutes, kept in the page.

import type { Status, StatusClass } from "../admin/status.js";
import { latency, ratesByClass, serverTraffic, type Period, type Sample } from "./traffic.js";
import { stripKey, StripLog } from "./strip.js";

/** How far back the charts go. */
export const SPAN_S = 300;
/** Tables, and quantiles everywhere, look at this much: one second is too little to be steady. */
export const WINDOW_S = 10;

export interface Point {
  /** Seconds since 1970. */
  at: number;
  rates: Record<StatusClass, number> | null;
  p50: number | null;
  p99: number | null;
  open: number | null;
  active: number | null;
}

export interface Recording {
  points: Point[];
  /** What tables show; null until there are two samples. */
  period: Period | null;
  strips: StripLog;
}

/** Collects samples; forgets what is older than the charts show. */
export class Recorder {
  readonly points: Point[] = [];
  readonly strips = new StripLog();
  private samples: Sample[] = [];

  add(status: Status, at: number): Recording {
    const sample = { at, status };
    const last = this.samples.at(-1);
    // Another process answers now, with counters of its own.
    if (last && status.uptime_seconds < last.status.uptime_seconds) this.samples = [];
    const previous = this.samples.at(-1);
    this.samples.push(sample);
    while (this.samples.length > 2 && sample.at - this.samples[1]!.at >= WINDOW_S * 1000) this.samples.shift();
    const period = previous ? { before: this.samples[0]!, after: sample } : null;
    this.push(point(sample, previous && { before: previous, after: sample }, period));
    this.recordStrips(sample, previous && { before: previous, after: sample });
    return { points: this.points, period, strips: this.strips };
  }

  /** Leaves a gap in the charts. */
  miss(at: number): void {
    this.push({ at: at / 1000, rates: null, p50: null, p99: null, open: null, active: null });
  }

  private push(point: Point): void {
    this.points.push(point);
    while (this.points.length > 0 && this.points[0]!.at < point.at - SPAN_S - 2) this.points.shift();
  }

  private recordStrips(sample: Sample, second: Period | undefined): void {
    for (const upstream of sample.status.upstreams) {
      for (const server of upstream.servers) {
        const now = second && serverTraffic(second, upstream.name, server);
        const traffic = now ? { rate: now.rate, errors: now.rate * (now.errors ?? 0) } : null;
        this.strips.record(stripKey(upstream.name, server.name), server, sample.at, traffic);
      }
    }
    this.strips.forget(sample.at);
  }
}

function point(sample: Sample, second: Period | undefined, period: Period | null): Point {
  const { connections, requests } = sample.status;
  const quantiles = period ? latency(period) : { p50: null, p99: null };
  return {
    at: sample.at / 1000,
    rates: second ? ratesByClass(second) : null,
    ...quantiles,
    open: connections.open,
    active: requests.active,
  };
}

