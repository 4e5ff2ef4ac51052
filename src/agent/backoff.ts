/** Trying again until it works: what a device does that has all night. How long it waits between tries is the protocol's affair. */
import { ProtocolError } from "../protocol/errors.ts";
import { backoffMs, isPassing, type Timing } from "../protocol/retry.ts";

/** From a second to five minutes: short enough for a restarted router, long enough for a fleet that finds its coordinator gone for the night. */
export const patientBackoff: Pick<Timing, "baseMs" | "capMs"> = { baseMs: 1000, capMs: 300_000 };

export interface PersistOptions {
  /** Its `attempts` is not looked at. */
  readonly timing: Timing;
  readonly signal: AbortSignal;
  /** Told before each wait. */
  readonly onRetry?: (error: unknown, delayMs: number) => void;
}

/** Calls until it succeeds, or fails for a reason that time does not mend, or the signal is aborted; throws the last failure, or `interrupted` out of a wait. */
export async function persist<T>(call: () => Promise<T>, { timing, signal, onRetry }: PersistOptions): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await call();
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      const delayMs = backoffMs(failures, timing, error instanceof ProtocolError ? error.retryAfterMs : undefined);
      onRetry?.(error, delayMs);
      await timing.sleep(delayMs, signal);
    }
  }
}
