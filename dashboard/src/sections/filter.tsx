import { useEffect, useRef } from "preact/hooks";

export interface FilterState {
  text: string;
  /** Only servers that are not up, or fail. */
  trouble: boolean;
}

export const PASS_ALL: FilterState = { text: "", trouble: false };

export function matches(filter: FilterState, ...texts: string[]): boolean {
  const wanted = filter.text.trim().toLowerCase();
  return wanted === "" || texts.some((text) => text.toLowerCase().includes(wanted));
}

/** Finds servers and routes by name; `/` goes there. */
export function Filter({ filter, onChange }: { filter: FilterState; onChange: (filter: FilterState) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const jump = (event: KeyboardEvent): void => {
      const elsewhere = event.target instanceof Element && event.target.closest("input, dialog");
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || elsewhere) return;
      event.preventDefault();
      input.current?.focus();
    };
    document.addEventListener("keydown", jump);
    return () => document.removeEventListener("keydown", jump);
  }, []);
  return (
    <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span class="unseen">Filter servers and routes</span>
        <input ref={input} type="search" placeholder="Filter servers and routes  ( / )" value={filter.text}
          onInput={(event) => onChange({ ...filter, text: event.currentTarget.value })} />
      </label>
      <label class="check">
        <input type="checkbox" checked={filter.trouble}
          onChange={(event) => onChange({ ...filter, trouble: event.currentTarget.checked })} />
        only trouble
      </label>
      <span class="aside">Rates, errors and p99 are those of the last 10 seconds.</span>
    </form>
  );
}
