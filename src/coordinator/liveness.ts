/**
 * Who was heard of when: renewals of leases, last signs of life, progress. Kept in memory only; after a restart it is empty, and every live lease then has
 * one whole lease period from the start on. So neither a restart nor a clock that was set while the coordinator was down costs a device its lease.
 */
import type { Heartbeat } from "../protocol/messages.ts";
import type { Lease, State } from "./state.ts";
import { emptyTimeline, type Timeline, upTo } from "./timeline.ts";

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
  /** When to look next whether leases have lapsed, and the same by lease id: of those granted since the start, and of all once they were looked at. */
  looks: Timeline;
  readonly lookAt: Map<string, number>;
  looksAtAll: boolean;
  /** When to look next at all that is left of runs at which nobody is at work. */
  quietLookAt: number;
}

/** Nobody was heard of yet. */
export function openLiveness(startedAt: number): Liveness {
  return {
    startedAt,
    heardAt: startedAt,
    heardSince: startedAt,
    expiry: new Map(),
    seenAt: new Map(),
    reports: new Map(),
    looks: emptyTimeline,
    lookAt: new Map(),
    looksAtAll: true,
    quietLookAt: Number.NEGATIVE_INFINITY,
  };
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
  /** When leases that were looked at, and all that is left of quiet runs, are to be looked at again. */
  readonly looked?: { readonly leases: ReadonlyMap<string, number>; readonly quietLookAt: number } | undefined;
}

function lookAgain(liveness: Liveness, leaseId: string, at: number): void {
  liveness.looks = liveness.looks.add(at, leaseId);
  liveness.lookAt.set(leaseId, at);
}

function forgetLook(liveness: Liveness, leaseId: string): void {
  const at = liveness.lookAt.get(leaseId);
  if (at === undefined) return;
  liveness.looks = liveness.looks.remove(at, leaseId);
  liveness.lookAt.delete(leaseId);
}

/** The live leases that may have lapsed by now: a renewal puts no lease off, so that each is looked at about once in its period. */
export function* leasesToLookAt(liveness: Liveness, leases: State["leases"], now: number): Generator<Lease> {
  if (liveness.looksAtAll) yield* leases.values();
  else {
    for (const leaseId of upTo(liveness.looks, now)) {
      const lease = leases.get(leaseId);
      if (lease) yield lease;
    }
  }
}

/** Notes signs of life; done once what was decided is on the disk. */
export function note(liveness: Liveness, { deviceId, renewed, report, looked }: Signs, now: number): void {
  if (deviceId !== undefined) {
    if (now - liveness.heardAt > awayMs) liveness.heardSince = now;
    liveness.heardAt = now;
    liveness.seenAt.set(deviceId, now);
  }
  if (renewed) {
    liveness.expiry.set(renewed.leaseId, renewed.expiresAt);
    if (!liveness.lookAt.has(renewed.leaseId)) lookAgain(liveness, renewed.leaseId, renewed.expiresAt);
  }
  if (renewed && report) liveness.reports.set(renewed.leaseId, report);
  if (looked) {
    for (const leaseId of upTo(liveness.looks, now)) forgetLook(liveness, leaseId);
    for (const [leaseId, at] of looked.leases) {
      forgetLook(liveness, leaseId);
      lookAgain(liveness, leaseId, at);
    }
    liveness.looksAtAll = false;
    liveness.quietLookAt = looked.quietLookAt;
  }
}

/** Forgets leases that are not live any more; once they are as many as the live ones, so that each is looked at but a few times. */
export function forgetLeases(liveness: Liveness, live: Pick<State["leases"], "size" | "has">): void {
  if (liveness.expiry.size + liveness.lookAt.size <= 4 * live.size) return;
  for (const map of [liveness.expiry, liveness.reports]) for (const leaseId of map.keys()) if (!live.has(leaseId)) map.delete(leaseId);
  for (const leaseId of [...liveness.lookAt.keys()]) if (!live.has(leaseId)) forgetLook(liveness, leaseId);
}
