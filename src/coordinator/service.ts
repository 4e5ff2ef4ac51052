/**
 * What the HTTP server asks of the coordinator behind it. The server speaks HTTP, knows who calls and keeps bytes; everything else, such as
 * whose lease is whose, is decided behind this interface, so that a test can put a fake there.
 */
import type { Invitation } from "../protocol/invitation.ts";
import type { EnrolmentClaim, ObjectReference } from "../protocol/messages.ts";
import type { WatchEvent } from "../protocol/operatorMessages.ts";
import type { QueryOf, RequestOf, ResponseOf } from "../protocol/routes.ts";

/** Who calls, proven by a token. */
export interface Caller {
  readonly role: "device" | "viewer" | "admin";
  /** Device id of a device; a label for people otherwise. */
  readonly subject: string;
  readonly tokenId: string;
  readonly expiresAtMs: number;
}

/** Routes that the coordinator answers by itself; the server passes them on. */
export const commandRoutes = [
  "takeShard",
  "offer",
  "heartbeat",
  "complete",
  "fail",
  "listRuns",
  "createRun",
  "getRun",
  "pauseRun",
  "resumeRun",
  "cancelRun",
  "archiveRun",
  "harvestRun",
  "excuseDevice",
  "listDevices",
  "revokeDevice",
] as const;
export type CommandRoute = (typeof commandRoutes)[number];

/** A checked request. */
export interface CommandOf<N extends CommandRoute> {
  readonly route: N;
  readonly caller: Caller;
  /** The path's parameter: the lease's, run's or device's id; empty where the path has none. */
  readonly parameter: string;
  readonly query: QueryOf<N> | undefined;
  /** The JSON body; `none` where the route takes none. */
  readonly body: RequestOf<N>;
  /** Aborts when the caller is gone or the server closes: long polls end then. */
  readonly signal: AbortSignal;
}

/** What the server records of its own doing in the coordinator's log, for auditors. No secrets. */
export interface AuditNote {
  readonly type: "joinToken.created";
  /** Role and subject of the administrator. */
  readonly by: string;
  readonly role: Caller["role"];
  readonly uses: number;
  readonly expiresAt: number;
}

/**
 * The coordinator as the server sees it. Each method throws a `ProtocolError` with the code that the caller shall get:
 * `notFound` for what does not exist, `forbidden` for another device's lease, `leaseLost` for one that has lapsed, `conflict` for a wrong state.
 */
export interface Coordinator {
  apply<N extends CommandRoute>(command: CommandOf<N>): Promise<ResponseOf<N>>;
  /** Makes a device known; the same key again gives the same id. The join token was checked and counted. Throws `revoked` for a revoked key. */
  enrol(enrolment: Omit<EnrolmentClaim, "joinToken" | "at" | "nonce">): Promise<{ readonly deviceId: string }>;
  /** Runs that a new device may take part in. */
  invited(): Promise<Invitation["runs"]>;
  device(deviceId: string): Promise<{ readonly publicKey: string; readonly revoked: boolean } | undefined>;
  /** Whether a lease that the device holds names the object, as an input or as an output that it uploaded, or it is the shard that the device took. */
  mayRead(deviceId: string, sha256: string): Promise<boolean>;
  /** Whether the device holds a lease that such an object could be a result of. */
  mayUpload(deviceId: string, object: { readonly sha256: string; readonly bytes: number }): Promise<boolean>;
  /**
   * Events of a run after the sequence `after`, then those that come, until `signal` or the run's end. Undefined when the run has ended and
   * has no event after `after`. Throws `notFound` when there is no such run.
   */
  watch(runId: string, after: number, signal: AbortSignal): Promise<AsyncIterable<WatchEvent> | undefined>;
  /** The run's model; undefined before there is one. Throws `notFound` when there is no such run. */
  model(runId: string): Promise<ObjectReference | undefined>;
  /** Entries of the log after the sequence `after`. */
  audit(after: number): AsyncIterable<unknown>;
  note(note: AuditNote): Promise<void>;
}
