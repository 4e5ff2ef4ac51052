/**
 * Unfinished uploads as files `uploads/<id>.<sha256>.<bytes>.part`. The name says all there is to know and the size is the offset, so that
 * nothing else needs to be written and a restart finds every upload where it was. The hash at the end judges what a power cut spoiled.
 */
import { join } from "node:path";
import { storageError } from "../util/files.node.ts";
import { sha256HexOfFile } from "../util/hash.node.ts";
import { type FileOperations, fileFacts, namesIn, type WriteHandle } from "./fileOperations.node.ts";
import type { ByteSource, StoredObject, UploadAnswer, UploadRequest } from "./store.ts";
import { uploadIdOf } from "./uploadId.ts";

/** Ending of files that mean nothing after a restart. */
export const temporarySuffix = ".tmp";

interface PartialUpload {
  readonly uploadId: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly path: string;
  /** Unknown after a restart, until the owner asks for it again. */
  owner: string | undefined;
  offset: number;
  touchedAtMs: number;
  busy: boolean;
}

interface UploadsOptions {
  readonly folder: string;
  readonly operations: FileOperations;
  readonly nowMs: () => number;
  readonly find: (sha256: string) => Promise<StoredObject | undefined>;
  readonly adopt: (path: string, sha256: string) => Promise<void>;
  readonly maxUploadsPerOwner: number;
  readonly freeBytes: (folder: string) => Promise<number>;
  readonly reserveBytes: number;
}

/** The upload half of the file store. */
export interface Uploads {
  start(request: UploadRequest): Promise<UploadAnswer>;
  proceed(owner: string, uploadId: string, offset: number, body: ByteSource): Promise<UploadAnswer>;
  collect(nowMs: number, graceMs: number): Promise<{ readonly count: number; readonly bytes: number }>;
  close(): Promise<void>;
}

const namePattern = /^([0-9a-f]{32})\.([0-9a-f]{64})\.(\d{1,15})\.part$/;

/** Finished uploads whose last answer may have been lost; older ones are found by their object. */
const rememberedFinished = 4096;

async function findPartials(folder: string): Promise<Map<string, PartialUpload>> {
  const found = new Map<string, PartialUpload>();
  for (const name of await namesIn(folder)) {
    const [, uploadId, sha256, bytes] = namePattern.exec(name) ?? [];
    const path = join(folder, name);
    const facts = await fileFacts(path);
    if (!uploadId || !sha256 || !bytes || !facts) continue;
    const common = { owner: undefined, offset: facts.bytes, touchedAtMs: facts.changedAtMs, busy: false };
    found.set(uploadId, { uploadId, sha256, bytes: Number(bytes), path, ...common });
  }
  return found;
}

/** Finds the uploads that were under way and takes new ones. */
export async function openUploads(options: UploadsOptions): Promise<Uploads> {
  const { folder, operations, nowMs } = options;
  const partials = await findPartials(folder);
  /** Uploads by owner, of those whose owner is known, and bytes that all of them have yet to bring. */
  const byOwner = new Map<string, Set<string>>();
  let promised = [...partials.values()].reduce((sum, { bytes, offset }) => sum + bytes - offset, 0);
  const own = ({ owner, uploadId }: PartialUpload): void => {
    if (owner !== undefined) byOwner.set(owner, (byOwner.get(owner) ?? new Set()).add(uploadId));
  };
  const moveTo = (upload: PartialUpload, offset: number): void => {
    promised -= offset - upload.offset;
    upload.offset = offset;
  };
  const forget = (upload: PartialUpload): void => {
    if (!partials.delete(upload.uploadId)) return;
    promised -= upload.bytes - upload.offset;
    const uploads = byOwner.get(upload.owner ?? "");
    uploads?.delete(upload.uploadId);
    if (uploads?.size === 0) byOwner.delete(upload.owner ?? "");
  };
  const finished = new Map<string, Pick<UploadRequest, "owner" | "bytes">>();
  const writing = new Set<Promise<unknown>>();
  const stateOf = ({ uploadId, offset }: PartialUpload): UploadAnswer => ({ ok: true, upload: { uploadId, offset, done: false } });
  const doneState = (uploadId: string, bytes: number): UploadAnswer => ({ ok: true, upload: { uploadId, offset: bytes, done: true } });

  const drop = async (upload: PartialUpload): Promise<void> => {
    forget(upload);
    await operations.remove(upload.path);
  };
  const finish = async (upload: PartialUpload, handle: WriteHandle): Promise<UploadAnswer> => {
    await handle.sync();
    if ((await sha256HexOfFile(upload.path, "upload")) !== upload.sha256) {
      await drop(upload);
      return { ok: false, problem: "wrongHash" };
    }
    await options.adopt(upload.path, upload.sha256);
    forget(upload);
    finished.set(upload.uploadId, { owner: upload.owner ?? "", bytes: upload.bytes });
    if (finished.size > rememberedFinished) finished.delete(finished.keys().next().value!);
    return doneState(upload.uploadId, upload.bytes);
  };
  const write = async (upload: PartialUpload, body: ByteSource): Promise<UploadAnswer> => {
    const before = upload.offset;
    const handle = await operations.openWrite(upload.path);
    try {
      for await (const piece of body) {
        if (upload.offset + piece.length > upload.bytes) {
          await handle.truncate(before);
          moveTo(upload, before);
          return { ok: false, problem: "tooLong", offset: before };
        }
        await handle.write(piece, upload.offset);
        moveTo(upload, upload.offset + piece.length);
        upload.touchedAtMs = nowMs();
      }
      return upload.offset >= upload.bytes ? await finish(upload, handle) : stateOf(upload);
    } finally {
      await handle.close();
    }
  };
  /** One writer at a time; `close` waits for it. */
  const exclusively = async (upload: PartialUpload, action: () => Promise<UploadAnswer>): Promise<UploadAnswer> => {
    upload.busy = true;
    const running = action();
    const settled = running.then(
      () => undefined,
      () => undefined,
    );
    writing.add(settled);
    try {
      return await running;
    } catch (error) {
      throw isFileError(error) ? storageError(error, upload.path) : error;
    } finally {
      upload.busy = false;
      writing.delete(settled);
    }
  };
  const room = async (bytes: number): Promise<boolean> => (await options.freeBytes(folder)) - promised - bytes >= options.reserveBytes;
  return {
    async start(request) {
      const uploadId = await uploadIdOf(request);
      const stored = await options.find(request.sha256);
      const known = partials.get(uploadId);
      if (stored) {
        if (known && !known.busy) await drop(known);
        return doneState(uploadId, stored.bytes);
      }
      if (known) {
        known.owner = request.owner;
        own(known);
        // All bytes are there and the crash came before the hash was checked.
        if (known.offset >= known.bytes && !known.busy) return exclusively(known, () => write(known, []));
        return stateOf(known);
      }
      if ((byOwner.get(request.owner)?.size ?? 0) >= options.maxUploadsPerOwner) {
        return { ok: false, problem: "tooMany" };
      }
      if (!(await room(request.bytes))) return { ok: false, problem: "full" };
      const path = join(folder, `${uploadId}.${request.sha256}.${request.bytes}.part`);
      const upload: PartialUpload = { ...request, uploadId, path, offset: 0, touchedAtMs: nowMs(), busy: false };
      partials.set(uploadId, upload);
      promised += upload.bytes;
      own(upload);
      return exclusively(upload, () => write(upload, []));
    },
    async proceed(owner, uploadId, offset, body) {
      const upload = partials.get(uploadId);
      const earlier = finished.get(uploadId);
      if (!upload && earlier?.owner === owner) return doneState(uploadId, earlier.bytes);
      // After a restart the owner is known by the name: only the same owner gives this id.
      if (!upload || (await uploadIdOf({ owner, sha256: upload.sha256, bytes: upload.bytes })) !== uploadId) {
        return { ok: false, problem: "unknown" };
      }
      upload.owner = owner;
      own(upload);
      if (upload.busy) return { ok: false, problem: "busy" };
      if (offset !== upload.offset) return { ok: false, problem: "offset", offset: upload.offset };
      return exclusively(upload, () => write(upload, body));
    },
    async collect(now, graceMs) {
      const stale = [...partials.values()].filter((upload) => !upload.busy && now - upload.touchedAtMs >= graceMs);
      for (const upload of stale) await drop(upload);
      return { count: stale.length, bytes: stale.reduce((sum, upload) => sum + upload.offset, 0) };
    },
    async close() {
      await Promise.all(writing);
    },
  };
}

const isFileError = (error: unknown): boolean => error instanceof Error && "code" in error && "syscall" in error;
