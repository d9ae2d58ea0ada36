import type { Listener } from "../admin/status.js";
import { exact, quantity } from "../format/numbers.js";
import { listenerRate, type Period } from "../measure/traffic.js";
import { EndList } from "./end_list.js";

export function Listeners({ listeners, period }: { listeners: Listener[]; period: Period | null }) {
  return (
    <section aria-label="Listeners">
      <h2>Listeners</h2>
      <table class="listeners">
        <thead>
          <tr>
            <th scope="col" class="c-name">Listener</th>
            <th scope="col" class="number c-rate">Req/s</th>
            <th scope="col" class="number c-open">Open</th>
            <th scope="col" class="number c-total">Accepted</th>
            <th scope="col" class="number c-refused">Refused</th>
          </tr>
        </thead>
        <tbody>{listeners.map((listener) => <ListenerRow key={listener.name} listener={listener} period={period} />)}</tbody>
      </table>
    </section>
  );
}

function ListenerRow({ listener, period }: { listener: Listener; period: Period | null }) {
  return (
    <tr>
      <th scope="row" class="c-name">
        {listener.name} <span class="aside">{listener.addresses.join(", ")}</span>
        {Object.keys(listener.ends).length > 0 && <div class="before-routing">before routing: <EndList ends={listener.ends} /></div>}
      </th>
      <td class="number c-rate" data-label="Req/s">{quantity(period && listenerRate(period, listener))}</td>
      <td class="number c-open" data-label="Open">{exact(listener.connections_open)}</td>
      <td class="number c-total" data-label="Accepted">{exact(listener.accepted)}</td>
      <td class="number c-refused" data-label="Refused">
        <span class={listener.refused > 0 ? "wrong" : ""}>{exact(listener.refused)}</span>
      </td>
    </tr>
  );
}
