/**
 * A clock for code that really runs: it moves to the next appointment only when everybody waits for it. Real work takes no virtual time
 * unless it waits for some, so what comes out does not depend on how fast this machine is.
 */
import { interrupted } from "../protocol/retry.ts";
import { openEventQueue } from "./eventQueue.ts";

export interface VirtualClock {
  readonly nowMs: number;
  /** The clock stands still until the answer is called. */
  hold(): () => void;
  /** Does `work` while the clock stands still. */
  holding<T>(work: () => Promise<T>): Promise<T>;
  /** Waits, and lets go of the caller's hold meanwhile. Rejects once `signal` is aborted; ends early where `wakeable` and `wake` is called. */
  wait(ms: number, signal?: AbortSignal, wakeable?: boolean): Promise<void>;
  /** Waits, for those who have no hold: what follows must not take real time. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Ends the waits that may be ended. */
  wake(): void;
  /** Calls `work`, which must not take real time, at a time. */
  at(timeMs: number, work: () => void): void;
  /** Lets time pass until `isOver` or until nothing is to come. */
  run(isOver: () => boolean): Promise<void>;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A clock at a time, in milliseconds since 1970. */
export function openVirtualClock(startMs: number): VirtualClock {
  const queue = openEventQueue<() => void>();
  const waits = new Set<() => void>();
  const wakeables = new Set<() => void>();
  let nowMs = startMs;
  let holds = 0;
  let onIdle: (() => void) | undefined;

  const hold = (): (() => void) => {
    holds++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      if (--holds === 0) onIdle?.();
    };
  };
  const wait = (ms: number, signal: AbortSignal | undefined, isHolder: boolean, wakeable: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(interrupted());
      const end = (finish: () => void): void => {
        if (!waits.delete(ring)) return;
        signal?.removeEventListener("abort", abort);
        // Before anybody goes on, so that the clock does not slip away in between.
        if (isHolder) holds++;
        finish();
      };
      const ring = (): void => end(resolve);
      const abort = (): void => end(() => reject(interrupted()));
      waits.add(ring);
      if (wakeable) wakeables.add(ring);
      signal?.addEventListener("abort", abort, { once: true });
      queue.push(nowMs + Math.max(0, Math.ceil(ms)), () => {
        wakeables.delete(ring);
        ring();
      });
      if (isHolder && --holds === 0) onIdle?.();
    });

  return {
    get nowMs() {
      return nowMs;
    },
    hold,
    async holding(work) {
      const release = hold();
      try {
        return await work();
      } finally {
        release();
      }
    },
    wait: (ms, signal, wakeable = false) => wait(ms, signal, true, wakeable),
    sleep: (ms, signal) => wait(ms, signal, false, false),
    wake() {
      const woken = [...wakeables];
      wakeables.clear();
      for (const ring of woken) ring();
    },
    at: (timeMs, work) => queue.push(timeMs, work),
    async run(isOver) {
      for (;;) {
        await turn();
        if (holds > 0) {
          await new Promise<void>((resolve) => {
            onIdle = resolve;
          });
          onIdle = undefined;
          continue;
        }
        const next = isOver() ? undefined : queue.pop();
        if (!next) return;
        nowMs = next.atMs;
        next.item();
      }
    },
  };
}
