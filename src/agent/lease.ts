/** Keeping a lease while work goes on: heartbeats, and the reasons for which work must stop before it is done. */
import { ProtocolError } from "../protocol/errors.ts";
import type { Heartbeat, HeartbeatAnswer, Offer } from "../protocol/messages.ts";
import { isPassing, type Timing } from "../protocol/retry.ts";

/** Why work stopped early: nobody needs it; the lease went to another; the device may not work now; the coordinator turned the device away. */
export type LeaseEnd = "cancelled" | "lost" | "paused" | "refused";

type End =
  | { readonly type: "cancelled" | "lost" }
  | { readonly type: "paused"; readonly reason: string }
  | { readonly type: "refused"; readonly error: ProtocolError };

export interface KeepLeaseOptions {
  readonly link: { heartbeat(leaseId: string, progress: Heartbeat, signal: AbortSignal): Promise<HeartbeatAnswer> };
  readonly timing: Timing;
  /** A reason to stop, looked for at each heartbeat. */
  readonly mayWork: () => Promise<string | undefined>;
  /** Of the agent. */
  readonly signal: AbortSignal;
}

/** A lease that is being kept. */
export interface KeptLease {
  /** Aborted when the work must stop, whether by the lease or by the agent. */
  readonly signal: AbortSignal;
  /** What the next heartbeat says. */
  report(progress: Heartbeat): void;
  /** Sends a heartbeat now, to learn whether the work is still wanted. */
  ask(): Promise<void>;
  /** Why the lease ended, where that or `error`, which the work threw, says so; undefined where the work itself failed. */
  endOf(error: unknown): End | undefined;
  /** Stops the heartbeats; returns when none is under way. */
  release(): Promise<void>;
}

/** What a refusal of this lease means; undefined where it is none. */
function endBy(error: unknown): End | undefined {
  if (!(error instanceof ProtocolError)) return undefined;
  switch (error.protocolCode) {
    case "leaseLost":
    case "notFound":
    case "forbidden":
      return { type: "lost" };
    case "conflict":
      // The run has ended, or somebody else was first.
      return { type: "cancelled" };
    case "revoked":
    case "unauthenticated":
    case "versionUnsupported":
      return { type: "refused", error };
    default:
      return undefined;
  }
}

/**
 * Sends a heartbeat at once and then twice in each `heartbeatMs`, until released. A coordinator that cannot be reached stops nothing: the work goes on, and what
 * became of the lease is learnt when the coordinator is back.
 */
export function keepLease(offer: Offer, { link, timing, mayWork, signal }: KeepLeaseOptions): KeptLease {
  const work = new AbortController();
  const beats = new AbortController();
  let latest: Heartbeat = { phase: "preparing", progress: 0 };
  let end: End | undefined;
  const stop = (): void => {
    work.abort();
    beats.abort();
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  const finish = (found: End): void => {
    end ??= found;
    stop();
  };
  const beat = async (): Promise<void> => {
    try {
      const reason = await mayWork();
      if (reason !== undefined) return finish({ type: "paused", reason });
      const { cancel } = await link.heartbeat(offer.leaseId, latest, beats.signal);
      if (cancel) finish({ type: "cancelled" });
    } catch (error) {
      const found = endBy(error);
      if (found) finish(found);
      // A refusal of the heartbeat itself (a defect at one end) does not end good work: the lease lapses if it must.
      else if (!isPassing(error)) latest = { phase: latest.phase, progress: latest.progress };
    }
  };
  const beating = (async (): Promise<void> => {
    while (!beats.signal.aborted) {
      await beat();
      if (!beats.signal.aborted) await timing.sleep(offer.heartbeatMs / 2, beats.signal).catch(() => undefined);
    }
  })();
  return {
    signal: work.signal,
    report(progress) {
      latest = progress;
    },
    ask: async () => {
      if (!beats.signal.aborted) await beat();
    },
    endOf: (error) => end ?? endBy(error),
    async release() {
      signal.removeEventListener("abort", stop);
      beats.abort();
      await beating;
    },
  };
}
