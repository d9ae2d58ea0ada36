// Asks for the state once a second and keeps what was heard.

import { useEffect, useRef, useState } from "preact/hooks";
import { fetchStatus } from "./admin/requests.js";
import type { Status } from "./admin/status.js";
import { Recorder, type Recording } from "./measure/recording.js";

const INTERVAL_MS = 1000;

export interface Lost {
  /** When the last answer came, or when the page was opened. */
  since: number;
  reason: string;
}

export interface View {
  status: Status | null;
  recording: Recording | null;
  lost: Lost | null;
  /** The clock of the last attempt, so that everything on the page agrees. */
  now: number;
}

/** The latest view, and a way to ask at once: what an operator changed should show without delay. */
export function useWatch(): [View, () => void] {
  const [view, setView] = useState<View>(() => ({ status: null, recording: null, lost: null, now: Date.now() }));
  const askNow = useRef<() => void>(() => {});
  useEffect(() => {
    const watch = watchStatus(setView);
    askNow.current = watch.ask;
    return watch.stop;
  }, []);
  return [view, () => askNow.current()];
}

function watchStatus(show: (update: (view: View) => View) => void): { ask: () => void; stop: () => void } {
  const recorder = new Recorder();
  const opened = Date.now();
  let heard = opened;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asking = false;
  let stopped = false;

  async function ask(): Promise<void> {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    const started = Date.now();
    try {
      const status = await fetchStatus();
      heard = Date.now();
      const recording = recorder.add(status, heard);
      show(() => ({ status, recording, lost: null, now: heard }));
    } catch (error) {
      const now = Date.now();
      recorder.miss(now);
      const reason = error instanceof Error ? error.message : String(error);
      show((view) => ({ ...view, lost: { since: heard, reason }, now }));
    }
    asking = false;
    if (!stopped) timer = setTimeout(() => void ask(), Math.max(0, started + INTERVAL_MS - Date.now()));
  }

  void ask();
  return {
    ask: () => void ask(),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
