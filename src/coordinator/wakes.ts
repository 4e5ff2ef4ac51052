/** Who waits for what: long polls that are woken by name or all together, and never miss what happened between their question and their waiting. */

/** One who waits, from `open` to `close`. */
export interface Waiter {
  /** Resolves when it was woken since the last call (or since it was opened), after `ms`, or when the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface Wakes {
  /** Those who are open now. */
  readonly size: number;
  /** Several may wait under one name. */
  open(name: string): Waiter;
  wake(name: string): void;
  wakeAll(): void;
}

/** Nobody waits yet. */
export function openWakes(): Wakes {
  const waiting = new Map<string, Set<() => void>>();
  let size = 0;
  const wake = (name: string): void => {
    for (const onWake of waiting.get(name) ?? []) onWake();
  };
  return {
    get size() {
      return size;
    },
    open(name) {
      let isWoken = false;
      let end: (() => void) | undefined;
      const onWake = (): void => {
        isWoken = true;
        end?.();
      };
      const named = waiting.get(name) ?? new Set();
      waiting.set(name, named.add(onWake));
      size++;
      return {
        wait: (ms, signal) =>
          new Promise((resolve) => {
            end = () => {
              clearTimeout(timer);
              signal.removeEventListener("abort", onAbort);
              end = undefined;
              isWoken = false;
              resolve();
            };
            const onAbort = (): void => end?.();
            const timer = setTimeout(onAbort, ms);
            signal.addEventListener("abort", onAbort);
            if (isWoken || signal.aborted) end();
          }),
        close() {
          if (!named.delete(onWake)) return;
          size--;
          if (named.size === 0 && waiting.get(name) === named) waiting.delete(name);
        },
      };
    },
    wake,
    wakeAll() {
      for (const name of [...waiting.keys()]) wake(name);
    },
  };
}
