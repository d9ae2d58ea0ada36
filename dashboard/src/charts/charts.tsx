import { exact, milliseconds, NONE, quantity } from "../format/numbers.js";
import type { StatusClass } from "../admin/status.js";
import type { Point } from "../measure/recording.js";
import { ChartCard, type ShownLine } from "./chart_card.js";

/** Errors lie at the bottom, where small amounts can be compared. */
const STACK: { label: string; colour: string; classes: StatusClass[] }[] = [
  { label: "5xx", colour: "class-5xx", classes: ["5xx"] },
  { label: "4xx", colour: "class-4xx", classes: ["4xx"] },
  { label: "other", colour: "class-other", classes: ["1xx", "none"] },
  { label: "3xx", colour: "class-3xx", classes: ["3xx"] },
  { label: "2xx", colour: "class-2xx", classes: ["2xx"] },
];

export function Charts({ points, connections, now }: { points: Point[]; connections: number; now: number }) {
  const times = points.map((point) => point.at);
  const column = (read: (point: Point) => number | null): (number | null)[] => points.map(read);
  const requests: ShownLine[] = STACK.map(({ label, colour, classes }) => ({
    label, colour, stacked: true, values: column((point) => sumOf(point, classes)),
  }));
  const latency: ShownLine[] = [
    { label: "p99", colour: "p99", values: column((point) => point.p99) },
    { label: "p50", colour: "p50", filled: true, values: column((point) => point.p50) },
  ];
  const open: ShownLine[] = [
    { label: "active requests", colour: "active", values: column((point) => point.active) },
    { label: "open", colour: "open", filled: true, values: column((point) => point.open) },
  ];
  const every: StatusClass[] = STACK.flatMap((part) => part.classes);
  const shared = { times, now };
  return (
    <section class="charts" aria-label="Last five minutes">
      <ChartCard {...shared} title="Requests" lines={requests} unit="per second" format={quantity} atLeast={1}
        headline={(index) => quantity(points[index] && sumOf(points[index], every))} />
      <ChartCard {...shared} title="Latency" lines={latency} unit="p99 over 10 s" format={milliseconds} atLeast={1}
        headline={(index) => milliseconds(points[index]?.p99 ?? null)} />
      <ChartCard {...shared} title="Client connections" lines={open} unit={`open of ${exact(connections)}`} format={quantity}
        atLeast={4} headline={(index) => (points[index]?.open == null ? NONE : exact(points[index].open))} />
    </section>
  );
}

function sumOf(point: Point, classes: StatusClass[]): number | null {
  const { rates } = point;
  return rates && classes.reduce((sum, name) => sum + rates[name], 0);
}
