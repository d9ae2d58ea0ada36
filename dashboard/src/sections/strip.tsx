import { memo } from "preact/compat";
import { CELLS, type Cell } from "../measure/strip.js";

const WIDTH = 3;
const HEIGHT = 22;
const LEAST = 3;

/** The tiny history of a server: a bar per cell, as high as its traffic, in the colour of its state. */
export const Strip = memo(function Strip({ cells }: { cells: (Cell | null)[] }) {
  return (
    <svg class="strip" viewBox={`0 0 ${CELLS * WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={inWords(cells)}>
      {[...paths(cells)].map(([kind, path]) => <path key={kind} class={`cell ${kind}`} d={path} />)}
    </svg>
  );
}, (before, after) => JSON.stringify(before.cells) === JSON.stringify(after.cells));

/** One path per colour: a thousand servers have sixty thousand cells. */
function paths(cells: (Cell | null)[]): Map<string, string> {
  const most = Math.max(0.1, ...cells.map((cell) => cell?.rate ?? 0));
  const paths = new Map<string, string>();
  const bar = (kind: string, index: number, height: number): void => {
    const path = `M${index * WIDTH} ${HEIGHT}v-${height.toFixed(1)}h${WIDTH - 1}v${height.toFixed(1)}z`;
    paths.set(kind, (paths.get(kind) ?? "") + path);
  };
  cells.forEach((cell, index) => {
    if (!cell) return bar("unknown", index, 1);
    const height = LEAST + (cell.rate / most) * (HEIGHT - LEAST);
    bar(cell.state, index, height);
    if (cell.errors > 0) bar("errors", index, Math.max(LEAST, (cell.errors / Math.max(cell.rate, cell.errors)) * height));
  });
  return paths;
}

function inWords(cells: (Cell | null)[]): string {
  const states = cells.flatMap((cell) => (cell ? [cell.state] : []));
  const changes = states.filter((state, index) => index > 0 && state !== states[index - 1]).length;
  return `Last five minutes: ${[...new Set(states)].join(", ")}; ${changes} changes`;
}
