import { useEffect, useRef, useState } from "preact/hooks";
import { changeServer, type ServerChange } from "../admin/requests.js";
import type { AdminState, Server, Upstream } from "../admin/status.js";

export interface Target {
  upstream: string;
  server: string;
}

interface Props {
  target: Target;
  upstream: Upstream;
  onChanged: () => void;
  onClose: () => void;
}

const MAX_WEIGHT = 256;

const CHOICES: { state: AdminState; word: string; meaning: string }[] = [
  { state: "ready", word: "Ready", meaning: "gets requests as far as its health allows" },
  { state: "drain", word: "Drain", meaning: "finishes what it has, gets nothing new" },
  { state: "disabled", word: "Disable", meaning: "gets nothing and is not checked" },
];

/** Asks what to change about a server, says what will follow, and does it. */
export function ServerDialog({ target, upstream, onChanged, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const server = upstream.servers.find((server) => server.name === target.server);
  const [state, setState] = useState<AdminState>(server?.admin ?? "ready");
  const [weight, setWeight] = useState(String(server?.weight ?? 1));
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  if (!server) return null;

  const change = wanted(server, state, weight);
  const nothing = change.state === undefined && change.weight === undefined;
  async function apply(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await changeServer(target.upstream, target.server, change);
      onChanged();
      dialog.current?.close();
    } catch (error) {
      setError(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  }
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="dialog-title">
      <form onSubmit={(event) => void apply(event)}>
        <h2 id="dialog-title">{target.server} <small>of {target.upstream}, now {server.state}</small></h2>
        <fieldset>
          <legend>State</legend>
          {CHOICES.map((choice) => (
            <label key={choice.state} class="choice">
              <input type="radio" name="state" checked={state === choice.state} onChange={() => setState(choice.state)} />
              <b>{choice.word}</b> <span>{choice.meaning}</span>
            </label>
          ))}
        </fieldset>
        <label class="weight">
          <span>Weight <small>0 to {MAX_WEIGHT}, configured {server.configured_weight}</small></span>
          <input type="number" min={0} max={MAX_WEIGHT} step={1} required value={weight}
            onInput={(event) => setWeight(event.currentTarget.value)} />
        </label>
        <Consequence upstream={upstream} server={server} change={change} nothing={nothing} />
        <p class="wrong failure" role="alert">{error && `Not changed: ${error}.`}</p>
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>Cancel</button>
          <button type="submit" class="primary" disabled={nothing || busy}>{busy ? "Changing…" : label(server, change)}</button>
        </div>
      </form>
    </dialog>
  );
}

/** Only what differs, so that a change by somebody else in between is not undone. */
function wanted(server: Server, state: AdminState, weight: string): ServerChange {
  const change: ServerChange = {};
  if (state !== server.admin) change.state = state;
  const number = Number(weight);
  if (weight.trim() !== "" && number !== server.weight) {
    change.weight = number === server.configured_weight ? null : number;
  }
  return change;
}

function Consequence({ upstream, server, change, nothing }: { upstream: Upstream; server: Server; change: ServerChange; nothing: boolean }) {
  const others = upstream.servers.filter((other) => other !== server && other.state === "up" && other.weight > 0);
  const leaves = change.state === "drain" || change.state === "disabled" || change.weight === 0;
  if (leaves && others.length === 0) {
    return <p class="consequence wrong">No other server of {upstream.name} is up: its requests will be answered with 503.</p>;
  }
  if (leaves) {
    const names = others.length > 3 ? `${others.length} servers` : others.map((other) => other.name).join(", ");
    return <p class="consequence">Its traffic goes to {names}.</p>;
  }
  return <p class="consequence">{nothing ? "Nothing changes yet." : "Takes effect at once and holds until the process ends."}</p>;
}

function label(server: Server, change: ServerChange): string {
  const word = CHOICES.find((choice) => choice.state === change.state)?.word;
  const state = word && (change.state === "ready" ? "Make ready" : word);
  const weight = change.weight !== undefined && `set weight ${change.weight ?? server.configured_weight}`;
  if (state && weight) return `${state}, ${weight}`;
  return state || (weight ? weight.replace("set", "Set") : "Apply");
}
