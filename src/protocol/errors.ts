/** Failures as they cross the wire: one body, one total table from code to HTTP status. */
import { z } from "zod";
import { SheafError } from "../util/errors.ts";
import { longText } from "./values.ts";

/** By error code: HTTP status, whether the same request may succeed later unchanged, the code of the `SheafError`, and what it means. */
export const protocolErrors = {
  invalid: { status: 400, retry: false, error: "config", meaning: "The request is not what the route takes." },
  unauthenticated: { status: 401, retry: false, error: "config", meaning: "A token, key or signature is missing or wrong." },
  expired: { status: 401, retry: false, error: "config", meaning: "The access token has expired; ask for a new one." },
  revoked: { status: 403, retry: false, error: "config", meaning: "The device or token was revoked." },
  forbidden: { status: 403, retry: false, error: "config", meaning: "The role may not do this, or the thing belongs to another device." },
  notFound: { status: 404, retry: false, error: "config", meaning: "There is no such route, run, object, lease, upload or device." },
  methodNotAllowed: { status: 405, retry: false, error: "config", meaning: "The path exists, but not with this method." },
  requestTimeout: { status: 408, retry: true, error: "unavailable", meaning: "The body did not arrive in time." },
  conflict: {
    status: 409,
    retry: false,
    error: "config",
    meaning: "The state does not allow this: an upload's offset, a run that has ended, a nonce that has served.",
  },
  leaseLost: { status: 410, retry: false, error: "unavailable", meaning: "The lease has lapsed or was given to another device." },
  tooLarge: { status: 413, retry: false, error: "config", meaning: "The body or object is larger than the limit." },
  unsupportedMediaType: { status: 415, retry: false, error: "config", meaning: "The body has another content type than the route takes." },
  rangeNotSatisfiable: { status: 416, retry: false, error: "config", meaning: "The range lies outside the object." },
  unacceptable: {
    status: 422,
    retry: false,
    error: "config",
    meaning: "Well-formed, but wrong in content: a configuration, or bytes that do not have their hash.",
  },
  versionUnsupported: {
    status: 426,
    retry: false,
    error: "config",
    meaning: "The coordinator does not speak the version of the protocol that the request names.",
  },
  rateLimited: { status: 429, retry: true, error: "unavailable", meaning: "Too many requests; wait for Retry-After." },
  internal: { status: 500, retry: true, error: "internal", meaning: "A defect of the coordinator; its log names the request." },
  unavailable: {
    status: 503,
    retry: true,
    error: "unavailable",
    meaning: "The coordinator is starting, stopping or overloaded; wait for Retry-After.",
  },
  storageFull: { status: 507, retry: true, error: "storage", meaning: "The coordinator has no room for the object." },
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
    readonly details?: Readonly<Record<string, string>>;
  };
}

const detailName = z.string().min(1).max(200);

export const errorBodySchema: z.ZodType<ErrorBody> = z.strictObject({
  error: z.strictObject({
    code: z.enum(protocolErrorCodes as [ProtocolErrorCode, ...ProtocolErrorCode[]]),
    message: longText,
    details: z.record(detailName, longText).exactOptional(),
  }),
});

/** What an error says beside its code and sentence. */
export interface ProtocolErrorOptions extends ErrorOptions {
  readonly details?: Readonly<Record<string, string>> | undefined;
  /** How long to wait before trying again, where that is known; sent as Retry-After. */
  readonly retryAfterMs?: number | undefined;
}

/** A refusal by the coordinator, at either end: the server answers with its body and status, the client throws it. */
export class ProtocolError extends SheafError {
  /** What it is on the wire; `code` is the `SheafError` code that goes with it. */
  readonly protocolCode: ProtocolErrorCode;
  readonly details: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;
  constructor(protocolCode: ProtocolErrorCode, message: string, options: ProtocolErrorOptions = {}) {
    super(protocolErrors[protocolCode].error, message, options);
    this.name = "ProtocolError";
    this.protocolCode = protocolCode;
    this.details = options.details ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
  /** HTTP status. */
  get status(): number {
    return protocolErrors[this.protocolCode].status;
  }
}

/**
 * Whether a signed request was refused for what another signature mends: a nonce that has served, since the line delivered the request twice and brought the
 * answer to the second, or a clock that was set meanwhile, where the refusal says what time it is.
 */
export function wantsNewSignature(error: unknown): error is ProtocolError {
  if (!(error instanceof ProtocolError)) return false;
  return error.protocolCode === "conflict" || (error.protocolCode === "unauthenticated" && "now" in error.details);
}

/** The body that tells an error; texts too long for it are cut. */
export function errorBody({ protocolCode, message, details }: ProtocolError): ErrorBody {
  const cut = Object.entries(details).map(([name, text]) => [name.slice(0, 200) || "request", text.slice(0, 2000) || "wrong"]);
  return {
    error: {
      code: protocolCode,
      message: message.slice(0, 2000) || protocolErrors[protocolCode].meaning,
      ...(cut.length > 0 ? { details: Object.fromEntries(cut) as Record<string, string> } : {}),
    },
  };
}

/** The code that a status without a readable body stands for, as from a proxy on the way. */
export function codeOfStatus(status: number): ProtocolErrorCode {
  if (status === 502 || status === 504) return "unavailable";
  const exact = protocolErrorCodes.find((code) => protocolErrors[code].status === status);
  return exact ?? (status >= 500 ? "unavailable" : "invalid");
}

/** What is wrong with a request, from its schema's issues: an `invalid` error whose details name the first few places. */
export function invalidRequest(what: string, { issues }: z.core.$ZodError): ProtocolError {
  const details = Object.fromEntries(
    issues.slice(0, 10).map(({ path, message }) => [path.map(String).join(".").slice(0, 200) || "body", message]),
  );
  const [place, reason] = Object.entries(details)[0] ?? ["body", "is not as expected"];
  return new ProtocolError("invalid", `${what} is not as expected at ${place}: ${reason}.`.slice(0, 2000), { details });
}
