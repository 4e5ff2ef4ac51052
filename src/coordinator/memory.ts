/** The stores in memory: the simplest honest implementation, for tests and simulated fleets. Nothing survives the process. */
import { SheafError } from "../util/errors.ts";
import { sha256 as hashOf } from "./bytes.ts";
import { checkSequences } from "./sequences.ts";
import type {
  Appended,
  ByteSource,
  EventLog,
  JoinToken,
  ObjectStore,
  SecretStore,
  Sequenced,
  StoredObject,
  UploadAnswer,
  UploadRequest,
} from "./store.ts";
import { uploadIdOf } from "./uploadId.ts";

/** A log that holds its entries in an array. */
export function openMemoryLog<Entry extends Sequenced>(): EventLog<Entry> {
  const entries: Entry[] = [];
  const close = async (): Promise<void> => undefined;
  return {
    lastSequence: async () => entries.length,
    async append(expectedLast, added): Promise<Appended> {
      checkSequences(expectedLast, added);
      if (entries.length !== expectedLast) return { appended: false, lastSequence: entries.length };
      for (const entry of added) entries.push(structuredClone(entry));
      return { appended: true };
    },
    async *read({ after = 0, limit = Number.POSITIVE_INFINITY } = {}) {
      for (let i = after; i < entries.length && i - after < limit; i++) yield structuredClone(entries[i]!);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function gather(source: Uint8Array | ByteSource): Promise<Uint8Array<ArrayBuffer>> {
  if (source instanceof Uint8Array) return new Uint8Array(source);
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(new Uint8Array(piece));
  return join(pieces);
}

function join(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

interface MemoryUpload extends UploadRequest {
  readonly uploadId: string;
  pieces: Uint8Array[];
  offset: number;
  busy: boolean;
  done: boolean;
  touchedAtMs: number;
}

const stateOf = ({ uploadId, offset, done }: MemoryUpload): UploadAnswer => ({ ok: true, upload: { uploadId, offset, done } });

/** Options of the object stores. */
export interface ObjectStoreOptions {
  /** Open uploads an owner may have at once; default 16. */
  readonly maxUploadsPerOwner?: number;
  readonly nowMs?: () => number;
}

/** Objects in a map. */
export function openMemoryObjects({ maxUploadsPerOwner = 16, nowMs = Date.now }: ObjectStoreOptions = {}): ObjectStore {
  const objects = new Map<string, { readonly stored: StoredObject; readonly content: Uint8Array<ArrayBuffer> }>();
  const uploads = new Map<string, MemoryUpload>();
  const keepContent = (sha256: string, content: Uint8Array<ArrayBuffer>): StoredObject => {
    const stored = objects.get(sha256)?.stored ?? { sha256, bytes: content.length, storedAtMs: nowMs() };
    if (!objects.has(sha256)) objects.set(sha256, { stored, content });
    return stored;
  };
  const finish = async (upload: MemoryUpload): Promise<UploadAnswer> => {
    const content = join(upload.pieces);
    upload.pieces = [];
    if ((await hashOf(content)) !== upload.sha256) {
      uploads.delete(upload.uploadId);
      return { ok: false, problem: "wrongHash" };
    }
    keepContent(upload.sha256, content);
    upload.done = true;
    return stateOf(upload);
  };
  const write = async (upload: MemoryUpload, body: ByteSource): Promise<UploadAnswer> => {
    const before = { pieces: upload.pieces.length, offset: upload.offset };
    for await (const piece of body) {
      if (upload.offset + piece.length > upload.bytes) {
        upload.pieces.length = before.pieces;
        upload.offset = before.offset;
        return { ok: false, problem: "tooLong", offset: upload.offset };
      }
      upload.pieces.push(new Uint8Array(piece));
      upload.offset += piece.length;
      upload.touchedAtMs = nowMs();
    }
    return upload.offset === upload.bytes ? finish(upload) : stateOf(upload);
  };
  const close = async (): Promise<void> => undefined;
  return {
    async put(source, expected) {
      const content = await gather(source);
      const sha256 = await hashOf(content);
      if (expected !== undefined && expected !== sha256) throw wrongContent(expected, sha256);
      return keepContent(sha256, content);
    },
    find: async (sha256) => objects.get(sha256)?.stored,
    async read(sha256, range) {
      const content = objects.get(sha256)?.content;
      if (!content) return undefined;
      const part = range ? content.slice(range.start, range.end) : content.slice();
      return new ReadableStream({
        start(controller) {
          if (part.length > 0) controller.enqueue(part);
          controller.close();
        },
      });
    },
    async *list() {
      for (const { stored } of [...objects.values()]) yield stored;
    },
    remove: async (sha256) => objects.delete(sha256),
    async startUpload(request) {
      const uploadId = await uploadIdOf(request);
      if (objects.has(request.sha256)) {
        uploads.delete(uploadId);
        return { ok: true, upload: { uploadId, offset: request.bytes, done: true } };
      }
      const known = uploads.get(uploadId);
      if (known && !known.done) return stateOf(known);
      const open = [...uploads.values()].filter((upload) => upload.owner === request.owner && !upload.done).length;
      if (open >= maxUploadsPerOwner) return { ok: false, problem: "tooMany" };
      const upload: MemoryUpload = { ...request, uploadId, pieces: [], offset: 0, busy: false, done: false, touchedAtMs: nowMs() };
      uploads.set(uploadId, upload);
      return request.bytes === 0 ? finish(upload) : stateOf(upload);
    },
    async continueUpload(owner, uploadId, offset, body) {
      const upload = uploads.get(uploadId);
      if (!upload || upload.owner !== owner) return { ok: false, problem: "unknown" };
      if (upload.done) return stateOf(upload);
      if (upload.busy) return { ok: false, problem: "busy" };
      if (offset !== upload.offset) return { ok: false, problem: "offset", offset: upload.offset };
      upload.busy = true;
      try {
        return await write(upload, body);
      } finally {
        upload.busy = false;
      }
    },
    async collect({ keep, nowMs: now, graceMs }) {
      const orphans = [...objects.values()].filter(({ stored }) => !keep(stored.sha256) && now - stored.storedAtMs >= graceMs);
      const stale = [...uploads.values()].filter((upload) => !upload.busy && now - upload.touchedAtMs >= graceMs);
      for (const { stored } of orphans) objects.delete(stored.sha256);
      for (const { uploadId } of stale) uploads.delete(uploadId);
      const givenUp = stale.filter(({ done }) => !done);
      const bytes = orphans.reduce((sum, { stored }) => sum + stored.bytes, 0) + givenUp.reduce((sum, { offset }) => sum + offset, 0);
      return { objects: orphans.map(({ stored }) => stored.sha256), uploads: givenUp.length, bytes };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The error of content that is not what its name says. */
export function wrongContent(expected: string, got: string): SheafError {
  return new SheafError("corrupt", `An object was announced with SHA-256 ${expected}, and its bytes have ${got}; send it again.`);
}

/** Secrets in maps. */
export function openMemorySecrets(): SecretStore {
  const tokens = new Map<string, { token: JoinToken; readonly users: Set<string> }>();
  const remembered = new Map<string, number>();
  const revoked = new Map<string, number>();
  const close = async (): Promise<void> => undefined;
  return {
    addJoinToken: async (token) => {
      tokens.set(token.tokenHash, { token: { ...token, usesLeft: token.uses }, users: new Set() });
    },
    async useJoinToken(tokenHash, user, nowMs) {
      const found = tokens.get(tokenHash);
      if (!found) return { ok: false, problem: "unknown" };
      if (nowMs >= found.token.expiresAtMs) return { ok: false, problem: "expired" };
      if (!found.users.has(user)) {
        if (found.token.usesLeft <= 0) return { ok: false, problem: "usedUp" };
        found.users.add(user);
        found.token = { ...found.token, usesLeft: found.token.usesLeft - 1 };
      }
      return { ok: true, role: found.token.role };
    },
    removeJoinToken: async (tokenHash) => tokens.delete(tokenHash),
    joinTokens: async () => [...tokens.values()].map(({ token }) => token).sort((a, b) => a.createdAtMs - b.createdAtMs),
    async remember(value, expiresAtMs, nowMs) {
      const until = remembered.get(value);
      if (until !== undefined && until > nowMs) return false;
      remembered.set(value, expiresAtMs);
      return true;
    },
    revoke: async (tokenId, expiresAtMs) => {
      revoked.set(tokenId, expiresAtMs);
    },
    isRevoked: async (tokenId) => revoked.has(tokenId),
    async forget(nowMs) {
      for (const [hash, { token }] of tokens) if (token.expiresAtMs <= nowMs) tokens.delete(hash);
      for (const map of [remembered, revoked]) for (const [key, until] of map) if (until <= nowMs) map.delete(key);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
