/**
 * What the coordinator keeps: a log of events, objects named by their hash, and the few secrets behind enrolment. Interfaces only;
 * `memory.ts` is the reference implementation, `sqliteLog.node.ts` and `fileObjects.node.ts` the embedded one, `storeContract.fixture.ts` judges all.
 */

/** What a log needs to know of an entry: its place. Sequences begin at 1 and have no gaps. */
export interface Sequenced {
  readonly sequence: number;
}

/** Answer to an append: a conflict is data, since two coordinators over one log are an expected case. */
export type Appended = { readonly appended: true } | { readonly appended: false; readonly lastSequence: number };

/** An append-only log of JSON values. Entries are never changed, and a reader sees them in order of `sequence`. */
export interface EventLog<Entry extends Sequenced> extends AsyncDisposable {
  /** Sequence of the newest entry; 0 when the log is empty. */
  lastSequence(): Promise<number>;
  /**
   * Adds all entries or none, and only when the log still ends at `expectedLast`; their sequences go on from there without a gap
   * (anything else is an `internal` error). They are on the disk when the promise resolves. Throws `storage`.
   */
  append(expectedLast: number, entries: readonly Entry[]): Promise<Appended>;
  /** Entries after the sequence `after` (default 0), oldest first, at most `limit`. */
  read(options?: { readonly after?: number; readonly limit?: number }): AsyncIterable<Entry>;
  /** Twice is fine. */
  close(): Promise<void>;
}

export interface StoredObject {
  /** Name of the object: SHA-256 of its bytes, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  readonly bytes: number;
  readonly storedAtMs: number;
}

/** Bytes from `start` up to and without `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A body that arrives in pieces; a cut connection is an error thrown by the iteration. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface UploadRequest {
  /** Who uploads; an upload is continued by its owner alone. */
  readonly owner: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface UploadState {
  readonly uploadId: string;
  /** Bytes that have arrived. */
  readonly offset: number;
  readonly done: boolean;
}

/**
 * Why an upload cannot go on:
 * `unknown` no such upload of this owner; `offset` the next byte expected is another; `busy` another request writes to it now;
 * `tooLong` more bytes than announced (the request is undone); `wrongHash` all bytes came and are not what was announced (they are dropped);
 * `tooMany` the owner has too many open uploads; `full` too little room.
 */
export type UploadProblem = "unknown" | "offset" | "busy" | "tooLong" | "wrongHash" | "tooMany" | "full";

export type UploadAnswer =
  | { readonly ok: true; readonly upload: UploadState }
  | { readonly ok: false; readonly problem: UploadProblem; readonly offset?: number };

export interface CollectOptions {
  /** Whether an object is still referred to. */
  readonly keep: (sha256: string) => boolean;
  readonly nowMs: number;
  /** Objects and unfinished uploads younger than this stay: what refers to them may not be in the log yet. */
  readonly graceMs: number;
}

export interface Collected {
  readonly objects: readonly string[];
  readonly uploads: number;
  readonly bytes: number;
}

/**
 * Immutable objects named by their hash. An object is visible whole or not at all, whatever crashes; what was visible stays so
 * until `remove` or `collect`. A name that is no hash is never found.
 */
export interface ObjectStore extends AsyncDisposable {
  /** Stores bytes that the coordinator made; on the disk when the promise resolves. With `sha256`, throws `corrupt` when the bytes are others. Throws `storage`. */
  put(source: Uint8Array | ByteSource, sha256?: string): Promise<StoredObject>;
  find(sha256: string): Promise<StoredObject | undefined>;
  /** Undefined when there is no such object. The range must lie within the object. */
  read(sha256: string, range?: ByteRange): Promise<ReadableStream<Uint8Array<ArrayBuffer>> | undefined>;
  list(): AsyncIterable<StoredObject>;
  /** False when there was none. */
  remove(sha256: string): Promise<boolean>;
  /** Opens an upload, or finds the one that this owner opened before, or says `done` when the object is there. Throws `storage`. */
  startUpload(request: UploadRequest): Promise<UploadAnswer>;
  /**
   * Writes at `offset`. When the body is cut short, what arrived stays and the error is passed on: the owner asks `startUpload` where to go on.
   * The last byte makes the object visible, if its hash is the announced one. Throws `storage`.
   */
  continueUpload(owner: string, uploadId: string, offset: number, body: ByteSource): Promise<UploadAnswer>;
  /** Removes objects that nothing refers to, and uploads that were given up. */
  collect(options: CollectOptions): Promise<Collected>;
  /** Waits for what is being written and closes; twice is fine. */
  close(): Promise<void>;
}

/** What a reader of objects needs. */
export type ObjectReader = Pick<ObjectStore, "find" | "read">;

export type JoinRole = "device" | "viewer" | "admin";

/** A join token at rest: only its hash is kept, so that a copy of the data directory lets nobody in. */
export interface JoinToken {
  /** SHA-256 of the token's text. */
  readonly tokenHash: string;
  readonly role: JoinRole;
  readonly uses: number;
  readonly usesLeft: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

export type JoinTokenUse =
  | { readonly ok: true; readonly role: JoinRole }
  | { readonly ok: false; readonly problem: "unknown" | "expired" | "usedUp" };

/** Secrets of the rim. They are kept out of the event log, which watchers and auditors may read. */
export interface SecretStore extends AsyncDisposable {
  addJoinToken(token: Omit<JoinToken, "usesLeft">): Promise<void>;
  /** Counts one use. The same `user` again counts nothing and succeeds until the token expires: its first answer may have been lost. */
  useJoinToken(tokenHash: string, user: string, nowMs: number): Promise<JoinTokenUse>;
  /** False when there was none. */
  removeJoinToken(tokenHash: string): Promise<boolean>;
  joinTokens(): Promise<readonly JoinToken[]>;
  /** True the first time a value is seen before it expires; false for a replay. */
  remember(value: string, expiresAtMs: number, nowMs: number): Promise<boolean>;
  /** Refuses the access token with this id from now on; kept until the token would have expired. */
  revoke(tokenId: string, expiresAtMs: number): Promise<void>;
  isRevoked(tokenId: string): Promise<boolean>;
  /** Forgets what has expired. */
  forget(nowMs: number): Promise<void>;
  close(): Promise<void>;
}

const hashPattern = /^[0-9a-f]{64}$/;

/** Whether a string can name an object. Whatever becomes part of a path passes here first. */
export function isObjectName(text: string): boolean {
  return hashPattern.test(text);
}
