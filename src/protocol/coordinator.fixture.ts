/** A coordinator in memory behind a `fetch` that fails on demand: objects, uploads, tokens and a few calls, for tests of the client. */
import { errorBody, ProtocolError } from "./errors.ts";
import type { Fetch } from "./exchange.ts";
import type { TokenRequest } from "./messages.ts";
import { sha256Of, verifyTokenRequest } from "./signing.ts";
import { protocolHeader, uploadOffsetHeader } from "./version.ts";

/** What may happen to one request. */
export const faults = [
  /** Nothing arrives. */
  "refused",
  /** The request is done, and its answer is lost. */
  "lost",
  /** The answer breaks off with an error. */
  "cut",
  /** The answer ends early as if it were whole. */
  "truncated",
  /** The request arrives twice, and the second answer is the one that comes back. */
  "duplicated",
  /** No answer comes, ever. */
  "hung",
  /** The answer begins and goes no further. */
  "stalled",
  "busy",
  /** A proxy's page. */
  "badGateway",
  /** One byte of the object that was asked for is another. */
  "garbled",
  /** One byte of the request's body is another. */
  "garbledUp",
  /** The Range header is lost on the way. */
  "rangeless",
] as const;
export type Fault = (typeof faults)[number] | "none";

export interface FakeCoordinator {
  readonly fetch: Fetch;
  readonly objects: Map<string, Uint8Array>;
  /** Every request that arrived, as `METHOD /path`. */
  readonly log: string[];
  /** Faults of the requests to come, in order; none after the last. */
  readonly faults: Fault[];
  /** Largest number of bytes sent in one piece. */
  pieceBytes: number;
  /** Answers other than the built-in ones. */
  readonly answers: Map<string, (request: Request) => Response | Promise<Response>>;
  /** Public key of the one device, whose tokens live this long. */
  device: { id: string; publicKey: string; tokenMs: number } | undefined;
  /** The coordinator's clock. */
  now: () => number;
}

export const jsonResponse = (value: unknown, status = 200, headers: Record<string, string> = {}): Response => {
  const text = JSON.stringify(value);
  return new Response(text, {
    status,
    headers: {
      "content-type": "application/json",
      "content-length": String(new TextEncoder().encode(text).length),
      [protocolHeader]: "1",
      ...headers,
    },
  });
};

const refusal = (error: ProtocolError): Response => jsonResponse(errorBody(error), error.status);

/** A body in pieces that may end early in one way or another. */
function bodyOf(bytes: Uint8Array, pieceBytes: number, end: "whole" | "error" | "early" | "never"): ReadableStream<Uint8Array> {
  const upTo = end === "whole" ? bytes.length : Math.floor(bytes.length / 2);
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      if (at < upTo) {
        const next = Math.min(upTo, at + pieceBytes);
        controller.enqueue(bytes.slice(at, next));
        at = next;
        return;
      }
      if (end === "error") return controller.error(new TypeError("terminated"));
      if (end === "never") return await new Promise(() => {});
      controller.close();
    },
  });
}

export function fakeCoordinator(): FakeCoordinator {
  const objects = new Map<string, Uint8Array>();
  const uploads = new Map<string, { sha256: string; bytes: number; held: Uint8Array }>();
  const nonces = new Set<string>();
  const tokens = new Map<string, number>();

  const tokenOf = async (request: Request): Promise<Response> => {
    const body = (await request.json()) as TokenRequest;
    const { device } = fake;
    if (!device || !(await verifyTokenRequest(device.publicKey, body, "server"))) {
      return refusal(new ProtocolError("unauthenticated", "Wrong signature."));
    }
    const now = fake.now();
    if (Math.abs(body.at - now) > 60_000) {
      return refusal(new ProtocolError("unauthenticated", "Wrong clock.", { details: { now: String(now) } }));
    }
    if (nonces.has(body.nonce)) return refusal(new ProtocolError("conflict", "The nonce has served."));
    nonces.add(body.nonce);
    const accessToken = `access-token-${nonces.size}`;
    tokens.set(accessToken, now + device.tokenMs);
    return jsonResponse({ accessToken, expiresAt: now + device.tokenMs, now });
  };

  const uploadOf = async (request: Request, id: string): Promise<Response> => {
    const upload = uploads.get(id);
    if (!upload) return refusal(new ProtocolError("notFound", "There is no such upload."));
    const offset = Number(request.headers.get(uploadOffsetHeader));
    if (offset !== upload.held.length) return refusal(new ProtocolError("conflict", `The upload is at ${upload.held.length}.`));
    const chunk = new Uint8Array(await request.arrayBuffer());
    const held = new Uint8Array(offset + chunk.length);
    held.set(upload.held);
    held.set(chunk, offset);
    upload.held = held;
    if (held.length < upload.bytes) return jsonResponse({ uploadId: id, offset: held.length, done: false });
    uploads.delete(id);
    if ((await sha256Of(held)) !== upload.sha256) return refusal(new ProtocolError("unacceptable", "The bytes have another hash."));
    objects.set(upload.sha256, held);
    return jsonResponse({ uploadId: id, offset: held.length, done: true });
  };

  const startOf = async (request: Request): Promise<Response> => {
    const { sha256, bytes } = (await request.json()) as { sha256: string; bytes: number };
    if (objects.has(sha256)) return jsonResponse({ uploadId: "done", offset: bytes, done: true });
    const uploadId = `u-${sha256.slice(0, 16)}`;
    const upload = uploads.get(uploadId) ?? { sha256, bytes, held: new Uint8Array() };
    uploads.set(uploadId, upload);
    return jsonResponse({ uploadId, offset: upload.held.length, done: false });
  };

  const objectOf = (request: Request, sha256: string): Response => {
    const object = objects.get(sha256);
    if (!object) return refusal(new ProtocolError("notFound", "There is no such object."));
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "") ?? [];
    const start = Number(from ?? 0);
    const part = object.slice(start);
    const headers = { [protocolHeader]: "1", "content-length": String(part.length) };
    if (request.method === "HEAD") return new Response(null, { headers });
    if (from === undefined) return new Response(part, { headers });
    return new Response(part, {
      status: 206,
      headers: { ...headers, "content-range": `bytes ${start}-${object.length - 1}/${object.length}` },
    });
  };

  const handle = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    fake.log.push(`${request.method} ${pathname}`);
    const answer = fake.answers.get(`${request.method} ${pathname}`);
    if (answer) return await answer(request);
    if (pathname === "/v1/token") return await tokenOf(request);
    const token = request.headers.get("authorization")?.replace("Bearer ", "") ?? "";
    if (token !== "viewer-token") {
      const expiresAt = tokens.get(token);
      if (expiresAt === undefined) return refusal(new ProtocolError("unauthenticated", "No such token."));
      if (expiresAt <= fake.now()) return refusal(new ProtocolError("expired", "The token has expired."));
    }
    const [, object] = /^\/v1\/objects\/(\w+)$/.exec(pathname) ?? [];
    if (object) return objectOf(request, object);
    if (pathname === "/v1/uploads") return await startOf(request);
    const [, upload] = /^\/v1\/uploads\/(.+)$/.exec(pathname) ?? [];
    if (upload) return await uploadOf(request, upload);
    return refusal(new ProtocolError("notFound", "There is no such route."));
  };

  const garbled = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === Math.floor(bytes.length / 3) ? byte ^ 1 : byte));

  const fake: FakeCoordinator = {
    objects,
    log: [],
    faults: [],
    pieceBytes: 1 << 16,
    answers: new Map(),
    device: undefined,
    now: () => 1_700_000_000_000,
    async fetch(url, init) {
      const fault = fake.faults.shift() ?? "none";
      if (fault === "refused") throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
      if (fault === "hung") return await new Promise(() => {});
      if (fault === "busy") {
        return jsonResponse(errorBody(new ProtocolError("unavailable", "Starting.")), 503, { "retry-after": "3" });
      }
      if (fault === "badGateway") return new Response("<html>", { status: 502 });
      const headers = new Headers(init.headers);
      if (fault === "rangeless") headers.delete("range");
      const body = fault === "garbledUp" && init.body instanceof Uint8Array ? garbled(init.body) : init.body;
      const make = (): Request => new Request(url, { method: init.method, headers, body: body ?? null });
      if (fault === "duplicated") await handle(make());
      const response = await handle(make());
      if (fault === "lost") throw new TypeError("terminated", { cause: new Error("other side closed") });
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!response.ok || init.method === "HEAD") return new Response(init.method === "HEAD" ? null : bytes, response);
      const end = ({ cut: "error", truncated: "early", stalled: "never" } as const)[fault as string] ?? "whole";
      return new Response(
        bodyOf(fault === "garbled" && url.includes("/objects/") ? garbled(bytes) : bytes, fake.pieceBytes, end),
        response,
      );
    },
  };
  return fake;
}
