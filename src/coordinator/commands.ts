/** What can be asked of the coordinator, and what each command is answered with: types alone, which `decide.ts` gives their meaning. */
import type { ProtocolErrorCode } from "../protocol/errors.ts";
import type { Heartbeat, ObjectReference, SampleUse } from "../protocol/messages.ts";
import type { DeviceFacts, Fact, Measured, RunDefinition, Slot } from "./events.ts";
import type { Liveness, Signs } from "./liveness.ts";
import type { Asking } from "./schedule.ts";
import type { Lease, Run, Task } from "./state.ts";

/** What the gate says of a result: whether it may enter the model, and what it measured. */
export type Verdict =
  | { readonly accepted: true; readonly evaluation?: Readonly<Record<string, number>> | undefined }
  | { readonly accepted: false; readonly reason: string };

/** A result of a task, as a device hands it in. */
export interface Submission {
  readonly deviceId: string;
  readonly leaseId: string;
  readonly outputs: readonly ObjectReference[];
}

interface CommandData {
  /** Writes down what the rim did. */
  readonly noteJoinToken: {
    readonly by: string;
    readonly role: "device" | "viewer" | "admin";
    readonly uses: number;
    readonly expiresAt: number;
  };
  /** The same key again is the same device, whose facts may have changed. */
  readonly enrol: DeviceFacts & { readonly publicKey: string };
  readonly requestOffer: Asking & { readonly data?: DeviceFacts["data"] | undefined };
  /** The same device gets the same shard again. */
  readonly takeShard: { readonly deviceId: string; readonly runId: string | null };
  readonly heartbeat: { readonly deviceId: string; readonly leaseId: string; readonly report: Heartbeat };
  /** Ask `judgementOf` first: only where it says `inspect` is there anything for a gate to look at. */
  readonly complete: Submission & { readonly measured: Measured; readonly use?: SampleUse | undefined; readonly verdict: Verdict };
  readonly fail: {
    readonly deviceId: string;
    readonly leaseId: string;
    readonly code: string;
    readonly reason: string;
    readonly retry: boolean;
  };
  /** Time has passed. */
  readonly tick: object;
  readonly createRun: { readonly definition: RunDefinition };
  readonly pauseRun: { readonly runId: string };
  readonly resumeRun: { readonly runId: string };
  readonly cancelRun: { readonly runId: string };
  readonly archiveRun: { readonly runId: string };
  readonly requestHarvest: { readonly runId: string };
  readonly harvestMade: {
    readonly runId: string;
    readonly harvestId: string;
    readonly outputs: readonly ObjectReference[];
    readonly head: string;
  };
  readonly harvestFailed: { readonly runId: string; readonly harvestId: string; readonly reason: string };
  readonly runAssembled: { readonly runId: string; readonly outputs: readonly ObjectReference[] };
  readonly assemblyFailed: { readonly runId: string; readonly reason: string };
  readonly revokeDevice: { readonly deviceId: string; readonly reason: string };
  readonly excuseDevice: { readonly runId: string; readonly deviceId: string; readonly reason: string };
}

/** A lease with what it is for. */
export interface Assignment {
  readonly lease: Lease;
  readonly run: Run;
  readonly task: Task;
  readonly slot: Slot;
  readonly expiresAt: number;
}

export interface Answer {
  readonly accepted: boolean;
  readonly reason?: string | undefined;
}

/** What each command is answered with. */
export interface Replies {
  readonly noteJoinToken: object;
  readonly enrol: { readonly deviceId: string };
  readonly requestOffer: { readonly assignment: Assignment | undefined };
  readonly takeShard: { readonly runId: string; readonly shard: number };
  readonly heartbeat: { readonly expiresAt: number; readonly cancel: boolean };
  readonly complete: Answer;
  readonly fail: object;
  readonly tick: object;
  readonly createRun: { readonly runId: string };
  readonly pauseRun: object;
  readonly resumeRun: object;
  readonly cancelRun: object;
  readonly archiveRun: object;
  readonly requestHarvest: { readonly harvestId: string };
  readonly harvestMade: object;
  readonly harvestFailed: object;
  readonly runAssembled: object;
  readonly assemblyFailed: object;
  readonly revokeDevice: object;
  readonly excuseDevice: object;
}

export type CommandType = keyof CommandData;
export type CommandOf<T extends CommandType> = { readonly type: T } & CommandData[T];
/** Anything that can be asked of the coordinator. */
export type Command = { readonly [T in CommandType]: CommandOf<T> }[CommandType];

/** Why a command was not carried out. */
export interface Refusal {
  readonly ok: false;
  readonly code: ProtocolErrorCode;
  readonly message: string;
}

export type Decision<Reply> =
  | { readonly ok: true; readonly facts: readonly Fact[]; readonly reply: Reply; readonly signs: Signs }
  | Refusal;

export interface DecisionContext {
  /** Milliseconds since 1970. Must not jump while the process lives: take the time at the start and a monotonic clock from there. */
  readonly now: number;
  /** A name that nothing else has; letters, digits, `_` and `-`. */
  readonly newId: () => string;
  readonly liveness: Liveness;
}
