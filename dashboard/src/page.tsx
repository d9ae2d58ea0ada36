import { useEffect, useState } from "preact/hooks";
import { findAlerts } from "./shell/alerts.js";
import { AlertList } from "./shell/alert_list.js";
import { Header } from "./shell/header.js";
import { Charts } from "./charts/charts.js";
import { Events } from "./sections/events.js";
import { Filter, PASS_ALL } from "./sections/filter.js";
import { Listeners } from "./sections/listeners.js";
import { Routes } from "./sections/routes.js";
import { ServerDialog, type Target } from "./sections/server_dialog.js";
import { UpstreamSection } from "./sections/upstream.js";
import { useWatch } from "./watch.js";

export function Page() {
  const [view, ask] = useWatch();
  const [filter, setFilter] = useState(PASS_ALL);
  const [target, setTarget] = useState<Target | null>(null);
  const { status, recording, now } = view;
  const alerts = findAlerts(view);
  const urgent = alerts.filter((alert) => alert.level !== "note").length;
  useEffect(() => {
    document.title = urgent > 0 ? `(${urgent}) Ropeway` : "Ropeway";
  }, [urgent]);
  const upstream = status?.upstreams.find((upstream) => upstream.name === target?.upstream);
  return (
    <>
      <Header view={view} />
      <main class={view.lost ? "stale" : ""}>
        <AlertList alerts={alerts} status={status} />
        {recording && <Charts points={recording.points} connections={status?.connections.max ?? 0} now={now} />}
        {status && recording && (
          <>
            <Filter filter={filter} onChange={setFilter} />
            {status.upstreams.map((upstream) => (
              <UpstreamSection key={upstream.name} upstream={upstream} recording={recording} now={now}
                filter={filter} onChange={(server) => setTarget({ upstream: upstream.name, server })} />
            ))}
            <p class="passed-none aside">No server passes the filter.</p>
            <Routes routes={status.routes} period={recording.period} filter={filter} />
            <div class="pair">
              <Listeners listeners={status.listeners} period={recording.period} />
              <Events events={status.events} now={now} />
            </div>
          </>
        )}
      </main>
      {target && upstream && (
        <ServerDialog target={target} upstream={upstream} onChanged={ask} onClose={() => setTarget(null)} />
      )}
    </>
  );
}
