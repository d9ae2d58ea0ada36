// Quantiles of the durations between two readings of a histogram.

/**
 * The duration in milliseconds that the share `quantile` (0 to 1) did not exceed, interpolated inside its bucket; null
 * when there was none. What lies beyond the last bound counts as that bound.
 */
export function quantile(counts: number[], bounds: number[], quantile: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = quantile * total;
  let below = 0;
  let lower = 0;
  for (const [index, upper] of bounds.entries()) {
    const count = counts[index] ?? 0;
    if (count > 0 && below + count >= rank) return lower + ((rank - below) / count) * (upper - lower);
    below += count;
    lower = upper;
  }
  return lower;
}

/** What was counted since `before`. */
export function since(after: number[], before: number[] | undefined): number[] {
  return after.map((count, index) => count - (before?.[index] ?? 0));
}

/** The histogram of all together. */
export function together(histograms: number[][]): number[] {
  const longest = Math.max(0, ...histograms.map((counts) => counts.length));
  return Array.from({ length: longest }, (_, index) =>
    histograms.reduce((sum, counts) => sum + (counts[index] ?? 0), 0));
}
