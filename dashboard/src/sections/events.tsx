import type { Event } from "../admin/status.js";
import { clock } from "../format/times.js";
import { words } from "../format/words.js";


/** The newest first. */
export function Events({ events, now }: { events: Event[]; now: number }) {
  return (
    <section aria-label="Events">
      <h2>Events</h2>
      <ol class="events" tabIndex={0} aria-label="Events, the newest first">
        {events.toReversed().map((event, index) => (
          <li key={event.at + event.message + (events.length - index)}>
            <time dateTime={event.at} title={event.at}>{clock(event.at, now)}</time>
            <span class={`event-kind ${isTrouble(event) ? "wrong" : ""}`}>{words(event.kind)}</span>
            <span>{event.message}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** What took something out of service. The end of it is of the same kind, and differs in its words. */
function isTrouble({ kind, message }: Event): boolean {
  if (kind === "ejection") return !message.includes("no longer");
  return kind === "reload_failed" || kind === "resolve_failed" || (kind === "health" && message.includes(" is down"));
}
