import { useEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { NONE } from "../format/numbers.js";
import { clock } from "../format/times.js";
import { edges, lineChart, type Line } from "./line_chart.js";

export interface ShownLine extends Line {
  /** What the legend says, per point; stacked lines are drawn on top of the ones before. */
  values: (number | null)[];
}

interface Props {
  title: string;
  /** Seconds since 1970, per point. */
  times: number[];
  lines: ShownLine[];
  /** The number to read first, of the point that the cursor is on. */
  headline: (index: number) => string;
  unit: string;
  format: (value: number) => string;
  axisFormat?: (value: number) => string;
  atLeast: number;
  now: number;
}

/** A chart with its numbers, of now or of the moment under the cursor. What is drawn last is on top, so it is named first. */
export function ChartCard({ title, times, lines, headline, unit, format, axisFormat, atLeast, now }: Props) {
  const parent = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const dark = useDark();

  useEffect(() => {
    const element = parent.current!;
    const made = lineChart(element, { lines, format: axisFormat ?? format, atLeast, onCursor: setCursor });
    chart.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: made.height }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
    };
  }, [dark]);
  useEffect(() => chart.current?.setData([times, ...drawn(lines)]), [now, dark]);

  const index = cursor != null && cursor < times.length ? cursor : times.length - 1;
  const value = (line: ShownLine): string => {
    const value = line.values[index];
    return value == null ? NONE : format(value);
  };
  return (
    <figure class="chart">
      <figcaption>
        <h2>{title} <small>{cursor == null ? "now" : clock(times[index]! * 1000, now)}</small></h2>
        <p class="headline">{headline(index)}<small> {unit}</small></p>
        <ul class="legend">
          {lines.toReversed().map((line) => (
            <li key={line.label} class={line.values[index] ? "" : "nothing"}>
              <i class={`swatch ${line.colour}`} />{line.label} <b>{value(line)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={parent} class="plot" aria-hidden="true" />
    </figure>
  );
}

/** Stacked lines are drawn as sums, with an edge where they are more than nothing. */
function drawn(lines: ShownLine[]): (number | null)[][] {
  const sums = new Map<ShownLine, (number | null)[]>();
  let below: (number | null)[] = [];
  for (const line of lines) {
    if (line.stacked) below = line.values.map((value, index) => (value == null ? null : value + (below[index] ?? 0)));
    sums.set(line, line.stacked ? below : line.values);
  }
  return [...sums.values(), ...edges(lines).map((line) => edgeOf(line.values, sums.get(line)!))];
}

/** The neighbours of a value belong to its edge: a point alone would not be drawn. */
function edgeOf(values: (number | null)[], sums: (number | null)[]): (number | null)[] {
  const some = (index: number): boolean => (values[index] ?? 0) > 0;
  return sums.map((sum, index) => (some(index - 1) || some(index) || some(index + 1) ? sum : null));
}

function useDark(): boolean {
  const [dark, setDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const change = (): void => setDark(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, []);
  return dark;
}
