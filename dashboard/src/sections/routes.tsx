import type { Route } from "../admin/status.js";
import { exact, milliseconds, percent, quantity } from "../format/numbers.js";
import { routeTraffic, seconds, total, type Period } from "../measure/traffic.js";
import { EndList } from "./end_list.js";
import { matches, type FilterState } from "./filter.js";

interface Props {
  routes: Route[];
  period: Period | null;
  filter: FilterState;
}

export function Routes({ routes, period, filter }: Props) {
  const rows = routes.map((route) => ({ route, traffic: period && routeTraffic(period, route) }));
  const shown = rows.filter(({ route, traffic }) =>
    (!filter.trouble || (traffic?.errors ?? 0) > 0) && matches(filter, route.name, route.host, route.path, route.upstream));
  return (
    <section aria-label="Routes">
      <h2>Routes</h2>
      <table class="routes">
        <thead>
          <tr>
            <th scope="col" class="c-name">Route</th>
            <th scope="col" class="c-match">Host and path</th>
            <th scope="col" class="c-upstream">Upstream</th>
            <th scope="col" class="number c-total">Requests</th>
            <th scope="col" class="number c-rate">Req/s</th>
            <th scope="col" class="number c-errors" title="Answers 5xx">Errors</th>
            <th scope="col" class="number c-p50">p50</th>
            <th scope="col" class="number c-p99">p99</th>
            <th scope="col" class="c-ends" title="Since the start of the process">Other ends</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ route, traffic }) => (
            <tr key={route.name}>
              <th scope="row" class="c-name">{route.name}</th>
              <td class="c-match">{route.host === "*" ? <span class="aside">any host</span> : route.host}<span class="path">{route.path}</span></td>
              <td class="c-upstream" data-label="Upstream">{route.upstream}</td>
              <td class="number c-total" data-label="Requests">{exact(total(route.requests))}</td>
              <td class="number c-rate" data-label="Req/s">{quantity(traffic?.rate)}</td>
              <td class="number c-errors" data-label="Errors"><span class={traffic?.errors ? "wrong" : ""}>{percent(traffic?.errors ?? null)}</span></td>
              <td class="number c-p50" data-label="p50">{milliseconds(traffic?.p50 ?? null)}</td>
              <td class="number c-p99" data-label="p99">{milliseconds(traffic?.p99 ?? null)}</td>
              <td class="c-ends" data-label="Other ends">
                <EndList ends={route.ends} recent={traffic?.ends} seconds={period ? seconds(period) : undefined} />
              </td>
            </tr>
          ))}
          {shown.length === 0 && <tr class="empty"><td colSpan={9}>None of {routes.length} passes the filter.</td></tr>}
        </tbody>
      </table>
    </section>
  );
}
