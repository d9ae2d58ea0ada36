// What the page asks of the admin listener.

import type { AdminState, Status } from "./status.js";

// Longer than a busy process takes, shorter than an operator's patience.
const TIMEOUT_MS = 3000;

export interface ServerChange {
  state?: AdminState;
  /** `null` takes the configured weight back. */
  weight?: number | null;
}

export async function fetchStatus(): Promise<Status> {
  const answer = await ask("status", { cache: "no-store" });
  return (await answer.json()) as Status;
}

export async function changeServer(upstream: string, server: string, change: ServerChange): Promise<void> {
  const path = `api/upstreams/${encodeURIComponent(upstream)}/servers/${encodeURIComponent(server)}`;
  await ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(change),
  });
}

/** Throws an error whose message an operator can read. */
async function ask(path: string, options: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new Error(late ? `no answer within ${TIMEOUT_MS / 1000} s` : "no connection");
  }
  if (!answer.ok) throw new Error(await reason(answer));
  return answer;
}

async function reason(answer: Response): Promise<string> {
  const body: unknown = await answer.json().catch(() => null);
  const said = body && typeof body === "object" && "error" in body ? `: ${String(body.error)}` : "";
  return `refused with ${answer.status}${said}`;
}
