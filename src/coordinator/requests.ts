/** Reading requests from strangers: bodies with a limit in bytes and in time, JSON by a schema, byte ranges. */
import type { z } from "zod";
import { invalidRequest, ProtocolError } from "../protocol/errors.ts";
import type { ByteRange } from "./store.ts";

/** Limits of one body. */
export interface BodyLimits {
  readonly bytes: number;
  /** Longest wait for the next piece. */
  readonly idleMs: number;
}

const tooLarge = (bytes: number, got: string): ProtocolError =>
  new ProtocolError("tooLarge", `The body must have at most ${bytes} bytes, got ${got}.`);

/** Refuses what can be refused by the headers alone: an announced size beyond the limit, and encodings, since a small body may unpack to a large one. */
export function checkBodyHeaders(headers: Headers, { bytes }: BodyLimits): void {
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.trim().toLowerCase() !== "identity") {
    throw new ProtocolError("unsupportedMediaType", `The body must come without a content encoding, got ${encoding.slice(0, 50)}.`);
  }
  const announced = headers.get("content-length");
  if (announced !== null && Number(announced) > bytes) throw tooLarge(bytes, announced.slice(0, 20));
}

/** The caller has gone, or the line was cut: nobody hears this, but the log should not speak of a defect. */
function cutShort(cause: unknown): never {
  throw new ProtocolError("invalid", "The body was cut short.", { cause });
}

/** The pieces of a body, as long as they keep within the limits. Throws `tooLarge`, `requestTimeout`, and `invalid` for a body that was cut short. */
export async function* limitedBody(
  body: ReadableStream<Uint8Array> | null,
  { bytes, idleMs }: BodyLimits,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (!body) return;
  const reader = body.getReader();
  let total = 0;
  let finished = false;
  try {
    for (;;) {
      const { done, value } = await withinTime(reader.read().catch(cutShort), idleMs);
      if (done) break;
      total += value.length;
      if (total > bytes) throw tooLarge(bytes, "more");
      yield value;
    }
    finished = true;
  } finally {
    // What is left unread must not be kept by anybody.
    if (!finished) void reader.cancel().catch(() => undefined);
    else reader.releaseLock();
  }
}

async function withinTime<T>(promise: Promise<T>, limitMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ProtocolError("requestTimeout", `No byte of the body came for ${limitMs / 1000} s.`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function readText(body: ReadableStream<Uint8Array> | null, limits: BodyLimits): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  try {
    for await (const piece of limitedBody(body, limits)) text += decoder.decode(piece, { stream: true });
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new ProtocolError("invalid", "The body must be UTF-8 text.", { cause: error });
    throw error;
  }
}

/** The value that a schema makes of what a stranger sent. Throws `invalid`, naming the places. */
export function parseBy<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalidRequest(what, parsed.error);
  return parsed.data;
}

/** A JSON body, checked. Throws `unsupportedMediaType`, `tooLarge`, `requestTimeout` and `invalid`. */
export async function readJson<T>(request: Request, schema: z.ZodType<T>, limits: BodyLimits): Promise<T> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new ProtocolError("unsupportedMediaType", `The body must be application/json, got ${type?.slice(0, 50) || "no content type"}.`);
  }
  const text = await readText(request.body, limits);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ProtocolError("invalid", "The body must be JSON.", { cause });
  }
  return parseBy(schema, value, "The body");
}

/** Makes sure that there is no body. */
export async function readNothing(request: Request, limits: BodyLimits): Promise<void> {
  for await (const piece of limitedBody(request.body, { ...limits, bytes: 0 })) void piece;
}

/**
 * The one range that a Range header asks for (RFC 9110, section 14), within an object of `bytes`. Undefined when the whole is to be sent:
 * no header, another unit, several ranges, or one that cannot be read. Throws `rangeNotSatisfiable` when it lies outside.
 */
export function parseRange(header: string | null, bytes: number): ByteRange | undefined {
  const [, from = "", to = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (from === "" && to === "") return undefined;
  const start = from === "" ? Math.max(0, bytes - Number(to)) : Number(from);
  const end = from === "" || to === "" ? bytes : Math.min(bytes, Number(to) + 1);
  if (from !== "" && to !== "" && Number(to) < Number(from)) return undefined;
  if (start >= bytes || end <= start) {
    throw new ProtocolError("rangeNotSatisfiable", `The range must lie within ${bytes} bytes, got ${header}.`);
  }
  return { start, end };
}
