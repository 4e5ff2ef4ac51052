/** Failures as they cross the wire: one body, one total table from code to HTTP status. */
import { z } from "zod";
import { longText } from "./values.ts";

/** HTTP status, whether the same request may succeed later unchanged, and meaning, by error code. */
export const protocolErrors = {
  invalid: { status: 400, retry: false, meaning: "The request is not what the route takes." },
  unauthenticated: { status: 401, retry: false, meaning: "A token, key or signature is missing or wrong." },
  expired: { status: 401, retry: false, meaning: "The access token has expired; ask for a new one." },
  revoked: { status: 403, retry: false, meaning: "The device or token was revoked." },
  forbidden: { status: 403, retry: false, meaning: "The role may not do this, or the thing belongs to another device." },
  notFound: { status: 404, retry: false, meaning: "There is no such route, run, object, lease, upload or device." },
  methodNotAllowed: { status: 405, retry: false, meaning: "The path exists, but not with this method." },
  requestTimeout: { status: 408, retry: true, meaning: "The body did not arrive in time." },
  conflict: {
    status: 409,
    retry: false,
    meaning: "The state does not allow this: an upload offset, a run that has ended, a replayed nonce.",
  },
  leaseLost: { status: 410, retry: false, meaning: "The lease has lapsed or was given to another device." },
  tooLarge: { status: 413, retry: false, meaning: "The body or object is larger than the limit." },
  unsupportedMediaType: { status: 415, retry: false, meaning: "The body has another content type than the route takes." },
  rangeNotSatisfiable: { status: 416, retry: false, meaning: "The range lies outside the object." },
  unacceptable: {
    status: 422,
    retry: false,
    meaning: "Well-formed, but wrong in content: a configuration, or bytes that do not have their hash.",
  },
  versionUnsupported: {
    status: 426,
    retry: false,
    meaning: "The coordinator does not speak the version of the protocol that the request names.",
  },
  rateLimited: { status: 429, retry: true, meaning: "Too many requests; wait for Retry-After." },
  internal: { status: 500, retry: true, meaning: "A defect of the coordinator; its log names the request." },
  unavailable: { status: 503, retry: true, meaning: "The coordinator is starting, stopping or overloaded; wait for Retry-After." },
  storageFull: { status: 507, retry: true, meaning: "The coordinator has no room for the object." },
} as const;

export type ProtocolErrorCode = keyof typeof protocolErrors;

/** The codes, in the order of the table. */
export const protocolErrorCodes: readonly ProtocolErrorCode[] = Object.keys(protocolErrors) as ProtocolErrorCode[];

/** The body of every response that is not a success. */
export interface ErrorBody {
  readonly error: {
    readonly code: ProtocolErrorCode;
    /** A sentence: where, expected, got, what to do. */
    readonly message: string;
    /** Places in the request that are wrong, or the like: short texts by name. */
    readonly details?: Readonly<Record<string, string>> | undefined;
  };
}

export const errorBodySchema: z.ZodType<ErrorBody> = z.strictObject({
  error: z.strictObject({
    code: z.enum(protocolErrorCodes as [ProtocolErrorCode, ...ProtocolErrorCode[]]),
    message: longText,
    details: z.record(z.string().min(1).max(200), longText).optional(),
  }),
});

/** A failure at either end of the protocol. The server answers with its body and status, the client throws it. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;
  readonly details: Readonly<Record<string, string>> | undefined;
  /** How long to wait before trying again, where that is known. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: ProtocolErrorCode,
    message: string,
    options: ErrorOptions & {
      readonly details?: Readonly<Record<string, string>> | undefined;
      readonly retryAfterMs?: number | undefined;
    } = {},
  ) {
    super(message, options);
    this.name = "ProtocolError";
    this.code = code;
    this.details = options.details;
    this.retryAfterMs = options.retryAfterMs;
  }
  get status(): number {
    return protocolErrors[this.code].status;
  }
}

/** The body that tells an error; what is too long for it is cut. */
export function errorBody({ code, message, details }: ProtocolError): ErrorBody {
  return { error: { code, message: message.slice(0, 2000) || code, ...(details ? { details } : {}) } };
}
