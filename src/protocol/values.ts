/** Small schemas that messages are made of. Every text, list and number has a limit, so that no message is larger than it need be. */
import { z } from "zod";

/** A key that may be missing, but not `undefined`. */
export const optional = <T>(schema: z.ZodType<T>): z.ZodExactOptional<z.ZodType<T>> => z.exactOptional(schema);

/** Names of runs, devices, leases, tasks and uploads: letters, digits, `_` and `-`, so that they are file names too. */
export const id: z.ZodType<string> = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, "must be 1 to 64 letters, digits, _ or -");
/** SHA-256 as 64 lower-case hexadecimal digits; the name of an object. */
export const sha256: z.ZodType<string> = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hexadecimal digits");
const printable = /^\P{Cc}*$/u;
/** A name or label for people: one line. */
export const shortText: z.ZodType<string> = z.string().min(1).max(200).regex(printable, "must not have control characters");
/** A reason or message. */
export const longText: z.ZodType<string> = z.string().min(1).max(2000);
/** A join token, access token or the like, as it is sent. */
export const secret: z.ZodType<string> = z.string().regex(/^[A-Za-z0-9._~+/=-]{8,2000}$/, "must be 8 to 2000 characters of a token");
/** Milliseconds since 1970, UTC. */
export const instant: z.ZodType<number> = z.int().min(0).max(8_640_000_000_000_000);
export const count: z.ZodType<number> = z.int().min(0);
export const positive: z.ZodType<number> = z.number().positive();
export const atLeastZero: z.ZodType<number> = z.number().min(0);
export const share: z.ZodType<number> = z.number().min(0).max(1);
/** Largest object that is stored: 16 GiB. */
export const maximumObjectBytes: number = 2 ** 34;
export const objectBytes: z.ZodType<number> = z.int().min(0).max(maximumObjectBytes);

/** Most classes of a run. */
export const maximumClasses = 65_535;
export const classId: z.ZodType<number> = z
  .int()
  .min(0)
  .max(maximumClasses - 1);
export const classNames: z.ZodType<readonly string[]> = z.array(shortText).min(1).max(maximumClasses);

/** Raw bytes of exactly this many, as base64 (RFC 4648 section 4, padded). */
export function base64Of(bytes: number): z.ZodType<string> {
  const characters = Math.ceil(bytes / 3) * 4;
  const padding = (3 - (bytes % 3)) % 3;
  const pattern = new RegExp(`^[A-Za-z0-9+/]{${characters - padding}}={${padding}}$`);
  return z.string().regex(pattern, `must be ${bytes} bytes in base64`);
}

/** Whether a JSON value is nested at most this deep; walks without recursion, so that no depth harms the reader. */
export function isShallow(value: unknown, maximumDepth: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maximumDepth) return false;
    level = level.flatMap((item) => (typeof item === "object" && item !== null ? Object.values(item) : []));
  }
  return true;
}

/** Any JSON object, nested at most 32 deep. */
export const jsonObject: z.ZodType<Readonly<Record<string, unknown>>> = z
  .record(z.string().max(200), z.unknown())
  .refine((value) => isShallow(value, 32), "must not be nested more than 32 deep");
