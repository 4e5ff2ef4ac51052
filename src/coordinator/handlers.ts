/** What the server answers on each route: a total table beside the protocol's. Bytes, tokens and streams are served here; the rest is the coordinator's. */
import type { ZodType } from "zod";
import { ProtocolError } from "../protocol/errors.ts";
import type { Role } from "../protocol/messages.ts";
import { openApiDocument } from "../protocol/openApi.ts";
import type { Vitals } from "../protocol/operatorMessages.ts";
import type { PlainBody, QueryOf, RequestOf, ResponseOf, RouteName } from "../protocol/routes.ts";
import { verifyEnrolment, verifyTokenRequest } from "../protocol/signing.ts";
import { protocolVersion, uploadOffsetHeader } from "../protocol/version.ts";
import type { AccessTokens } from "./accessTokens.ts";
import { sha256 as hashOf, randomText } from "./bytes.ts";
import { objectResponse } from "./objectResponse.ts";
import { limitedBody } from "./requests.ts";
import type { Caller, CommandRoute, Coordinator } from "./service.ts";
import { eventStream } from "./sse.ts";
import type { ObjectStore, SecretStore, UploadAnswer } from "./store.ts";

/** Where the dashboard lies below the coordinator's address. */
const dashboardPath = "/";
/** Life of the access token of one who signed in to the dashboard. */
const signedInMs = 12 * 3_600_000;

/** What the handlers work with. */
export interface Services {
  readonly coordinator: Coordinator;
  readonly objects: ObjectStore;
  readonly secrets: SecretStore;
  readonly tokens: AccessTokens;
  /** Identity of this coordinator, part of what devices sign. */
  readonly serverId: string;
  /** Address by which callers reach this coordinator, for instance `https://fleet.example:8443`. */
  readonly publicUrl: string;
  /** The command or address by which the bearer of a new token gets in. */
  readonly joinLine: (token: string, role: Exclude<Role, "public">) => string;
  readonly metricsText: () => string;
  /** How the process is, where that is known. */
  readonly vitals?: () => Vitals;
  readonly nowMs: () => number;
  /** Life of a device's access token. */
  readonly accessTokenMs: number;
  readonly objectBytes: number;
  readonly bodyIdleMs: number;
  /** Claims one of the places for watchers; the function given back frees it. Undefined when all are taken. */
  readonly claimWatcher: () => (() => void) | undefined;
}

/** A checked call. `caller` is there on every route that is not public. */
export interface Call<N extends RouteName> {
  readonly route: N;
  readonly request: Request;
  readonly caller: Caller | undefined;
  readonly parameter: string;
  readonly query: QueryOf<N> | undefined;
  readonly body: RequestOf<N>;
  /** Aborts when the caller is gone or the server closes. Who answers with a stream aborts it at the stream's end. */
  readonly leave: AbortController;
  /** Most bytes of the body, where the handler reads it. */
  readonly bodyBytes: number;
}

/** JSON where the route's response is JSON, and a whole response elsewhere. */
export type Reply<N extends RouteName> = ResponseOf<N> extends PlainBody ? Response : ResponseOf<N>;
export type Handler<N extends RouteName> = (call: Call<N>, services: Services) => Promise<Reply<N>>;

/** How far the clock of a device may be from ours when it signs for a token. */
const clockToleranceMs = 5 * 60_000;

const callerOf = (call: { readonly caller: Caller | undefined }): Caller => {
  if (!call.caller) throw new ProtocolError("unauthenticated", "This route needs an access token.");
  return call.caller;
};

const ownerOf = ({ role, subject }: Caller): string => `${role}:${subject}`;

function command<N extends CommandRoute>(route: N): (call: Call<N>, services: Services) => Promise<ResponseOf<N>> {
  return async (call, { coordinator }) => {
    const { parameter, query, body } = call;
    return coordinator.apply({
      route,
      caller: callerOf(call),
      parameter,
      query,
      body,
      get signal() {
        return call.leave.signal;
      },
    });
  };
}

const invitation: Handler<"invitation"> = async ({ body }, { secrets, serverId, coordinator, nowMs }) => {
  const hash = await hashOf(body.joinToken);
  const known = (await secrets.joinTokens()).find(({ tokenHash }) => tokenHash === hash);
  if (!known || known.expiresAtMs <= nowMs())
    throw new ProtocolError("unauthenticated", "The join token is not known or has expired; ask an administrator for a new one.");
  return { serverId, runs: await coordinator.invited() };
};

const enrol: Handler<"enrol"> = async ({ body }, services) => {
  const { joinToken, at: _, nonce: __, signature: ___, ...enrolment } = body;
  // Without this, whoever knows a device's public key and has a join token would be that device.
  if (!(await verifyEnrolment(body, services.serverId)))
    throw new ProtocolError(
      "unauthenticated",
      "The enrolment is not signed for this coordinator with the key that is in it; sign it anew.",
    );
  const now = checkClock(body, services);
  const use = await services.secrets.useJoinToken(await hashOf(joinToken), enrolment.publicKey, now);
  if (!use.ok) {
    const why = { unknown: "is not known", expired: "has expired", usedUp: "was used as often as it may be" }[use.problem];
    throw new ProtocolError("unauthenticated", `The join token ${why}; ask an administrator for a new one.`);
  }
  if (use.role !== "device") throw new ProtocolError("unauthenticated", "This token is for the dashboard and lets no device in.");
  // Only now: who has no join token must not fill the store of nonces.
  await useNonce(body.publicKey, body, services);
  const { deviceId } = await services.coordinator.enrol(enrolment);
  return { deviceId, serverId: services.serverId, ...(await grant(deviceId, services)) };
};

async function grant(deviceId: string, { tokens, accessTokenMs, nowMs }: Services): Promise<ResponseOf<"token">> {
  const { token, claims } = await tokens.issue(deviceId, "device", accessTokenMs);
  return { accessToken: token, expiresAt: claims.expiresAtMs, now: nowMs() };
}

/** The time here, near which a claim must have been made. Throws `unauthenticated` with this time in the details. */
function checkClock({ at }: { readonly at: number }, { nowMs }: Services): number {
  const now = nowMs();
  if (Math.abs(now - at) <= clockToleranceMs) return now;
  const details = { now: String(now) };
  throw new ProtocolError("unauthenticated", `The request is dated ${at}, and the time here is ${now}; set the clock.`, { details });
}

/** Takes a signer's nonce for as long as the claim would be believed. Throws `conflict` for one that has served. */
async function useNonce(
  signer: string,
  { at, nonce }: { readonly at: number; readonly nonce: string },
  { secrets, nowMs }: Services,
): Promise<void> {
  if (!(await secrets.remember(`${signer}:${nonce}`, at + clockToleranceMs + 1, nowMs())))
    throw new ProtocolError("conflict", "The nonce was used before; sign a new request.");
}

const token: Handler<"token"> = async ({ body }, services) => {
  const device = await services.coordinator.device(body.deviceId);
  // An unknown device and a wrong signature look the same from outside.
  if (!device || !(await verifyTokenRequest(device.publicKey, body, services.serverId))) {
    throw new ProtocolError("unauthenticated", "The request is not signed by a device that this coordinator knows; enrol again.");
  }
  if (device.revoked) throw new ProtocolError("revoked", `Device ${body.deviceId} was revoked by an administrator.`);
  checkClock(body, services);
  await useNonce(body.deviceId, body, services);
  return grant(body.deviceId, services);
};

const signIn: Handler<"signIn"> = async ({ body }, { secrets, tokens, nowMs }) => {
  const now = nowMs();
  // Each request is another user, so that a token of one use serves once.
  const use = await secrets.useJoinToken(await hashOf(body.signInToken), randomText(16), now);
  if (!use.ok || use.role === "device") {
    throw new ProtocolError(
      "unauthenticated",
      "The sign-in token is not known, has expired or was used; `sheaf devices invite --role admin` prints an address with a new one.",
    );
  }
  const { token, claims } = await tokens.issue(`${use.role}-${randomText(6)}`, use.role, signedInMs);
  return { accessToken: token, role: use.role, expiresAt: claims.expiresAtMs, now };
};

/** The dashboard's address for one more viewer or admin. What is behind the `#` is not sent to any server, and the page removes it at once. */
export async function dashboardAddress(
  role: "viewer" | "admin",
  expiresAtMs: number,
  { secrets, publicUrl, nowMs }: Pick<Services, "secrets" | "publicUrl" | "nowMs">,
): Promise<string> {
  const text = `sheafsignin-${randomText(32)}`;
  await secrets.addJoinToken({ tokenHash: await hashOf(text), role, uses: 1, createdAtMs: nowMs(), expiresAtMs });
  return `${publicUrl}${dashboardPath}#${text}`;
}

async function findObject(call: Call<"getObject"> | Call<"headObject">, services: Services): Promise<Response> {
  const caller = callerOf(call);
  const missing = new ProtocolError("notFound", `There is no object ${call.parameter} for this caller.`);
  if (caller.role === "device" && !(await services.coordinator.mayRead(caller.subject, call.parameter))) throw missing;
  const response = await objectResponse(services.objects, call.parameter, call.request);
  if (!response) throw missing;
  return response;
}

/** What an upload's answer is over HTTP. `offset` in the details is where the next chunk has to start. */
function uploadReply(answer: UploadAnswer, objectBytes: number): ResponseOf<"startUpload"> {
  if (answer.ok) return answer.upload;
  const details: Readonly<Record<string, string>> = answer.offset === undefined ? {} : { offset: String(answer.offset) };
  switch (answer.problem) {
    case "unknown":
      throw new ProtocolError("notFound", "There is no such upload of this caller; begin it again.");
    case "offset":
      throw new ProtocolError("conflict", `The upload goes on at byte ${answer.offset}.`, { details });
    case "busy":
      throw new ProtocolError("conflict", "Another request writes to this upload now; ask where it is, and go on from there.", { details });
    case "tooLong":
      throw new ProtocolError("tooLarge", `The chunk reaches past the announced end of the object; it goes on at byte ${answer.offset}.`, {
        details,
      });
    case "wrongHash":
      throw new ProtocolError("unacceptable", "The uploaded bytes do not have the announced SHA-256 and were dropped; upload them again.");
    case "tooMany":
      throw new ProtocolError("rateLimited", "This caller has too many unfinished uploads; finish some first.", { retryAfterMs: 30_000 });
    case "full":
      throw new ProtocolError("storageFull", `The coordinator has no room for this object (at most ${objectBytes} bytes).`, {
        retryAfterMs: 60_000,
      });
  }
}

const startUpload: Handler<"startUpload"> = async (call, { objects, coordinator, objectBytes }) => {
  const caller = callerOf(call);
  const { sha256, bytes } = call.body;
  if (bytes > objectBytes) throw new ProtocolError("tooLarge", `An object may have ${objectBytes} bytes, got ${bytes}.`);
  if (caller.role === "device" && !(await coordinator.mayUpload(caller.subject, { sha256, bytes }))) {
    throw new ProtocolError("forbidden", "This device holds no lease that such an object could be a result of.");
  }
  return uploadReply(await objects.startUpload({ owner: ownerOf(caller), sha256, bytes }), objectBytes);
};

const appendUpload: Handler<"appendUpload"> = async (call, { objects, objectBytes, bodyIdleMs }) => {
  const offset = call.request.headers.get(uploadOffsetHeader) ?? "";
  if (!/^\d{1,15}$/.test(offset)) {
    throw new ProtocolError(
      "invalid",
      `The header ${uploadOffsetHeader} must be a byte's number, got ${JSON.stringify(offset.slice(0, 30))}.`,
    );
  }
  const body = limitedBody(call.request.body, { bytes: call.bodyBytes, idleMs: bodyIdleMs });
  return uploadReply(await objects.continueUpload(ownerOf(callerOf(call)), call.parameter, Number(offset), body), objectBytes);
};

const createJoinToken: Handler<"createJoinToken"> = async (call, services) => {
  const caller = callerOf(call);
  const { uses, expiresInSeconds, role } = call.body;
  const now = services.nowMs();
  const expiresAt = now + expiresInSeconds * 1000;
  let text: string;
  let dashboard: string | undefined;
  if (role === "device") {
    text = `sheafjoin-${randomText(32)}`;
    await services.secrets.addJoinToken({ tokenHash: await hashOf(text), role, uses, createdAtMs: now, expiresAtMs: expiresAt });
  } else {
    text = (await services.tokens.issue(`${role}-${randomText(6)}`, role, expiresAt - now)).token;
    dashboard = await dashboardAddress(role, expiresAt, services);
  }
  await services.coordinator.note({ type: "joinToken.created", by: ownerOf(caller), role, uses, expiresAt });
  return { token: text, line: services.joinLine(text, role), ...(dashboard === undefined ? {} : { dashboard }), expiresAt };
};

const watchRun: Handler<"watchRun"> = async (call, { coordinator, claimWatcher, nowMs }) => {
  const caller = callerOf(call);
  const last = call.request.headers.get("last-event-id") ?? "0";
  if (!/^\d{1,15}$/.test(last)) throw new ProtocolError("invalid", "The header last-event-id must be the id of an event.");
  const release = claimWatcher();
  if (!release) throw new ProtocolError("unavailable", "Too many watchers are connected; try later.", { retryAfterMs: 10_000 });
  const { leave } = call;
  // A token that has expired shows nothing more; setTimeout takes at most 31 bits.
  const expiry = setTimeout(() => leave.abort(), Math.min(2 ** 31 - 1, caller.expiresAtMs - nowMs()));
  const end = (): void => {
    clearTimeout(expiry);
    release();
    leave.abort();
  };
  try {
    const events = await coordinator.watch(call.parameter, Number(last), leave.signal);
    if (!events) {
      end();
      return new Response(null, { status: 204 });
    }
    return new Response(eventStream(events, leave.signal, end), {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
    });
  } catch (error) {
    end();
    throw error;
  }
};

const getModel: Handler<"getModel"> = async (call, { coordinator, objects }) => {
  const model = await coordinator.model(call.parameter);
  const response = model && (await objectResponse(objects, model.sha256, call.request));
  if (!response) throw new ProtocolError("notFound", `Run ${call.parameter} has no model yet.`);
  response.headers.set("content-disposition", 'attachment; filename="model.onnx"');
  // The name stays while the content changes with the next harvest.
  response.headers.set("cache-control", "no-cache");
  return response;
};

const audit: Handler<"audit"> = async ({ query }, { coordinator }) => {
  const encoder = new TextEncoder();
  const iterator = coordinator.audit(Number(query?.after ?? "0"))[Symbol.asyncIterator]();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
    },
    cancel: async () => void (await iterator.return?.()),
  });
  return new Response(stream, { headers: { "content-type": "application/jsonl" } });
};

/** The total table. */
export const handlers: { readonly [N in RouteName]: Handler<N> } = {
  enrol,
  invitation,
  token,
  signIn,
  takeShard: command("takeShard"),
  offer: command("offer"),
  heartbeat: command("heartbeat"),
  complete: command("complete"),
  fail: command("fail"),
  getObject: findObject,
  headObject: findObject,
  startUpload,
  appendUpload,
  listRuns: command("listRuns"),
  createRun: command("createRun"),
  getRun: command("getRun"),
  pauseRun: command("pauseRun"),
  resumeRun: command("resumeRun"),
  cancelRun: command("cancelRun"),
  archiveRun: command("archiveRun"),
  harvestRun: command("harvestRun"),
  watchRun,
  getModel,
  listDevices: command("listDevices"),
  revokeDevice: command("revokeDevice"),
  excuseDevice: command("excuseDevice"),
  createJoinToken,
  audit,
  openApi: async (_, { publicUrl }) => openApiDocument(publicUrl),
  health: async (_, { serverId, nowMs, vitals }) => ({
    status: "ok",
    protocol: protocolVersion,
    serverId,
    now: nowMs(),
    ...(vitals ? { process: vitals() } : {}),
  }),
  metrics: async (_, { metricsText }) =>
    new Response(metricsText(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } }),
};

/** Whether a route's request is a schema of a JSON body. */
export const isSchema = (request: ZodType<unknown> | PlainBody): request is ZodType<unknown> => typeof request !== "string";
