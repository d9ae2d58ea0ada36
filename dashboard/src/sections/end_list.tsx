import type { Ends } from "../admin/status.js";
import { exact, quantity } from "../format/numbers.js";
import { words } from "../format/words.js";

/** How requests ended other than whole, the most frequent first; what happens just now stands out. */
export function EndList({ ends, recent, seconds }: { ends: Ends; recent?: Ends; seconds?: number }) {
  const unusual = Object.entries(ends).filter(([reason]) => reason !== "completed").sort(([, one], [, other]) => other - one);
  if (unusual.length === 0) return <span class="aside">all completed</span>;
  return (
    <span class="ends">
      {unusual.map(([reason, count]) => {
        const now = recent?.[reason];
        return (
          <span key={reason} class={now ? "wrong" : ""}>
            {words(reason)} <b>{exact(count)}</b>{now && seconds ? ` (${quantity(now / seconds)}/s)` : ""}
          </span>
        );
      })}
    </span>
  );
}
