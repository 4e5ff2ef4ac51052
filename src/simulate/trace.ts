/**
 * When devices are there: for each a list of intervals, read from and written to CSV. A device comes with its first interval, is away between two,
 * and never comes back after the last.
 */
import { SheafError } from "../util/errors.ts";

/** A stretch of virtual time in which a device is switched on and connected. */
export interface Interval {
  readonly fromMs: number;
  /** Infinity where it stays. */
  readonly toMs: number;
  /** On battery (false) a device does not work: it gives back what it has and waits. */
  readonly onPower: boolean;
  /** Times its speed. */
  readonly speed: number;
  /** In place of its profile's. */
  readonly bandwidthBitsPerSecond?: number;
}

/** Intervals by device, ascending and apart. */
export type Trace = ReadonlyMap<string, readonly Interval[]>;

const columns = ["device", "fromSeconds", "toSeconds", "onPower", "speed", "bandwidthBitsPerSecond"] as const;
type Column = (typeof columns)[number];

function fail(where: string, line: number, what: string): never {
  throw new SheafError("config", `${where}, line ${line}: ${what}; correct it and simulate again.`);
}

/** Which column is which; `device`, `fromSeconds` and `toSeconds` must be there. */
function readHeader(line: string, where: string): ReadonlyMap<Column, number> {
  const names = line.split(",").map((name) => name.trim());
  const found = new Map<Column, number>();
  for (const [i, name] of names.entries()) {
    const column = columns.find((known) => known === name);
    if (!column) fail(where, 1, `no column is called "${name}", expected some of ${columns.join(", ")}`);
    if (found.has(column)) fail(where, 1, `the column ${name} is there twice`);
    found.set(column, i);
  }
  for (const needed of columns.slice(0, 3)) if (!found.has(needed)) fail(where, 1, `the column ${needed} is missing`);
  return found;
}

function numberOf(text: string, column: Column, where: string, line: number, isPositive: boolean): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < 0 || (isPositive && value === 0))
    fail(where, line, `${column} must be a number ${isPositive ? "above" : "of at least"} 0, got "${text}"`);
  return value;
}

function readRow(cells: readonly string[], header: ReadonlyMap<Column, number>, where: string, line: number) {
  const text = (column: Column): string => (cells[header.get(column) ?? -1] ?? "").trim();
  const device = text("device");
  if (!/^[A-Za-z0-9_.-]{1,100}$/.test(device)) fail(where, line, `device must be 1 to 100 letters, digits, _, . and -, got "${device}"`);
  const fromMs = Math.round(1000 * numberOf(text("fromSeconds"), "fromSeconds", where, line, false));
  const to = text("toSeconds");
  const toMs = to === "" ? Number.POSITIVE_INFINITY : Math.round(1000 * numberOf(to, "toSeconds", where, line, true));
  if (toMs <= fromMs) fail(where, line, `toSeconds (${to}) must come after fromSeconds (${fromMs / 1000})`);
  const power = text("onPower");
  if (power !== "" && power !== "true" && power !== "false") fail(where, line, `onPower must be true or false, got "${power}"`);
  const [speed, bandwidth] = [text("speed"), text("bandwidthBitsPerSecond")];
  const interval: Interval = {
    fromMs,
    toMs,
    onPower: power !== "false",
    speed: speed === "" ? 1 : numberOf(speed, "speed", where, line, true),
    ...(bandwidth === "" ? {} : { bandwidthBitsPerSecond: numberOf(bandwidth, "bandwidthBitsPerSecond", where, line, true) }),
  };
  return { device, interval };
}

/**
 * Reads a trace: CSV with a header line, columns in any order, of which `onPower` (true), `speed` (1) and `bandwidthBitsPerSecond` (the profile's) may be
 * left out or empty; an empty `toSeconds` is for ever. Throws `config` with the line for what is none, or where intervals of a device overlap.
 * @example parseTrace("device,fromSeconds,toSeconds\nann,0,3600\nann,7200,\n", "night.csv")
 */
export function parseTrace(text: string, where: string): Trace {
  const lines = text.split(/\r?\n/);
  const header = readHeader(lines[0] ?? "", where);
  const trace = new Map<string, Interval[]>();
  for (const [i, line] of lines.entries()) {
    if (i === 0 || line.trim() === "" || line.startsWith("#")) continue;
    const cells = line.split(",");
    if (cells.length > header.size) fail(where, i + 1, `there are ${cells.length} values for ${header.size} columns`);
    const { device, interval } = readRow(cells, header, where, i + 1);
    const before = trace.get(device) ?? [];
    if (before.some(({ fromMs, toMs }) => interval.fromMs < toMs && fromMs < interval.toMs))
      fail(where, i + 1, `device ${device} is there twice at ${interval.fromMs / 1000} s`);
    trace.set(device, [...before, interval]);
  }
  if (trace.size === 0) fail(where, lines.length, "there is no device in it");
  for (const intervals of trace.values()) intervals.sort((a, b) => a.fromMs - b.fromMs);
  return trace;
}

/** A trace as CSV that `parseTrace` reads. */
export function formatTrace(trace: Trace): string {
  const rows = [...trace].flatMap(([device, intervals]) =>
    intervals.map(({ fromMs, toMs, onPower, speed, bandwidthBitsPerSecond }) =>
      [device, fromMs / 1000, toMs === Number.POSITIVE_INFINITY ? "" : toMs / 1000, onPower, speed, bandwidthBitsPerSecond ?? ""].join(","),
    ),
  );
  return `${[columns.join(","), ...rows].join("\n")}\n`;
}
