/** Numbers and tables for people; machines read JSON. The command line and the report use the same forms. */

const siPrefixes = ["", "k", "M", "G", "T", "P"] as const;

/** What stands for a value that is not a finite number. */
const notANumber = "n/a";

/** Three significant digits, zeros kept: 2.47, 12.0, 153. Values below 1 get two decimals. */
function threeDigits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

/** One decimal below 100: 1.2, 12.0, 153. */
function oneDecimal(value: number): string {
  return value.toFixed(Math.abs(value) < 99.95 ? 1 : 0);
}

/** The value scaled to below 1000 as it will be shown, and its prefix. Whole numbers below 1000 stay as they are. */
function scaled(value: number, show: (value: number) => string): { readonly text: string; readonly prefix: string } {
  let rest = value;
  let i = 0;
  // 999.6 k would be shown as "1000 k"; the limit is where three digits round up.
  while (Math.abs(rest) >= 999.5 && i < siPrefixes.length - 1) {
    rest /= 1000;
    i++;
  }
  return { text: i === 0 && Number.isInteger(rest) ? String(rest) : show(rest), prefix: siPrefixes[i] ?? "" };
}

/** Bytes in powers of 1000: `12 B`, `1.2 MB`, `153 MB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return notANumber;
  const { text, prefix } = scaled(Math.round(bytes), oneDecimal);
  return `${text} ${prefix}B`;
}

/** A count to three significant digits: `950`, `2.47 M`, `153 M`. A unit goes behind it: `${formatCount(macs)}MAC`. */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return notANumber;
  const { text, prefix } = scaled(count, threeDigits);
  return prefix ? `${text} ${prefix}` : text;
}

/** A duration by its two largest units: `850 ms`, `12.3 s`, `1 m 20 s`, `2 h 05 m`, `3 d 04 h`. */
export function formatDuration(durationMs: number): string {
  if (!Number.isFinite(durationMs)) return notANumber;
  if (durationMs < 0) return `-${formatDuration(-durationMs)}`;
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`;
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1)} s`;
  const two = (value: number): string => String(value).padStart(2, "0");
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  const minutes = Math.round(durationMs / 60_000);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`;
  const hours = Math.round(durationMs / 3_600_000);
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** A fraction as a percentage: 0.8423 is `84.2%`. */
export function formatPercent(fraction: number, decimals = 1): string {
  return Number.isFinite(fraction) ? `${(fraction * 100).toFixed(decimals)}%` : notANumber;
}

/** How many times: 11.83 is `11.8x`, 240.2 is `240x`. */
export function formatRatio(ratio: number): string {
  if (!Number.isFinite(ratio)) return notANumber;
  return `${oneDecimal(ratio)}x`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what begins a colour code.
const colourCode = /\u001b\[[0-9;]*m/g;

/** Number of characters that a terminal shows, colour codes not counted. */
export function visibleWidth(text: string): number {
  return [...text.replace(colourCode, "")].length;
}

export type Alignment = "left" | "right";

/** Spaces added so that `width` characters show; a wider text is left as it is. */
function pad(text: string, width: number, alignment: Alignment): string {
  const spaces = " ".repeat(Math.max(0, width - visibleWidth(text)));
  return alignment === "left" ? text + spaces : spaces + text;
}

/** A cell that shows a number, by its first visible character and without letters before it. */
const looksNumeric = (text: string): boolean => /^[-+]?\d/.test(text.replace(colourCode, "")) || text === notANumber || text === "";

export interface TableOptions {
  /** Per column. Default: right where every cell below the first row is empty or begins with a digit or a sign and a digit, else left. */
  readonly align?: readonly Alignment[];
  /** Between columns; two spaces by default. */
  readonly gap?: string;
}

/**
 * Rows of cells as aligned columns, one line per row, without trailing spaces. The first row is the heading. Cells may hold colour codes; rows may differ in length.
 * @example table([["device", "ratio"], ["phone", "11.8x"], ["board", "4.0x"]])
 */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const columns = Array.from({ length: Math.max(0, ...rows.map((row) => row.length)) }, (_, i) => rows.map((row) => row[i] ?? ""));
  const shapes = columns.map((cells, i) => ({
    width: Math.max(...cells.map(visibleWidth)),
    alignment: options.align?.[i] ?? (cells.length > 1 && cells.slice(1).every(looksNumeric) ? "right" : "left"),
  }));
  return rows
    .map((row) =>
      shapes
        .map(({ width, alignment }, i) => pad(row[i] ?? "", width, alignment))
        .join(options.gap ?? "  ")
        .trimEnd(),
    )
    .join("\n");
}
