// Numbers as an operator reads them: three digits that count, the unit beside them.

/** No value. */
export const NONE = "–";

/** Counts and rates: 0, 0.4, 42, 1.2 k, 3.4 M. */
export function quantity(value: number | null | undefined): string {
  if (value == null) return NONE;
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  if (value < 9.95) return Number.isInteger(value) ? String(value) : value.toFixed(1);
  if (value < 999.5) return String(Math.round(value));
  return scaled(value, 1000, ["k", "M", "G", "T"]);
}

/** Exact, in groups of three. */
export function exact(value: number): string {
  return value.toLocaleString("en").replaceAll(",", "\u202f");
}

export function bytes(value: number): string {
  return value < 1000 ? `${value} B` : scaled(value, 1024, ["KiB", "MiB", "GiB", "TiB"]);
}

/** A share of 0 to 1. */
export function percent(share: number | null): string {
  if (share == null) return NONE;
  if (share === 0) return "0\u202f%";
  if (share < 0.001) return "<0.1\u202f%";
  if (share >= 0.9995) return "100\u202f%";
  return `${(share * 100).toFixed(1)}\u202f%`;
}

export function milliseconds(ms: number | null): string {
  if (ms == null) return NONE;
  if (ms < 0.995) return `${ms.toFixed(2)}\u202fms`;
  if (ms < 9.95) return `${ms.toFixed(1)}\u202fms`;
  if (ms < 999.5) return `${Math.round(ms)}\u202fms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)}\u202fs`;
  return `${Math.round(ms / 1000)}\u202fs`;
}

function scaled(value: number, step: number, units: string[]): string {
  let unit = -1;
  let rest = value;
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= step;
    unit += 1;
  }
  return `${rest < 9.95 ? rest.toFixed(1) : Math.round(rest)}\u202f${units[unit]}`;
}
