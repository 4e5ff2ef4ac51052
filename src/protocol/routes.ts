/**
 * The one table of routes: the server mounts its handlers by it, the client calls by it, authorisation is tested by it, and the OpenAPI description
 * is made from it. What is not here does not exist.
 */
import { z } from "zod";
import { type Invitation, type InvitationRequest, invitationRequestSchema, invitationSchema } from "./invitation.ts";
import {
  type AccessGrant,
  accessGrantSchema,
  type Completion,
  type CompletionAnswer,
  completionAnswerSchema,
  completionSchema,
  type Enrolled,
  type Enrolment,
  enrolledSchema,
  enrolmentSchema,
  type Heartbeat,
  type HeartbeatAnswer,
  heartbeatAnswerSchema,
  heartbeatSchema,
  type Nothing,
  nothingSchema,
  type OfferAnswer,
  type OfferRequest,
  offerAnswerSchema,
  offerRequestSchema,
  type Role,
  type TaskFailure,
  type TokenRequest,
  taskFailureSchema,
  tokenRequestSchema,
  type UploadRequest,
  type UploadState,
  uploadRequestSchema,
  uploadStateSchema,
} from "./messages.ts";
import { type Shard, type ShardRequest, shardRequestSchema, shardSchema } from "./offered.ts";
import {
  type DeviceList,
  type DeviceSummary,
  deviceListSchema,
  deviceSummarySchema,
  type ExcuseRequest,
  excuseRequestSchema,
  type HarvestAnswer,
  type Health,
  harvestAnswerSchema,
  healthSchema,
  type JoinTokenAnswer,
  type JoinTokenRequest,
  joinTokenAnswerSchema,
  joinTokenRequestSchema,
  type RunDetail,
  type RunList,
  type RunRequest,
  type RunSummary,
  runDetailSchema,
  runListSchema,
  runRequestSchema,
  runSummarySchema,
  type SignedIn,
  type SignInRequest,
  signedInSchema,
  signInRequestSchema,
} from "./operatorMessages.ts";
import { id, jsonObject, sha256 } from "./values.ts";

/** A body that is not JSON: none at all, raw bytes, server-sent events, lines of JSON, or plain text. */
export type PlainBody = "none" | "bytes" | "events" | "lines" | "text";

/** What a path takes by name. */
export interface PathParameters {
  readonly leaseId: string;
  readonly runId: string;
  readonly deviceId: string;
  readonly uploadId: string;
  readonly sha256: string;
}

interface Shape {
  readonly parameter?: keyof PathParameters;
  readonly query?: Readonly<Record<string, string>>;
  readonly request: object | PlainBody;
  readonly response: object | PlainBody;
}

/** Types of every route's parts. A string is a body that is not JSON. */
export interface RouteShapes {
  readonly enrol: { readonly request: Enrolment; readonly response: Enrolled };
  readonly invitation: { readonly request: InvitationRequest; readonly response: Invitation };
  readonly token: { readonly request: TokenRequest; readonly response: AccessGrant };
  readonly signIn: { readonly request: SignInRequest; readonly response: SignedIn };
  readonly takeShard: { readonly request: ShardRequest; readonly response: Shard };
  readonly offer: { readonly request: OfferRequest; readonly response: OfferAnswer };
  readonly heartbeat: { readonly parameter: "leaseId"; readonly request: Heartbeat; readonly response: HeartbeatAnswer };
  readonly complete: { readonly parameter: "leaseId"; readonly request: Completion; readonly response: CompletionAnswer };
  readonly fail: { readonly parameter: "leaseId"; readonly request: TaskFailure; readonly response: Nothing };
  readonly getObject: { readonly parameter: "sha256"; readonly request: "none"; readonly response: "bytes" };
  readonly headObject: { readonly parameter: "sha256"; readonly request: "none"; readonly response: "none" };
  readonly startUpload: { readonly request: UploadRequest; readonly response: UploadState };
  readonly appendUpload: { readonly parameter: "uploadId"; readonly request: "bytes"; readonly response: UploadState };
  readonly listRuns: { readonly query: { readonly archived?: string }; readonly request: "none"; readonly response: RunList };
  readonly createRun: { readonly request: RunRequest; readonly response: RunSummary };
  readonly getRun: { readonly parameter: "runId"; readonly request: "none"; readonly response: RunDetail };
  readonly pauseRun: { readonly parameter: "runId"; readonly request: "none"; readonly response: RunSummary };
  readonly resumeRun: { readonly parameter: "runId"; readonly request: "none"; readonly response: RunSummary };
  readonly cancelRun: { readonly parameter: "runId"; readonly request: "none"; readonly response: RunSummary };
  readonly archiveRun: { readonly parameter: "runId"; readonly request: "none"; readonly response: RunSummary };
  readonly harvestRun: { readonly parameter: "runId"; readonly request: "none"; readonly response: HarvestAnswer };
  readonly watchRun: { readonly parameter: "runId"; readonly request: "none"; readonly response: "events" };
  readonly getModel: { readonly parameter: "runId"; readonly request: "none"; readonly response: "bytes" };
  readonly listDevices: {
    readonly query: { readonly after?: string; readonly limit?: string };
    readonly request: "none";
    readonly response: DeviceList;
  };
  readonly revokeDevice: { readonly parameter: "deviceId"; readonly request: "none"; readonly response: DeviceSummary };
  readonly excuseDevice: { readonly parameter: "runId"; readonly request: ExcuseRequest; readonly response: RunSummary };
  readonly createJoinToken: { readonly request: JoinTokenRequest; readonly response: JoinTokenAnswer };
  readonly audit: { readonly query: { readonly after?: string }; readonly request: "none"; readonly response: "lines" };
  readonly openApi: { readonly request: "none"; readonly response: Readonly<Record<string, unknown>> };
  readonly health: { readonly request: "none"; readonly response: Health };
  readonly metrics: { readonly request: "none"; readonly response: "text" };
}

export type RouteName = keyof RouteShapes;
type PartOf<N extends RouteName, K extends keyof Shape> = RouteShapes[N] extends { readonly [P in K]: infer V } ? V : undefined;
export type RequestOf<N extends RouteName> = RouteShapes[N]["request"];
export type ResponseOf<N extends RouteName> = RouteShapes[N]["response"];
/** Name of the path's parameter; undefined where there is none. */
export type ParameterOf<N extends RouteName> = PartOf<N, "parameter">;
/** Query parameters; undefined where there are none. */
export type QueryOf<N extends RouteName> = PartOf<N, "query">;

type BodyOf<T> = T extends PlainBody ? T : z.ZodType<T>;
export type Method = "GET" | "HEAD" | "POST" | "PATCH";

export interface Route<N extends RouteName = RouteName> {
  readonly method: Method;
  /** With parameters as `:name`. */
  readonly path: string;
  /** Who may call it. `public` is for anybody, without a token. */
  readonly roles: readonly Role[];
  /** Set where a device may only reach what is its own: its lease, its upload, or an object that one of its leases names. */
  readonly own?: "lease" | "upload" | "object";
  readonly parameter: ParameterOf<N>;
  readonly query: QueryOf<N> extends undefined ? undefined : z.ZodType<QueryOf<N>>;
  /** Schema of a JSON body, or what other body there is. */
  readonly request: BodyOf<RequestOf<N>>;
  readonly response: BodyOf<ResponseOf<N>>;
  /** Of a success; `getObject` also answers 206 to a range. */
  readonly status: 200 | 201;
  readonly summary: string;
  /** Whether a request may be sent again when its answer was lost: true where a second one changes nothing. */
  readonly repeatable: boolean;
  readonly limits: { readonly bodyBytes: number };
}

const KiB = 1024;
const MiB = 1024 * KiB;
/** Most bytes of one upload chunk. */
export const maximumChunkBytes: number = 8 * MiB;

const get = { method: "GET", request: "none", status: 200, repeatable: true, limits: { bodyBytes: 0 } } as const;
const post = { method: "POST", status: 200, repeatable: true, limits: { bodyBytes: 64 * KiB } } as const;
const none = { parameter: undefined, query: undefined } as const;
const ofLease = { ...post, parameter: "leaseId", query: undefined, roles: ["device"], own: "lease" } as const;
const ofObject = { ...get, parameter: "sha256", query: undefined, roles: ["device", "viewer", "admin"], own: "object" } as const;
const ofRun = { parameter: "runId", query: undefined } as const;
const runCommand = { ...post, ...ofRun, request: "none", roles: ["admin"], limits: { bodyBytes: 0 } } as const;
const watchers = ["viewer", "admin"] as const;

/** The total table of routes. */
export const routes: { readonly [N in RouteName]: Route<N> } = {
  enrol: {
    ...post,
    ...none,
    path: "/v1/enrol",
    roles: ["public"],
    request: enrolmentSchema,
    response: enrolledSchema,
    summary:
      "Make a device known by a join token and a key that it signs with; again with the same key, the same device. A nonce serves once.",
    // As for `token`.
    repeatable: false,
    limits: { bodyBytes: 4 * MiB },
  },
  invitation: {
    ...post,
    ...none,
    path: "/v1/invitation",
    roles: ["public"],
    request: invitationRequestSchema,
    response: invitationSchema,
    summary: "What a join token lets in to: the runs that take devices. Does not use the token up.",
    limits: { bodyBytes: 4 * KiB },
  },
  token: {
    ...post,
    ...none,
    path: "/v1/token",
    roles: ["public"],
    request: tokenRequestSchema,
    response: accessGrantSchema,
    summary: "A new access token for a device that signs for it. A nonce serves once.",
    // A repeated nonce is refused, so a lost answer needs a new signature.
    repeatable: false,
    limits: { bodyBytes: 4 * KiB },
  },
  signIn: {
    ...post,
    ...none,
    path: "/v1/sign-in",
    roles: ["public"],
    request: signInRequestSchema,
    response: signedInSchema,
    summary: "An access token for the one who opened a dashboard's address. A sign-in token serves once.",
    repeatable: false,
    limits: { bodyBytes: 4 * KiB },
  },
  takeShard: {
    ...post,
    ...none,
    path: "/v1/shards",
    roles: ["device"],
    request: shardRequestSchema,
    response: shardSchema,
    summary: "Take a part of the data that a run offers to devices without any; asked again, the same part.",
    limits: { bodyBytes: 4 * KiB },
  },
  offer: {
    ...post,
    ...none,
    path: "/v1/offers",
    roles: ["device"],
    request: offerRequestSchema,
    response: offerAnswerSchema,
    summary: "Wait for work. A device that holds a lease whose answer was lost is given the same lease again.",
    limits: { bodyBytes: 4 * MiB },
  },
  heartbeat: {
    ...ofLease,
    path: "/v1/leases/:leaseId/heartbeat",
    request: heartbeatSchema,
    response: heartbeatAnswerSchema,
    summary: "Keep a lease and say how far the work is.",
  },
  complete: {
    ...ofLease,
    path: "/v1/leases/:leaseId/complete",
    request: completionSchema,
    response: completionAnswerSchema,
    summary: "Hand in uploaded results; the same again gets the same answer.",
    limits: { bodyBytes: MiB },
  },
  fail: {
    ...ofLease,
    path: "/v1/leases/:leaseId/fail",
    request: taskFailureSchema,
    response: nothingSchema,
    summary: "Give a lease back, saying why.",
  },
  getObject: {
    ...ofObject,
    path: "/v1/objects/:sha256",
    response: "bytes",
    summary: "An object's bytes, or the part of them that the Range header names.",
  },
  headObject: {
    ...ofObject,
    method: "HEAD",
    path: "/v1/objects/:sha256",
    response: "none",
    summary: "Whether an object is there, and how long it is.",
  },
  startUpload: {
    ...post,
    ...none,
    path: "/v1/uploads",
    roles: ["device", "admin"],
    request: uploadRequestSchema,
    response: uploadStateSchema,
    summary: "Begin or take up again the upload of an object; done at once where the object is there.",
    limits: { bodyBytes: 4 * KiB },
  },
  appendUpload: {
    method: "PATCH",
    parameter: "uploadId",
    query: undefined,
    path: "/v1/uploads/:uploadId",
    roles: ["device", "admin"],
    own: "upload",
    request: "bytes",
    response: uploadStateSchema,
    status: 200,
    summary:
      "The bytes that follow the header upload-offset; conflict where the upload is elsewhere. The last chunk's answer says whether the hash is right.",
    // The client asks where the upload is before it sends a chunk again.
    repeatable: false,
    limits: { bodyBytes: maximumChunkBytes },
  },
  listRuns: {
    ...get,
    parameter: undefined,
    query: z.strictObject({ archived: z.enum(["true", "false"]).exactOptional() }),
    path: "/v1/runs",
    roles: watchers,
    response: runListSchema,
    summary: "Runs, newest first; archived ones only when asked for.",
  },
  createRun: {
    ...post,
    ...none,
    path: "/v1/runs",
    roles: ["admin"],
    request: runRequestSchema,
    response: runSummarySchema,
    status: 201,
    summary: "Create a run from a configuration.",
    repeatable: false,
    limits: { bodyBytes: MiB },
  },
  getRun: {
    ...get,
    ...ofRun,
    path: "/v1/runs/:runId",
    roles: watchers,
    response: runDetailSchema,
    summary: "A run with its plan and tasks.",
  },
  pauseRun: { ...runCommand, path: "/v1/runs/:runId/pause", response: runSummarySchema, summary: "Offer no more work of a run." },
  resumeRun: { ...runCommand, path: "/v1/runs/:runId/resume", response: runSummarySchema, summary: "Go on with a paused run." },
  cancelRun: {
    ...runCommand,
    path: "/v1/runs/:runId/cancel",
    response: runSummarySchema,
    summary: "End a run; its devices are told to stop.",
  },
  archiveRun: { ...runCommand, path: "/v1/runs/:runId/archive", response: runSummarySchema, summary: "Take an ended run off the list." },
  harvestRun: {
    ...runCommand,
    path: "/v1/runs/:runId/harvest",
    response: harvestAnswerSchema,
    summary: "Assemble a model from what is there now, saying which classes are missing.",
  },
  watchRun: {
    ...get,
    ...ofRun,
    path: "/v1/runs/:runId/events",
    roles: watchers,
    response: "events",
    summary: "Events of a run as they happen; with Last-Event-ID those after it first.",
  },
  getModel: {
    ...get,
    ...ofRun,
    path: "/v1/runs/:runId/model",
    roles: watchers,
    response: "bytes",
    summary: "The run's model.onnx.",
  },
  listDevices: {
    ...get,
    parameter: undefined,
    query: z.strictObject({
      after: id.exactOptional(),
      limit: z
        .string()
        .regex(/^([1-9]\d{0,2}|1000)$/, "must be a whole number from 1 to 1000")
        .exactOptional(),
    }),
    path: "/v1/devices",
    roles: watchers,
    response: deviceListSchema,
    summary: "Devices in the order of their ids, at most `limit` (1000 by default) after the id `after`.",
  },
  revokeDevice: {
    ...post,
    parameter: "deviceId",
    query: undefined,
    path: "/v1/devices/:deviceId/revoke",
    roles: ["admin"],
    request: "none",
    response: deviceSummarySchema,
    summary: "Turn a device away for good; its leases go to others.",
    limits: { bodyBytes: 0 },
  },
  excuseDevice: {
    ...runCommand,
    path: "/v1/runs/:runId/excuse",
    request: excuseRequestSchema,
    response: runSummarySchema,
    summary: "Wait no longer in this run for a device that will not come back in time; it stays enrolled, and may come back.",
    limits: { bodyBytes: 4 * KiB },
  },
  createJoinToken: {
    ...post,
    ...none,
    path: "/v1/join-tokens",
    roles: ["admin"],
    request: joinTokenRequestSchema,
    response: joinTokenAnswerSchema,
    status: 201,
    summary: "A token that lets others in, and the line to type there.",
    repeatable: false,
    limits: { bodyBytes: 4 * KiB },
  },
  audit: {
    ...get,
    parameter: undefined,
    query: z.strictObject({
      after: z
        .string()
        .regex(/^\d{1,15}$/, "must be a sequence number")
        .exactOptional(),
    }),
    path: "/v1/audit",
    roles: ["admin"],
    response: "lines",
    summary: "The log with its hash chain, an entry a line, from behind the sequence number `after` on.",
  },
  openApi: {
    ...get,
    ...none,
    path: "/v1/openapi.json",
    roles: ["public"],
    response: jsonObject,
    summary: "This interface as an OpenAPI 3.1 description.",
  },
  health: { ...get, ...none, path: "/healthz", roles: ["public"], response: healthSchema, summary: "Whether the coordinator is up." },
  metrics: { ...get, ...none, path: "/metrics", roles: watchers, response: "text", summary: "Figures in Prometheus's text format." },
};

/** The names of all routes. */
export const routeNames: readonly RouteName[] = Object.keys(routes) as RouteName[];

/** What a path parameter must look like. */
export const pathParameterSchemas: { readonly [K in keyof PathParameters]: z.ZodType<string> } = {
  leaseId: id,
  runId: id,
  deviceId: id,
  uploadId: id,
  sha256,
};
