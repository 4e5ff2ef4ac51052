/**
 * Who was heard of when: renewals of leases, last signs of life, progress. Kept in memory only; after a restart it is empty, and every live lease then has
 * one whole lease period from the start on. So neither a restart nor a clock that was set while the coordinator was down costs a device its lease.
 */
import type { Heartbeat } from "../protocol/messages.ts";
import type { Lease } from "./state.ts";

export interface Liveness {
  /** When this coordinator started, by the clock that its commands are timed with. */
  readonly startedAt: number;
  /** When leases lapse, by lease id; of those granted or renewed since the start. */
  readonly expiry: Map<string, number>;
  /** By device id. */
  readonly seenAt: Map<string, number>;
  /** When any device was last heard of, and since when never nobody was for long: what lies before tells nothing of one alone. */
  heardAt: number;
  heardSince: number;
  /** Last heartbeat, by lease id. */
  readonly reports: Map<string, Heartbeat>;
}

/** Nobody was heard of yet. */
export function openLiveness(startedAt: number): Liveness {
  return { startedAt, heardAt: startedAt, heardSince: startedAt, expiry: new Map(), seenAt: new Map(), reports: new Map() };
}

/** When a lease lapses. */
export function expiryOf(liveness: Liveness, { leaseId }: Lease, leaseSeconds: number): number {
  return liveness.expiry.get(leaseId) ?? liveness.startedAt + 1000 * leaseSeconds;
}

/** Milliseconds since `at`, of which only those that this coordinator was there for count: nobody could come while it was down. */
export function waitedMs({ startedAt }: Pick<Liveness, "startedAt">, at: number, now: number): number {
  return Math.max(0, now - (at > now ? startedAt : Math.max(at, startedAt)));
}

/** A device that was not heard of for so long is away; where none is, the fault may be here. */
export const awayMs = 120_000;

/** Milliseconds since `at` in which a device that was there would have been heard of, as others were; 0 while nobody is. */
export function audibleMs({ heardAt, heardSince }: Pick<Liveness, "heardAt" | "heardSince">, at: number, now: number): number {
  return now - heardAt > awayMs ? 0 : Math.max(0, now - (at > now ? heardSince : Math.max(at, heardSince)));
}

/** Signs of life that a decision brings. */
export interface Signs {
  readonly deviceId?: string | undefined;
  readonly renewed?: { readonly leaseId: string; readonly expiresAt: number } | undefined;
  readonly report?: Heartbeat | undefined;
}

/** Notes signs of life; done once what was decided is on the disk. */
export function note(liveness: Liveness, { deviceId, renewed, report }: Signs, now: number): void {
  if (deviceId !== undefined) {
    if (now - liveness.heardAt > awayMs) liveness.heardSince = now;
    liveness.heardAt = now;
    liveness.seenAt.set(deviceId, now);
  }
  if (renewed) liveness.expiry.set(renewed.leaseId, renewed.expiresAt);
  if (renewed && report) liveness.reports.set(renewed.leaseId, report);
}

/** Forgets leases that are not live any more. */
export function forgetLeases(liveness: Liveness, isLive: (leaseId: string) => boolean): void {
  for (const map of [liveness.expiry, liveness.reports]) for (const leaseId of map.keys()) if (!isLive(leaseId)) map.delete(leaseId);
}
