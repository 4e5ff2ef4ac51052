/** Values of a configuration before it is checked: set by a path, merged, and read from `key=value`. */
import { SheafError } from "../util/errors.ts";

/** Values as people type them after `=`: numbers, true, false, null, JSON lists and objects; anything else is a string. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A copy of `base` with `path` set. */
export function withValue(base: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (Array.isArray(base) && /^\d+$/.test(key)) return Object.assign([...base], { [key]: withValue(base[Number(key)], rest, value) });
  const object = typeof base === "object" && base !== null && !Array.isArray(base) ? base : {};
  return { ...object, [key]: withValue((object as Record<string, unknown>)[key], rest, value) };
}

/** Objects merge key by key; anything else in `over` replaces what was there. */
export function mergeConfig(base: unknown, over: unknown): unknown {
  const isObject = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = key in base ? mergeConfig(base[key], value) : value;
  return merged;
}

/**
 * Applies `a.b=c` assignments.
 * Throws `usage` on one without `=` or without a key.
 */
export function applyAssignments(base: unknown, assignments: readonly string[]): unknown {
  let result = base;
  for (const assignment of assignments) {
    const at = assignment.indexOf("=");
    const path = assignment.slice(0, at).split(".");
    if (at < 1 || path.some((part) => !/^[A-Za-z0-9_-]+$/.test(part))) {
      throw new SheafError("usage", `--set expects KEY=VALUE with a dotted key such as training.epochs=5, got "${assignment}".`);
    }
    result = withValue(result, path, parseValue(assignment.slice(at + 1)));
  }
  return result;
}
