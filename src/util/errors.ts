/** The one error class of Sheaf: a sentence with evidence and remedy, and a code that callers and scripts can act on. */

/** Exit code of the `sheaf` command by error code; documented in docs/cli.md. 0 is success, 1 a defect of Sheaf itself. */
export const exitCodes = {
  /** A defect in Sheaf. */
  internal: 1,
  /** Wrong arguments on the command line. */
  usage: 2,
  /** A configuration value is unknown, missing or out of range. */
  config: 3,
  /** A data set or input file is missing, cut short or not what it should be. */
  data: 4,
  /** A network or layer is ill-formed. */
  network: 5,
  /** No plan exists for the fleet. */
  plan: 6,
  /** Training diverged (loss not finite). */
  diverged: 7,
  /** A checkpoint, weights file or model is corrupt or does not match. */
  corrupt: 8,
  /** A file could not be written (disk full, no permission). */
  storage: 9,
  /** Something that is needed could not be fetched or started. */
  unavailable: 10,
  /** Interrupted by the user; state was saved. */
  interrupted: 130,
} as const;

export type ErrorCode = keyof typeof exitCodes;

/**
 * An expected failure. The message is one sentence: where, expected, got, what to do.
 * The command line prints it without a stack trace and exits with `exitCodes[code]`.
 */
export class SheafError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SheafError";
    this.code = code;
  }
}

/** Closes a switch over a union: a forgotten case is a compile error. */
export function unreachable(value: never): never {
  throw new SheafError("internal", `Unreachable case ${JSON.stringify(value)}.`);
}
