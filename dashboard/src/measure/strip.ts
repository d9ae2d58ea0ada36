// The tiny history of a server: what it did and how it was, in cells of a few seconds.

import type { Server, ServerState } from "../admin/status.js";

export const CELL_MS = 5000;
export const CELLS = 60;

export interface Cell {
  state: ServerState;
  /** Per second, the mean of the cell. */
  rate: number;
  errors: number;
  samples: number;
}

/** From the worst; a cell shows the worst that was seen in it. */
const SEVERITY: ServerState[] = ["down", "unresolved", "ejected", "disabled", "draining", "unchecked", "up"];

export function stripKey(upstream: string, server: string): string {
  return JSON.stringify([upstream, server]);
}

/** Cells of all servers, by the number of the cell since 1970. */
export class StripLog {
  private readonly logs = new Map<string, { cells: Map<number, Cell>; seen: number }>();

  /** Without a rate, when only the state is known yet. */
  record(key: string, server: Server, at: number, traffic: { rate: number; errors: number } | null): void {
    let log = this.logs.get(key);
    if (!log) {
      log = { cells: remembered(server, at), seen: at };
      this.logs.set(key, log);
    }
    log.seen = at;
    const number = cellNumber(at);
    log.cells.set(number, merge(log.cells.get(number), server.state, traffic));
    log.cells.delete(number - CELLS - 1);
  }

  /** The latest cells, the oldest first; null where nothing is known. */
  cells(key: string, at: number): (Cell | null)[] {
    const log = this.logs.get(key);
    const first = cellNumber(at) - CELLS + 1;
    return Array.from({ length: CELLS }, (_, index) => log?.cells.get(first + index) ?? null);
  }

  /** Drops servers that are not there any more. */
  forget(at: number): void {
    for (const [key, log] of this.logs) {
      if (at - log.seen > CELL_MS * CELLS) this.logs.delete(key);
    }
  }
}

function cellNumber(at: number): number {
  return Math.floor(at / CELL_MS);
}

/** What the process itself remembers of the time before the page was opened. */
function remembered(server: Server, now: number): Map<number, Cell> {
  const cells = new Map<number, Cell>();
  const last = cellNumber(now);
  for (const change of server.history) {
    const from = Math.max(cellNumber(Date.parse(change.at)), last - CELLS);
    for (let number = from; number < last; number++) {
      cells.set(number, { state: change.to as ServerState, rate: 0, errors: 0, samples: 0 });
    }
  }
  return cells;
}

function merge(cell: Cell | undefined, state: ServerState, traffic: { rate: number; errors: number } | null): Cell {
  const before = cell ?? { state, rate: 0, errors: 0, samples: 0 };
  const worst = SEVERITY.indexOf(state) < SEVERITY.indexOf(before.state) ? state : before.state;
  if (!traffic) return { ...before, state: worst };
  const samples = before.samples + 1;
  const mean = (mean: number, value: number): number => mean + (value - mean) / samples;
  return { state: worst, rate: mean(before.rate, traffic.rate), errors: mean(before.errors, traffic.errors), samples };
}
