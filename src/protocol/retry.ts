/** When to try again and how long to wait: exponential backoff with full jitter (Brooker 2015, AWS Architecture Blog), Retry-After honoured. */
import { SheafError } from "../util/errors.ts";
import { ProtocolError, protocolErrors } from "./errors.ts";

/** Something on the way failed: no connection, no answer in time, or an answer that was cut short. The same request may be sent again. */
export class ConnectionFailure extends SheafError {
  constructor(message: string, options?: ErrorOptions) {
    super("unavailable", message, options);
    this.name = "ConnectionFailure";
  }
}

/** How to wait. Clocks and chance are given, so that a test or a simulation has its own. */
export interface Timing {
  /** Waits; rejects once `signal` is aborted. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Failures in a row after which the last one is final. */
  readonly attempts: number;
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of every wait. */
  readonly capMs: number;
}

/** A wait of setTimeout that an abort ends. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(interrupted());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Eight attempts, waits of at most half a second, one, two and so on up to a minute: about two minutes in all. */
export const defaultTiming: Timing = { sleep, random: Math.random, attempts: 8, baseMs: 500, capMs: 60_000 };

/** Nobody is made to wait longer than an hour, whatever Retry-After says. */
const longestRetryAfterMs = 3_600_000;

/** What is thrown when the caller's signal was aborted. */
export function interrupted(): SheafError {
  return new SheafError("interrupted", "Interrupted while talking to the coordinator; what was done so far is kept.");
}

/** Whether the same request may succeed later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ConnectionFailure) return true;
  return error instanceof ProtocolError && protocolErrors[error.protocolCode].retry;
}

/**
 * How long to wait after `failures` failures in a row, from 1 on. A time the coordinator named is kept, and spread out behind it,
 * so that those who were told the same do not all come back at once.
 */
export function backoffMs(failures: number, { random, baseMs, capMs }: Timing, retryAfterMs?: number): number {
  const jitter = random() * Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 30));
  return retryAfterMs === undefined ? jitter : Math.min(retryAfterMs, longestRetryAfterMs) + jitter;
}

/** Counts failures in a row of one undertaking. */
export interface Patience {
  /** There was progress: start counting anew. */
  reset(): void;
  /** Waits before the next attempt. Throws the error where it will not pass, or when there were too many. */
  wait(error: unknown, signal: AbortSignal | undefined): Promise<void>;
}

/** `passes` says which errors are worth another attempt. */
export function openPatience(timing: Timing, passes: (error: unknown) => boolean = isPassing): Patience {
  let failures = 0;
  return {
    reset() {
      failures = 0;
    },
    async wait(error, signal) {
      failures++;
      if (signal?.aborted) throw interrupted();
      if (!passes(error)) throw error;
      if (failures >= timing.attempts) {
        if (!(error instanceof ConnectionFailure)) throw error;
        throw new ConnectionFailure(`${error.message} Gave up after ${failures} attempts.`, { cause: error });
      }
      await timing.sleep(backoffMs(failures, timing, error instanceof ProtocolError ? error.retryAfterMs : undefined), signal);
    },
  };
}
