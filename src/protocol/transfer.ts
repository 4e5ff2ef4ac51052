/** Objects over a bad line: downloads and uploads that go on where they were cut, and end with the right bytes or an error that says why. */
import { SheafError } from "../util/errors.ts";
import { ProtocolError } from "./errors.ts";
import type { Answer } from "./exchange.ts";
import type { UploadState } from "./messages.ts";
import { ConnectionFailure, isPassing, openPatience, type Timing } from "./retry.ts";
import { maximumChunkBytes } from "./routes.ts";
import { sha256Of } from "./signing.ts";

/** An object by its name and length. */
export interface ObjectName {
  readonly sha256: string;
  readonly bytes: number;
}

/** Where a download goes; what it holds already is not fetched again. */
export interface Sink {
  /** Bytes held. */
  readonly length: number;
  append(piece: Uint8Array): Promise<void>;
  /** SHA-256 of all bytes held, in lower-case hexadecimal digits. */
  digest(): Promise<string>;
  /** Forgets all bytes. */
  reset(): Promise<void>;
}

/** Where an upload comes from. */
export interface Source extends ObjectName {
  /** Bytes [start, end). */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** A sink in memory. */
export function memorySink(): Sink & { bytes(): Uint8Array<ArrayBuffer> } {
  let pieces: Uint8Array[] = [];
  let length = 0;
  const bytes = (): Uint8Array<ArrayBuffer> => {
    const all = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  };
  return {
    get length() {
      return length;
    },
    async append(piece) {
      pieces.push(piece.slice());
      length += piece.length;
    },
    digest: async () => await sha256Of(bytes()),
    async reset() {
      pieces = [];
      length = 0;
    },
    bytes,
  };
}

/** Bytes in memory as a source. */
export async function memorySource(bytes: Uint8Array): Promise<Source> {
  return { sha256: await sha256Of(bytes), bytes: bytes.length, read: async (start, end) => bytes.slice(start, end) };
}

/** How often bytes may come out wrong before the fault is not the line's. */
const wrongHashes = 3;

/** Where the bytes of an answer to a range request begin. Throws `ConnectionFailure` for a range that was not asked for. */
function startOf(answer: Answer, offset: number, total: number): number {
  if (answer.status !== 206) return 0;
  const range = answer.headers.get("content-range") ?? "";
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range);
  if (!match || Number(match[1]) !== offset || (match[3] !== "*" && Number(match[3]) !== total)) {
    throw new ConnectionFailure(`Asked for bytes from ${offset} of ${total}, got the range "${range.slice(0, 100)}".`);
  }
  return offset;
}

/** Appends what an answer brings, and no more than the object has. */
async function fill(sink: Sink, answer: Answer, { sha256, bytes }: ObjectName, onProgress: () => void): Promise<void> {
  for await (const piece of answer.pieces()) {
    if (sink.length + piece.length > bytes) {
      await sink.reset();
      throw new ConnectionFailure(`Object ${sha256} has ${bytes} bytes, but more were sent.`);
    }
    await sink.append(piece);
    if (piece.length > 0) onProgress();
  }
  if (sink.length < bytes) throw new ConnectionFailure(`Object ${sha256} was cut short at ${sink.length} of ${bytes} bytes.`);
}

/**
 * Downloads an object into `sink`, from where the sink is. `open` sends one request for the bytes from an offset on.
 * Throws `corrupt` when the bytes have another hash three times, and what `open` throws when it is final.
 */
export async function download(
  object: ObjectName,
  sink: Sink,
  open: (offset: number) => Promise<Answer>,
  timing: Timing,
  signal: AbortSignal | undefined,
): Promise<void> {
  const patience = openPatience(timing);
  let wrong = 0;
  let furthest = 0;
  // Bytes fetched once more are no progress, or a line that always fails at one place would be tried for ever.
  const onProgress = (): void => {
    if (sink.length <= furthest) return;
    furthest = sink.length;
    patience.reset();
  };
  for (;;) {
    try {
      if (sink.length > object.bytes) await sink.reset();
      // An empty object and one that is all there need no request.
      if (sink.length < object.bytes) {
        const offset = sink.length;
        const answer = await open(offset);
        try {
          if (startOf(answer, offset, object.bytes) !== offset) await sink.reset();
          await fill(sink, answer, object, onProgress);
        } finally {
          await answer.close();
        }
      }
      const digest = await sink.digest();
      if (digest === object.sha256) return;
      await sink.reset();
      wrong++;
      if (wrong >= wrongHashes || object.bytes === 0) {
        throw new SheafError(
          "corrupt",
          `Object ${object.sha256} came ${wrong} times with another hash (${digest} at last); the coordinator's copy or a proxy on the way is damaged.`,
        );
      }
      throw new ConnectionFailure(`Object ${object.sha256} came with hash ${digest}.`);
    } catch (error) {
      await patience.wait(error, signal);
    }
  }
}

/** Requests that an upload is made of; each sends once. */
export interface UploadRequests {
  start(): Promise<UploadState>;
  append(uploadId: string, offset: number, chunk: Uint8Array): Promise<UploadState>;
}

const firstChunkBytes = 2 ** 18;
const leastChunkBytes = 2 ** 14;
/** A chunk that takes less than this is followed by one twice as long. */
const quickMs = 2000;

/** Errors after which an upload asks where it stands and goes on: it may be elsewhere than thought, or was dropped. */
const goesOn = (error: unknown): boolean =>
  isPassing(error) || (error instanceof ProtocolError && ["conflict", "notFound", "unacceptable"].includes(error.protocolCode));

function checkState({ offset, done }: UploadState, { sha256, bytes }: Source): void {
  if (offset > bytes || (done && offset !== bytes)) {
    throw new SheafError("corrupt", `The coordinator says that ${offset} of ${bytes} bytes of object ${sha256} are there; that cannot be.`);
  }
}

/**
 * Uploads an object from wherever the coordinator already is, in chunks that grow on a quick line and shrink on a bad one.
 * Throws `corrupt` when the coordinator found another hash three times, and what the requests throw when it is final.
 */
export async function upload(
  source: Source,
  requests: UploadRequests,
  timing: Timing,
  now: () => number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const patience = openPatience(timing, goesOn);
  let chunkBytes = firstChunkBytes;
  let wrong = 0;
  let furthest = 0;
  for (;;) {
    try {
      let state = await requests.start();
      checkState(state, source);
      while (!state.done) {
        const { offset, uploadId } = state;
        const chunk = await source.read(offset, Math.min(source.bytes, offset + chunkBytes));
        const startedAt = now();
        state = await requests.append(uploadId, offset, chunk);
        checkState(state, source);
        if (!state.done && state.offset <= offset)
          throw new ConnectionFailure(`The upload of object ${source.sha256} stays at byte ${offset}.`);
        // As with downloads, only what is new counts.
        if (state.offset > furthest) {
          furthest = state.offset;
          patience.reset();
        }
        if (now() - startedAt < quickMs) chunkBytes = Math.min(maximumChunkBytes, chunkBytes * 2);
      }
      return;
    } catch (error) {
      chunkBytes = Math.max(leastChunkBytes, Math.floor(chunkBytes / 2));
      if (error instanceof ProtocolError && error.protocolCode === "unacceptable" && ++wrong >= wrongHashes) {
        throw new SheafError(
          "corrupt",
          `Object ${source.sha256} arrived ${wrong} times with another hash; the file has changed or is damaged: ${error.message}`,
          { cause: error },
        );
      }
      await patience.wait(error, signal);
    }
  }
}
