/**
 * A device's life: wait for an offer, do it, hand it in, again and again, until it is stopped or turned away. Knows no platform: the link to the coordinator,
 * the state, the data, the clock and the sensors are handed in. Whatever fails on the way is tried again; a kill at any moment costs the work since the last checkpoint.
 */
import type { Dataset } from "../data/dataset.ts";
import type { OpenSamples } from "../data/samples.ts";
import { ProtocolError } from "../protocol/errors.ts";
import type {
  Completion,
  CompletionAnswer,
  DataSummary,
  Heartbeat,
  HeartbeatAnswer,
  ObjectReference,
  Offer,
  OfferAnswer,
  OfferRequest,
  TaskFailure,
} from "../protocol/messages.ts";
import type { Timing } from "../protocol/retry.ts";
import { type TaskKind, taskKinds } from "../protocol/tasks.ts";
import type { ObjectName, Sink } from "../protocol/transfer.ts";
import type { OpenSession } from "../runtime/session.ts";
import { SheafError } from "../util/errors.ts";
import { persist } from "./backoff.ts";
import { keepLease, type LeaseEnd } from "./lease.ts";
import { type Conditions, type Limits, reasonToPause, restMs } from "./limits.ts";
import type { AgentRecord, AgentState } from "./state.ts";
import type { runTask } from "./tasks.ts";
import { doWork, specHash, taskName } from "./work.ts";

/** The coordinator as an agent sees it; calls throw `ProtocolError` for refusals and `ConnectionFailure` for what fails on the way. */
export interface CoordinatorLink {
  offer(request: OfferRequest, signal: AbortSignal): Promise<OfferAnswer>;
  heartbeat(leaseId: string, progress: Heartbeat, signal: AbortSignal): Promise<HeartbeatAnswer>;
  complete(leaseId: string, completion: Completion, signal: AbortSignal): Promise<CompletionAnswer>;
  fail(leaseId: string, failure: TaskFailure, signal: AbortSignal): Promise<unknown>;
  /** Downloads an object, going on from what the sink holds; returns once the hash is right. */
  download(object: ObjectName, sink: Sink, signal: AbortSignal): Promise<void>;
  /** Uploads an object, going on from what the coordinator holds. */
  upload(bytes: Uint8Array, signal: AbortSignal): Promise<void>;
}

/** What an agent tells whoever watches it. */
export type AgentEvent =
  | { readonly type: "waiting" }
  | { readonly type: "paused"; readonly reason: string }
  | { readonly type: "working"; readonly runId: string; readonly taskId: string; readonly kind: TaskKind; readonly resumed: boolean }
  | ({ readonly type: "progress" } & Heartbeat)
  | { readonly type: "made"; readonly taskId: string; readonly outputs: readonly ObjectReference[] }
  | { readonly type: "handedIn"; readonly taskId: string; readonly accepted: boolean; readonly reason?: string }
  | { readonly type: "gaveBack"; readonly taskId: string; readonly failure: TaskFailure }
  | { readonly type: "dropped"; readonly taskId: string; readonly reason: LeaseEnd }
  | { readonly type: "retrying"; readonly what: string; readonly reason: string; readonly delayMs: number }
  | { readonly type: "problem"; readonly message: string };

export interface AgentOptions {
  readonly link: CoordinatorLink;
  readonly state: AgentState;
  /** The device's own data; they stay here. */
  readonly data: Dataset;
  /** Sent with each request for work until the coordinator has answered once. */
  readonly summary?: DataSummary;
  /** Objects that stay in the state whatever the work: data that the device was given. */
  readonly kept?: ReadonlySet<string>;
  readonly openSamples: OpenSamples;
  readonly openSession: OpenSession;
  /** Does a task; `runTask` by default. Another one is for tests and for measuring what is around the tasks. */
  readonly doTask?: typeof runTask;
  readonly limits: Limits;
  readonly conditions: () => Promise<Conditions>;
  /** Waits between tries; `attempts` is not looked at, since an agent does not give up. */
  readonly timing: Timing;
  readonly checkpointSeconds: number;
  /** Hands in no class counts. */
  readonly privateCounts: boolean;
  readonly kinds?: readonly TaskKind[];
  /** Longest time that a request for work may wait for an answer; 25 seconds by default. */
  readonly waitMs?: number;
  /** Time between two looks at the conditions while paused; half a minute by default. */
  readonly pauseMs?: number;
  readonly onEvent: (event: AgentEvent) => void;
  /** Stops the agent; the work under way writes its checkpoint and keeps its lease for a restart. */
  readonly signal: AbortSignal;
}

/** The record of what the device is doing: in memory always, on the disk as far as there is room. */
export interface Records {
  readonly current: AgentRecord;
  change(changes: { readonly [K in keyof AgentRecord]?: AgentRecord[K] | undefined }): Promise<void>;
}

async function openRecords({ state, onEvent }: AgentOptions): Promise<Records> {
  let current = await state.readRecord();
  return {
    get current() {
      return current;
    },
    async change(changes) {
      const all = { ...current, ...changes };
      current = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as AgentRecord;
      try {
        await state.writeRecord(current);
      } catch (error) {
        if (!(error instanceof SheafError && error.code === "storage")) throw error;
        onEvent({ type: "problem", message: error.message });
      }
    },
  };
}

/** What a failed task says to the coordinator. Failures that another try on this device may mend are marked so. */
export function failureOf(error: unknown): TaskFailure {
  const reason = (error instanceof Error ? error.message : String(error)).slice(0, 2000) || "unknown";
  const code = error instanceof SheafError ? error.code : "internal";
  return { code, reason, retry: code === "storage" || code === "unavailable" || code === "corrupt" };
}

/** Whether the coordinator has turned the device away for good: nothing is left to be tried. */
function isFinal(error: unknown): error is ProtocolError {
  if (!(error instanceof ProtocolError)) return false;
  return error.protocolCode === "revoked" || error.protocolCode === "unauthenticated" || error.protocolCode === "versionUnsupported";
}

async function pauseReason({ limits, conditions }: AgentOptions): Promise<string | undefined> {
  return reasonToPause(limits, await conditions());
}

/** Asks for work once; undefined where there was none. */
async function nextOffer(options: AgentOptions, isFirst: boolean): Promise<Offer | undefined> {
  const { link, state, signal, timing, limits, kinds = taskKinds, waitMs = 25_000, summary, onEvent } = options;
  const freeDiskBytes = await state.freeDiskBytes();
  const request: OfferRequest = {
    waitMs,
    capabilities: { kinds, ...(limits.memoryBytes === undefined ? {} : { memoryBytes: limits.memoryBytes }) },
    ...(freeDiskBytes === undefined ? {} : { freeDiskBytes }),
    ...(isFirst && summary ? { data: summary } : {}),
  };
  const onRetry = (error: unknown, delayMs: number): void => onEvent({ type: "retrying", what: "offer", reason: String(error), delayMs });
  const { offer, retryAfterMs } = await persist(() => link.offer(request, signal), { timing, signal, onRetry });
  if (!offer && retryAfterMs > 0) await timing.sleep(retryAfterMs, signal);
  return offer ?? undefined;
}

/** Tells the coordinator that a lease is given back. It is only a courtesy: a lease that is not given back lapses. */
async function giveBack(offer: Offer, failure: TaskFailure, { link, signal, onEvent }: AgentOptions): Promise<void> {
  try {
    await link.fail(offer.leaseId, failure, signal);
  } catch (error) {
    if (isFinal(error)) throw error;
    onEvent({ type: "problem", message: `The lease on ${offer.spec.taskId} could not be given back and will lapse: ${String(error)}` });
  }
  onEvent({ type: "gaveBack", taskId: offer.spec.taskId, failure });
}

/**
 * Says that the device is there, though it may not work now, so that nobody takes it for lost. A lease that it holds, because giving it back failed, is
 * given back.
 */
async function sayPresent(reason: string, options: AgentOptions): Promise<void> {
  try {
    const { offer } = await options.link.offer({ waitMs: 0, capabilities: { kinds: [] } }, options.signal);
    if (offer) await giveBack(offer, { code: "paused", reason, retry: true }, options);
  } catch (error) {
    if (isFinal(error)) throw error;
  }
}

/** Forgets all but what this work, or none, needs. */
async function tidy(offer: Offer | undefined, { state, kept = new Set(), onEvent }: AgentOptions): Promise<void> {
  const objects = new Set([...kept, ...(offer?.inputs.map(({ sha256 }) => sha256) ?? [])]);
  try {
    await state.sweep({ objects, tasks: new Set(offer ? [taskName(offer)] : []) });
  } catch (error) {
    onEvent({ type: "problem", message: `Old files were not deleted: ${String(error)}` });
  }
}

/** A device whose every lease ends at once must not hammer the coordinator. */
const rest = ({ timing, signal }: AgentOptions): Promise<void> =>
  timing.sleep(timing.random() * Math.min(timing.capMs, 10 * timing.baseMs), signal);

/** Works on one lease to its end. What may be needed again (a checkpoint, a result that was not handed in) is kept. */
async function work(offer: Offer, records: Records, options: AgentOptions): Promise<void> {
  const { onEvent, timing, limits, signal } = options;
  const { taskId } = offer.spec;
  const lease = keepLease(offer, { ...options, mayWork: () => pauseReason(options) });
  const pace = async (busyMs: number): Promise<void> => {
    const idleMs = restMs(limits.cpuShare ?? 1, busyMs);
    if (idleMs > 0) await timing.sleep(idleMs, lease.signal);
  };
  const onProgress = (progress: Heartbeat): void => {
    lease.report(progress);
    onEvent({ type: "progress", ...progress });
  };
  try {
    const { accepted, reason } = await doWork(offer, { ...options, records, signal: lease.signal, agentSignal: signal, onProgress, pace });
    // Tidied while the record still names the work: after a kill in between, the coordinator's word that the lease has ended leads here again.
    await tidy(undefined, options);
    await records.change({ work: undefined, made: undefined });
    onEvent({ type: "handedIn", taskId, accepted, ...(reason === undefined ? {} : { reason }) });
  } catch (error) {
    // Who fails at what nobody wants any more (another copy of this device has done it, say) has not failed, and has nothing to keep.
    if (!lease.endOf(error) && !isFinal(error)) await lease.ask();
    const end = lease.endOf(error);
    // Stopped from outside: everything stays as it is for the next life.
    if (signal.aborted && end === undefined) return;
    await records.change({ work: undefined });
    if (end?.type === "refused") throw end.error;
    if (end?.type === "paused") return await giveBack(offer, { code: "paused", reason: end.reason, retry: true }, options);
    if (end) {
      onEvent({ type: "dropped", taskId, reason: end.type });
      // Nobody wants a cancelled result; one whose lease was lost may be asked for again.
      if (end.type === "cancelled") {
        await records.change({ made: undefined });
        await tidy(undefined, options);
      }
      return await rest(options);
    }
    if (isFinal(error)) throw error;
    const failure = failureOf(error);
    await giveBack(offer, failure, options);
    if (!failure.retry) await tidy(undefined, options);
    await rest(options);
  } finally {
    await lease.release();
  }
}

/** A new offer makes room for itself: results and checkpoints of other work are only kept until then. */
async function take(offer: Offer, records: Records, options: AgentOptions): Promise<void> {
  const same = records.current.made?.specSha256 === (await specHash(offer));
  await records.change({ work: offer, ...(same ? {} : { made: undefined }) });
  if (!same) await tidy(offer, options);
}

/** Longest silence of a paused device; it looks at its conditions more often where a person waits for it. */
const mostSilentMs = 30_000;

async function live(options: AgentOptions): Promise<void> {
  const { signal, onEvent, timing, pauseMs = mostSilentMs } = options;
  const records = await openRecords(options);
  let isResumed = records.current.work !== undefined;
  let isFirst = true;
  let silentMs = mostSilentMs;
  while (!signal.aborted) {
    const pause = await pauseReason(options);
    if (pause !== undefined) {
      onEvent({ type: "paused", reason: pause });
      // Work that is kept for later goes on by its lease, which is not touched here.
      if (!records.current.work && silentMs >= mostSilentMs) {
        await sayPresent(pause, options);
        silentMs = 0;
      }
      await timing.sleep(pauseMs, signal);
      silentMs += pauseMs;
      continue;
    }
    silentMs = mostSilentMs;
    let offer = records.current.work;
    if (!offer) {
      if (!isFirst || !isResumed) onEvent({ type: "waiting" });
      offer = await nextOffer(options, isFirst);
      isFirst = false;
      if (!offer) continue;
      await take(offer, records, options);
    }
    onEvent({ type: "working", runId: offer.runId, taskId: offer.spec.taskId, kind: offer.kind, resumed: isResumed });
    isResumed = false;
    await work(offer, records, options);
  }
}

/**
 * Runs an agent until its signal is aborted; then it returns, with everything kept for a restart. It goes on with the work that its state holds.
 * Throws `ProtocolError` when the coordinator turns the device away for good (revoked, unknown, another version), and `corrupt` for a state that cannot be read.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  try {
    await live(options);
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
}
