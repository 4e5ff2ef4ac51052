/** JSON with one spelling per value, so that equal values have equal bytes and equal hashes. */
import { SheafError } from "./errors.ts";

/** Key order by UTF-16 code units, as in RFC 8785; `localeCompare` would depend on the machine. */
const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};

function write(value: unknown, path: string): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item, i) => write(item, `${path}[${i}]`)).join(",")}]`;
  if (typeof value === "object" && isPlain(value)) {
    const entries = Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(([a], [b]) => byCodeUnits(a, b));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${write(item, `${path}.${key}`)}`).join(",")}}`;
  }
  const got = typeof value === "object" ? `a ${value.constructor.name}` : `${typeof value} ${String(value)}`;
  throw new SheafError(
    "internal",
    `Canonical JSON of ${path} needs null, a boolean, a finite number, a string, an array or a plain object, got ${got}.`,
  );
}

/**
 * JSON text without spaces, keys sorted at every depth, numbers in their shortest form (-0 is 0). Properties that are `undefined` are left out.
 * Throws `internal`, naming the place, for what JSON cannot hold exactly: NaN, infinities, bigints, functions, typed arrays and other class instances.
 * @example canonicalJson({ b: 1, a: [true, 0.5] }) // '{"a":[true,0.5],"b":1}'
 */
export function canonicalJson(value: unknown): string {
  return write(value, "$");
}
