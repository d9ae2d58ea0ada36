import type { ComponentChildren } from "preact";
import { exact, percent } from "../format/numbers.js";
import { clock, duration } from "../format/times.js";
import { heldShare } from "../measure/traffic.js";
import type { View } from "../watch.js";

export function Header({ view }: { view: View }) {
  const { status } = view;
  return (
    <header>
      <h1>
        <Logo />
        Ropeway <small>{status?.version}</small>
      </h1>
      <ProcessState view={view} />
      <dl>
        <Workers view={view} />
        <Fact name="Up">{status && duration(status.uptime_seconds)}</Fact>
        <Fact name="Generation" title={status ? `Loaded at ${status.loaded_at}` : ""}>
          {status && <>{status.generation} <small>since {clock(status.loaded_at, view.now)}</small></>}
        </Fact>
        <Fact name="Requests">{status && exact(status.requests.total)}</Fact>
      </dl>
      <nav aria-label="Raw data">
        <a href="status">status</a> <a href="metrics">metrics</a> <a href="licenses.txt">licences</a>
      </nav>
    </header>
  );
}

/** Comes first, where the line can grow without moving what follows. */
function Workers({ view: { status, recording } }: { view: View }) {
  const held = recording?.period ? heldShare(recording.period) : null;
  if (!held) return <Fact name="Workers">{status?.workers}</Fact>;
  return (
    <Fact name="Workers" title="Requests of the last 10 s that began later than they came, because their worker was busy with others">
      {status?.workers} <small>{percent(held)} of requests waited</small>
    </Fact>
  );
}

function Fact({ name, title, children }: { name: string; title?: string; children: ComponentChildren }) {
  return <div title={title}><dt>{name}</dt><dd>{children}</dd></div>;
}

function ProcessState({ view: { status, lost } }: { view: View }) {
  const [kind, word] = lost ? ["down", "no answer"]
    : !status ? ["unchecked", "asking"]
    : status.draining ? ["draining", "draining"]
    : status.ready ? ["up", "ready"] : ["unchecked", "starting"];
  return <span class={`state ${kind} process`}>{word}</span>;
}

function Logo() {
  return (
    <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" class="logo">
      <rect width="32" height="32" rx="7" />
      <path d="M4 11 28 6M16 8.6V14M8 20h16M11.5 14h9a3.5 3.5 0 0 1 3.5 3.5v5a3.5 3.5 0 0 1-3.5 3.5h-9A3.5 3.5 0 0 1 8 22.5v-5a3.5 3.5 0 0 1 3.5-3.5z" />
    </svg>
  );
}
