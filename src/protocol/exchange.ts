/** One request and its answer over fetch: time limits, size limits, and errors that say what happened. No retries, no tokens. */
import { SheafError } from "../util/errors.ts";
import { codeOfStatus, errorBodySchema, ProtocolError } from "./errors.ts";
import { ConnectionFailure, interrupted } from "./retry.ts";
import type { Method } from "./routes.ts";
import { protocolHeader, protocolVersion } from "./version.ts";

/** As the platform's `fetch`, as far as it is used. */
export type Fetch = (
  url: string,
  init: {
    readonly method: Method;
    readonly headers: Record<string, string>;
    readonly body?: string | Uint8Array<ArrayBuffer>;
    readonly signal: AbortSignal;
    readonly redirect: "error";
  },
) => Promise<Response>;

export interface ExchangeRequest {
  readonly method: Method;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Longest silence: until the answer begins, and between two pieces of its body. */
  readonly silenceMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** An answer whose body is still to be read, once. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Pieces of the body as they come. Ending early ends the connection. */
  pieces(): AsyncGenerator<Uint8Array, void, undefined>;
  /** The whole body as text. Throws `ConnectionFailure` when it is cut short, `corrupt` when it is longer than `limitBytes`. */
  text(limitBytes?: number): Promise<string>;
  /** Ends the exchange without reading on; harmless when it has ended. */
  close(): Promise<void>;
}

/** Largest JSON or text answer that is read. */
const maximumTextBytes = 64 * 2 ** 20;

/** Aborts when the caller does or when nothing was heard for `silenceMs`. Holds no listener after `release`. */
function openWatch(silenceMs: number, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let fail: (error: Error) => void;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // Whoever waits for it hears of it; where nobody does, nobody need.
  failed.catch(() => {});
  const stop = (error: Error): void => {
    fail(error);
    controller.abort(error);
  };
  const onAbort = (): void => stop(interrupted());
  const heard = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => stop(new ConnectionFailure(`Nothing was heard for ${silenceMs} ms.`)), silenceMs);
  };
  if (outer?.aborted) onAbort();
  else outer?.addEventListener("abort", onAbort, { once: true });
  heard();
  return {
    signal: controller.signal,
    heard,
    /** The result of `work`, unless the watch fails first. */
    guard: <T>(work: Promise<T>): Promise<T> => Promise.race([work, failed]),
    release(): void {
      clearTimeout(timer);
      outer?.removeEventListener("abort", onAbort);
    },
    abort: () => controller.abort(),
  };
}
type Watch = ReturnType<typeof openWatch>;

/** The words in which platforms tell why a connection failed lie a cause or two deep. */
function reasonOf(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    if (at.message && !parts.includes(at.message)) parts.push(at.message);
  }
  return parts.join(": ").replace(/[.\s]+$/, "") || String(error);
}

function failureOf(error: unknown, where: string, outer: AbortSignal | undefined): Error {
  if (outer?.aborted) return interrupted();
  return new ConnectionFailure(`${where} failed on the way: ${reasonOf(error)}. Check the address and the network.`, { cause: error });
}

function answerOf(response: Response, watch: Watch, where: string, outer: AbortSignal | undefined): Answer {
  let open = true;
  const close = async (): Promise<void> => {
    if (!open) return;
    open = false;
    watch.release();
    watch.abort();
    // A body that a reader holds is let go by the abort; cancelling what is locked would throw.
    if (response.body && !response.body.locked) await response.body.cancel().catch(() => {});
  };
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = response.body?.getReader();
    try {
      for (;;) {
        const next = reader && (await watch.guard(reader.read()));
        if (!next || next.done) break;
        watch.heard();
        yield next.value;
      }
    } catch (error) {
      throw failureOf(error, where, outer);
    } finally {
      reader?.cancel().catch(() => {});
      await close();
    }
  }
  return {
    status: response.status,
    headers: response.headers,
    pieces,
    close,
    async text(limitBytes = maximumTextBytes) {
      const decoder = new TextDecoder("utf-8", { fatal: true });
      let text = "";
      let bytes = 0;
      for await (const piece of pieces()) {
        bytes += piece.length;
        if (bytes > limitBytes)
          throw new SheafError("corrupt", `${where} was answered with more than ${limitBytes} bytes; that is no coordinator's answer.`);
        text += decode(decoder, where, piece);
      }
      const length = response.headers.get("content-length");
      const plain = !response.headers.get("content-encoding");
      if (length !== null && plain && Number(length) !== bytes) {
        throw new ConnectionFailure(`${where} was answered with ${bytes} of ${length} bytes.`);
      }
      return text + decode(decoder, where);
    },
  };
}

/** Text so far, or with no piece what is left at the end. */
function decode(decoder: InstanceType<typeof TextDecoder>, where: string, piece?: Uint8Array): string {
  try {
    return piece ? decoder.decode(piece, { stream: true }) : decoder.decode();
  } catch (cause) {
    throw new ConnectionFailure(`${where} was answered with bytes that are no text, or cut short.`, { cause });
  }
}

/** Retry-After in milliseconds; it comes in seconds or as a date (RFC 9110 section 10.2.3). */
export function readRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** The refusal that an answer is. A body that is not the coordinator's own is told by its status alone. Throws `ConnectionFailure` for one that was cut short. */
async function refusalOf(answer: Answer, where: string, method: Method): Promise<ProtocolError> {
  // The answer to HEAD has the length of a body and none.
  const text = await (method === "HEAD" ? answer.close().then(() => "") : answer.text(2 ** 20)).catch((error: unknown) => {
    // What the coordinator wanted to say is not known: its status alone could mean the end of a device that has only to sign anew.
    if (error instanceof ConnectionFailure) throw error;
    return "";
  });
  const date = Date.parse(answer.headers.get("date") ?? "");
  const retryAfterMs = readRetryAfter(answer.headers.get("retry-after"), Number.isNaN(date) ? Date.now() : date);
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  const parsed = errorBodySchema.safeParse(parseJson(text));
  if (parsed.success) {
    const { code, message, details } = parsed.data.error;
    return new ProtocolError(code, message, { ...(details ? { details } : {}), ...wait });
  }
  return new ProtocolError(codeOfStatus(answer.status), `${where} was answered with HTTP status ${answer.status}.`, wait);
}

/** A JSON value; undefined where the text is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Sends a request. The answer is a success (2xx); its body must be read or closed.
 * Throws `ProtocolError` for a refusal, `ConnectionFailure` for anything on the way, `interrupted` when the caller aborts.
 */
export async function exchange(fetch: Fetch, { method, url, headers, body, silenceMs, signal }: ExchangeRequest): Promise<Answer> {
  const where = `${method} ${new URL(url).pathname}`;
  const watch = openWatch(silenceMs, signal);
  let response: Response;
  try {
    const all = { [protocolHeader]: String(protocolVersion), ...headers };
    // A redirect could take the token to another host.
    const init = { method, headers: all, ...(body === undefined ? {} : { body }), signal: watch.signal, redirect: "error" } as const;
    response = await watch.guard(fetch(url, init));
    watch.heard();
  } catch (error) {
    watch.release();
    watch.abort();
    throw failureOf(error, where, signal);
  }
  const answer = answerOf(response, watch, where, signal);
  const spoken = response.headers.get(protocolHeader);
  if (spoken !== null && spoken !== String(protocolVersion)) {
    await answer.close();
    throw new ProtocolError(
      "versionUnsupported",
      `${where}: the coordinator speaks version ${spoken.slice(0, 20)} of the protocol, this program version ${protocolVersion}; install the same release at both ends.`,
    );
  }
  if (response.ok) return answer;
  throw await refusalOf(answer, where, method);
}
