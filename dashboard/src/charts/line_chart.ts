// One uPlot chart of the last five minutes.

import uPlot from "uplot";
import { SPAN_S } from "../measure/recording.js";

export interface Line {
  label: string;
  /** Name of a colour in colours.css. */
  colour: string;
  /** Painted down to the line before, for shares of a whole. */
  stacked?: boolean;
  /** Painted down to zero, faintly. */
  filled?: boolean;
}

export interface ChartOptions {
  lines: Line[];
  format: (value: number) => string;
  /** The scale never ends below this, so that noise stays small. */
  atLeast: number;
  onCursor: (index: number | null) => void;
}

const HEIGHT = 132;
const AXIS_FONT = "11px system-ui, sans-serif";
const MINUTES_SHOWN = [4, 3, 2, 1];

export function lineChart(parent: HTMLElement, options: ChartOptions): uPlot {
  const paint = getComputedStyle(parent);
  const colour = (name: string): string => paint.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("quiet"), font: AXIS_FONT, ticks: { show: false } };
  const areas = options.lines;
  const chart = new uPlot({
    width: parent.clientWidth,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: "ropeway" }, drag: { x: false, y: false }, points: { size: 6 }, y: false },
    scales: {
      x: { time: false, range: (_, __, last) => [last - SPAN_S, last] },
      y: { range: (_, __, largest) => [0, roundUp(Math.max(largest ?? 0, options.atLeast))] },
    },
    axes: [
      {
        ...axis, size: 22, grid: { show: false },
        splits: (_, __, ___, last) => MINUTES_SHOWN.map((minutes) => last - minutes * 60),
        values: () => MINUTES_SHOWN.map((minutes) => `−${minutes} min`),
      },
      {
        ...axis, size: 50, grid: { stroke: colour("line"), width: 1 },
        splits: (_, __, ___, top) => [0, top / 2, top],
        values: (_, splits) => splits.map((value) => (value === 0 ? "0" : options.format(value))),
      },
    ],
    series: [{}, ...areas.map((line) => area(line, colour)), ...edges(options.lines).map((line) => edge(line, colour))],
    bands: bands(areas),
    hooks: { setCursor: [(chart) => options.onCursor(chart.cursor.idx ?? null)] },
  }, [[], ...areas.map(() => []), ...edges(options.lines).map(() => [])], parent);
  return chart;
}

/** Stacked lines get their edges drawn apart, after all areas, so that a class without requests hides no other. */
export function edges<L extends Line>(lines: L[]): L[] {
  return lines.filter((line) => line.stacked).reverse();
}

function area(line: Line, colour: (name: string) => string): uPlot.Series {
  const stroke = colour(line.colour);
  const fill = line.stacked ? `${stroke}99` : line.filled ? `${stroke}22` : undefined;
  return { stroke, fill, width: line.stacked ? 0 : 1.5, points: { show: false } };
}

function edge(line: Line, colour: (name: string) => string): uPlot.Series {
  return { stroke: colour(line.colour), width: 1, points: { show: false } };
}

/** Each stacked line is painted down to the one before it. */
function bands(lines: Line[]): uPlot.Band[] {
  return lines.flatMap((line, index) => (line.stacked && index > 0 ? [{ series: [index + 1, index] as [number, number] }] : []));
}

/** 1, 2, 4, 5 or 10 times a power of ten: halves are readable, too. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * (([1, 2, 4, 5, 10].find((step) => step * power >= value * 1.02)) ?? 20);
}
