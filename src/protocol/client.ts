/** The typed client of the protocol: a call per route of the table, repeated until it is answered, and transfers that go on where they were cut. */
import type { z } from "zod";
import { SheafError } from "../util/errors.ts";
import { invalidRequest, ProtocolError } from "./errors.ts";
import { readEvents, readLines } from "./eventStream.ts";
import { type Answer, exchange, type Fetch, parseJson } from "./exchange.ts";
import { type WatchEvent, watchEventSchema } from "./operatorMessages.ts";
import { ConnectionFailure, defaultTiming, isPassing, openPatience, type Timing } from "./retry.ts";
import {
  type ParameterOf,
  type PathParameters,
  type PlainBody,
  pathParameterSchemas,
  type QueryOf,
  type RequestOf,
  type ResponseOf,
  type Route,
  type RouteName,
  routes,
} from "./routes.ts";
import { type Credentials, openClock, openTokens } from "./tokens.ts";
import { download, memorySink, type ObjectName, type Sink, type Source, upload } from "./transfer.ts";
import { uploadOffsetHeader } from "./version.ts";

/** What a call takes: the path's parameter by name, the query, and the body, as far as the route has them. */
export type CallInput<N extends RouteName> = (ParameterOf<N> extends keyof PathParameters
  ? { readonly [K in ParameterOf<N>]: string }
  : unknown) &
  (RequestOf<N> extends PlainBody ? unknown : { readonly body: RequestOf<N> }) &
  (QueryOf<N> extends undefined ? unknown : { readonly query?: QueryOf<N> });

/** Routes that answer with JSON. */
export type JsonRoute = { [N in RouteName]: ResponseOf<N> extends PlainBody ? never : RequestOf<N> extends "bytes" ? never : N }[RouteName];
/** Routes that answer with so kind of body. */
type RouteOf<B extends PlainBody> = { [N in RouteName]: ResponseOf<N> extends B ? N : never }[RouteName];

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What devices and tools know of a coordinator. Everything may be repeated until it is answered or the attempts are used up. */
export interface Client {
  /**
   * Calls a route. Throws `ProtocolError` for a refusal, `unavailable` when nobody answered, `interrupted` when the signal was aborted,
   * `corrupt` when the answer is not what the route promises.
   * @example await client.call("heartbeat", { leaseId, body: { phase: "training", progress: 0.5 } })
   */
  call<N extends JsonRoute>(name: N, input: CallInput<N>, options?: CallOptions): Promise<ResponseOf<N>>;
  /** Calls a route that answers with text. */
  text<N extends RouteOf<"text">>(name: N, input: CallInput<N>, options?: CallOptions): Promise<string>;
  /** The lines that a route answers with, as they come. Throws `unavailable` when they are cut off; ask again for what follows the last one. */
  lines<N extends RouteOf<"lines">>(name: N, input: CallInput<N>, options?: CallOptions): AsyncIterable<string>;
  /** Length of an object; undefined when it is not there. */
  objectBytes(sha256: string, options?: CallOptions): Promise<number | undefined>;
  /** Downloads an object into a sink, from where the sink is; its hash is checked. Throws `corrupt` when it stays wrong. */
  download(object: ObjectName, sink: Sink, options?: CallOptions): Promise<void>;
  /** Downloads an object into memory. */
  fetchObject(object: ObjectName, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** Uploads an object unless it is there, from where an earlier upload stopped. */
  upload(source: Source, options?: CallOptions): Promise<void>;
  /** Events of a run after sequence number `after`, each once and in order, over as many connections as it takes; ends when the run has. */
  watch(runId: string, options?: CallOptions & { readonly after?: number }): AsyncIterable<WatchEvent>;
  /** Milliseconds since 1970 by the coordinator's clock, as far as its answers told it. */
  serverNow(): number;
}

export interface ClientOptions {
  /** Where the coordinator is, for instance `https://192.168.1.7:8443`. Plain http only for this machine itself. */
  readonly url: string;
  readonly credentials: Credentials;
  readonly fetch?: Fetch;
  readonly timing?: Partial<Timing>;
  /** This machine's clock, milliseconds since 1970. */
  readonly now?: () => number;
  /** Longest silence before a connection is given up, beyond what a long poll may wait. 30 seconds by default. */
  readonly silenceMs?: number;
  /** Allow plain http to other machines; for tests and networks that are safe by other means. */
  readonly allowPlainHttp?: boolean;
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

function baseOf(text: string, allowPlainHttp: boolean): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new SheafError("usage", `"${text}" is no address of a coordinator; give one like https://192.168.1.7:8443.`, { cause });
  }
  const plain = url.protocol === "http:" && (allowPlainHttp || loopback.test(url.hostname));
  if (url.protocol !== "https:" && !plain) {
    throw new SheafError(
      "usage",
      `A coordinator on another machine is reached by https alone, got ${url.protocol}//${url.host}; use the https address.`,
    );
  }
  if (url.username || url.password)
    throw new SheafError("usage", "An address with a user name or password is not used; give the token apart.");
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

interface AnyInput {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string>>;
}

/** Path and query of a call. Throws `invalid` for a parameter that no route takes. */
function pathOf(name: RouteName, input: AnyInput & Partial<PathParameters>): string {
  const { parameter, path, query } = routes[name] as Route;
  const filled = parameter
    ? path.replace(
        `:${parameter}`,
        encodeURIComponent(parsed(pathParameterSchemas[parameter], input[parameter], `The ${parameter} of ${name}`)),
      )
    : path;
  if (!query || !input.query) return filled;
  const search = new URLSearchParams(parsed(query as z.ZodType<Record<string, string>>, input.query, `The query of ${name}`)).toString();
  return search ? `${filled}?${search}` : filled;
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (!result.success) throw invalidRequest(what, result.error);
  return result.data;
}

/** Opens a client; no connection is made before the first call. Throws `usage` for an address that is not taken. */
export function openClient(options: ClientOptions): Client {
  const { credentials, silenceMs = 30_000, now = Date.now } = options;
  const base = baseOf(options.url, options.allowPlainHttp ?? false);
  const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  const timing: Timing = { ...defaultTiming, ...options.timing };
  const clock = openClock(now);
  const tokens = openTokens(credentials, clock, now, async (body) => await json("token", await once("token", { body }, undefined, {})));

  interface Extra {
    readonly headers?: Readonly<Record<string, string>>;
    readonly bytes?: Uint8Array<ArrayBuffer>;
    readonly signal?: AbortSignal | undefined;
  }

  /** One request. */
  async function once(name: RouteName, input: AnyInput, token: string | undefined, { headers, bytes, signal }: Extra): Promise<Answer> {
    const route = routes[name] as Route;
    const hasJson = typeof route.request !== "string";
    const body = hasJson ? JSON.stringify(parsed(route.request as z.ZodType<unknown>, input.body, `The request ${name}`)) : bytes;
    const waitMs = name === "offer" ? ((input.body as { waitMs?: number }).waitMs ?? 0) : 0;
    return await exchange(fetch, {
      method: route.method,
      url: base + pathOf(name, input),
      headers: {
        ...(hasJson ? { "content-type": "application/json" } : bytes ? { "content-type": "application/octet-stream" } : {}),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
      // A chunk on a slow line takes long to be sent before anything can come back.
      silenceMs: silenceMs + waitMs + (bytes ? 4 * silenceMs : 0),
      signal,
    });
  }

  /** One request with a token that should be good, and once more with a new one where it was not. */
  async function send(name: RouteName, input: AnyInput, extra: Extra): Promise<Answer> {
    if ((routes[name] as Route).roles.includes("public")) return await once(name, input, undefined, extra);
    const token = await tokens.current();
    try {
      return await once(name, input, token, extra);
    } catch (error) {
      const stale = error instanceof ProtocolError && (error.protocolCode === "expired" || error.protocolCode === "unauthenticated");
      if (!stale || !tokens.refused(token)) throw error;
      return await once(name, input, await tokens.current(), extra);
    }
  }

  async function json<N extends RouteName>(name: N, answer: Answer): Promise<ResponseOf<N>> {
    const text = await answer.text();
    const value = parseJson(text);
    if (value === undefined)
      throw new ConnectionFailure(`${name} was answered with what is no JSON; check that the address is a coordinator's.`);
    const result = (routes[name].response as unknown as z.ZodType<ResponseOf<N>>).safeParse(value);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    throw new SheafError(
      "corrupt",
      `The answer to ${name} is not as promised at ${issue?.path.join(".") || "its top"}: ${issue?.message}; check that both ends run the same release.`,
    );
  }

  /** Sends until there is a whole answer. Where repeating could do a thing twice, only what was surely not done is repeated. */
  async function repeat<T>(
    name: RouteName,
    input: AnyInput,
    signal: AbortSignal | undefined,
    read: (answer: Answer) => Promise<T>,
  ): Promise<T> {
    const { repeatable } = routes[name] as Route;
    const refused = (error: unknown): boolean =>
      error instanceof ProtocolError && (error.protocolCode === "rateLimited" || error.protocolCode === "unavailable");
    const patience = openPatience(timing, repeatable ? isPassing : refused);
    for (;;) {
      try {
        return await read(await send(name, input, { signal }));
      } catch (error) {
        await patience.wait(error, signal);
      }
    }
  }

  async function call<N extends JsonRoute>(name: N, input: CallInput<N>, { signal }: CallOptions = {}): Promise<ResponseOf<N>> {
    return await repeat(name, input as AnyInput, signal, async (answer) => {
      const answeredAt = now();
      const value = await json(name, answer);
      // A long poll is answered long after it was sent, so only the answer's own time tells.
      if ("now" in value && typeof value.now === "number") clock.learn(value.now, answeredAt, answeredAt);
      return value;
    });
  }

  const openRange = async (sha256: string, offset: number, signal: AbortSignal | undefined): Promise<Answer> =>
    await send("getObject", { sha256 } as AnyInput, {
      // A compressed answer would have other lengths than the object.
      headers: { "accept-encoding": "identity", ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) },
      signal,
    });

  const client: Client = {
    call,
    text: async (name, input, { signal } = {}) => await repeat(name, input as AnyInput, signal, async (answer) => await answer.text()),
    async *lines(name, input, { signal } = {}) {
      yield* readLines(await repeat(name, input as AnyInput, signal, async (answer) => answer.pieces()));
    },
    async objectBytes(sha256, { signal } = {}) {
      try {
        return await repeat("headObject", { sha256 } as AnyInput, signal, async (answer) => {
          await answer.close();
          const length = answer.headers.get("content-length");
          if (length === null) throw new ConnectionFailure(`The length of object ${sha256} was not told.`);
          return Number(length);
        });
      } catch (error) {
        if (error instanceof ProtocolError && error.protocolCode === "notFound") return undefined;
        throw error;
      }
    },
    async download(object, sink, { signal } = {}) {
      await download(object, sink, async (offset) => await openRange(object.sha256, offset, signal), timing, signal);
    },
    async fetchObject(object, callOptions = {}) {
      const sink = memorySink();
      await client.download(object, sink, callOptions);
      return sink.bytes();
    },
    async upload(source, { signal } = {}) {
      const requests = {
        start: async () => {
          const input = { body: { sha256: source.sha256, bytes: source.bytes } };
          return await json("startUpload", await send("startUpload", input, { signal }));
        },
        append: async (uploadId: string, offset: number, chunk: Uint8Array) => {
          const headers = { [uploadOffsetHeader]: String(offset) };
          const bytes = chunk as Uint8Array<ArrayBuffer>;
          return await json("appendUpload", await send("appendUpload", { uploadId } as AnyInput, { headers, bytes, signal }));
        },
      };
      await upload(source, requests, timing, now, signal);
    },
    async *watch(runId, { signal, after } = {}) {
      let last = after;
      const patience = openPatience(timing);
      for (;;) {
        let failure: unknown = new ConnectionFailure("The stream of events ended.");
        try {
          const headers: Record<string, string> = {
            accept: "text/event-stream",
            ...(last === undefined ? {} : { "last-event-id": String(last) }),
          };
          const answer = await send("watchRun", { runId } as AnyInput, { headers, signal });
          if (answer.status === 204) return void (await answer.close());
          for await (const { data } of readEvents(answer.pieces())) {
            const event = watchEventSchema.safeParse(parseJson(data));
            if (!event.success) throw new ConnectionFailure("An event is not as promised.");
            // What was sent again after a reconnection was seen already; what has no place in the log comes as it is.
            if (event.data.sequence > 0) {
              if (last !== undefined && event.data.sequence <= last) continue;
              last = event.data.sequence;
            }
            patience.reset();
            yield event.data;
          }
        } catch (error) {
          failure = error;
        }
        await patience.wait(failure, signal);
      }
    },
    serverNow: clock.now,
  };
  return client;
}
