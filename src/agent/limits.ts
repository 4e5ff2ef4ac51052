/** What the owner of a device allows: how much of the processor and memory, only on mains power, only at some hours. Pure: clocks and sensors are handed in. */
import { SheafError } from "../util/errors.ts";

/** A daily stretch of local time, in minutes since midnight; one that ends before it starts goes over midnight. */
export interface DailyHours {
  readonly startMinute: number;
  readonly endMinute: number;
}

/** Limits that an owner sets; what is absent is not limited. */
export interface Limits {
  /** Share of one core, more than 0 and at most 1; training runs on one core. */
  readonly cpuShare?: number;
  readonly memoryBytes?: number;
  readonly onlyOnPower?: boolean;
  readonly hours?: DailyHours;
}

/** What the sensors of a device say. */
export interface Conditions {
  /** Local time of day. */
  readonly minuteOfDay: number;
  /** Whether mains power is on; undefined where that cannot be known, which counts as on. */
  readonly isOnPower: boolean | undefined;
  /** Why the owner has it pause now, as a clause. */
  readonly pausedBecause?: string | undefined;
}

const minutesPerDay = 24 * 60;

function minuteOf(text: string): number | undefined {
  const match = /^(\d{1,2}):(\d{2})$/.exec(text.trim());
  if (!match) return undefined;
  const [hours, minutes] = [Number(match[1]), Number(match[2])];
  const total = hours * 60 + minutes;
  return minutes < 60 && total <= minutesPerDay ? total % minutesPerDay : undefined;
}

/** A minute of the day as a clock shows it: `22:00`. */
function timeOf(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}

/**
 * Reads hours such as `22:00-06:00`. Throws `usage` for what is none.
 * @example parseHours("22:00-06:00") // { startMinute: 1320, endMinute: 360 }
 */
export function parseHours(text: string): DailyHours {
  const [startMinute, endMinute, ...rest] = text.split("-").map(minuteOf);
  if (startMinute === undefined || endMinute === undefined || rest.length > 0)
    throw new SheafError("usage", `--schedule must be two times of day such as 22:00-06:00, got "${text}".`);
  if (startMinute === endMinute && text.split("-")[0]?.trim() === text.split("-")[1]?.trim())
    throw new SheafError("usage", `--schedule ${text} is no time at all; leave it out to work at any time.`);
  return { startMinute, endMinute };
}

/** Whether a minute of the day lies in the hours; start included, end not. `00:00-24:00` is the whole day. */
export function isWithin({ startMinute, endMinute }: DailyHours, minuteOfDay: number): boolean {
  if (startMinute < endMinute) return minuteOfDay >= startMinute && minuteOfDay < endMinute;
  return minuteOfDay >= startMinute || minuteOfDay < endMinute;
}

/**
 * Reads a share of the processor: `50%` of this machine's cores, or a number of cores such as `0.5`. More than one core counts as one, which is all that
 * training uses. Throws `usage` for what is neither.
 */
export function parseCpuShare(text: string, cores: number): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim());
  const value = Number(match?.[1]);
  const isPercent = match?.[2] === "%";
  if (!match || !(value > 0) || (isPercent && value > 100))
    throw new SheafError("usage", `--max-cpu must be a share such as 50% or a number of cores such as 0.5, got "${text}".`);
  return Math.min(1, isPercent ? (value / 100) * cores : value);
}

const unitBytes: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, ki: 2 ** 10, mi: 2 ** 20, gi: 2 ** 30 };

/** Reads an amount of memory: bytes, or with a unit, such as `512MB`, `1.5GB` or `2GiB`. Throws `usage` for what is none. */
export function parseMemory(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]i?)?b?$/i.exec(text.trim());
  const bytes = Math.floor(Number(match?.[1]) * (unitBytes[(match?.[2] ?? "").toLowerCase()] ?? Number.NaN));
  if (!match || !(bytes > 0)) throw new SheafError("usage", `--max-memory must be an amount such as 512MB or 2GiB, got "${text}".`);
  return bytes;
}

/** Why a device may not work now, as a clause; undefined when it may. */
export function reasonToPause({ onlyOnPower, hours }: Limits, { minuteOfDay, isOnPower, pausedBecause }: Conditions): string | undefined {
  if (pausedBecause !== undefined) return pausedBecause;
  if (onlyOnPower && isOnPower === false) return "it runs on battery";
  // Told by the clock, so that it is said once and not each minute anew.
  if (hours && !isWithin(hours, minuteOfDay)) return `its hours begin at ${timeOf(hours.startMinute)}`;
  return undefined;
}

/** How long to rest after `busyMs` of work so that work takes `cpuShare` of the time. */
export function restMs(cpuShare: number, busyMs: number): number {
  return cpuShare >= 1 ? 0 : (busyMs * (1 - cpuShare)) / cpuShare;
}

/** Local time of day. */
export function minuteOfDayAt(date: Date): number {
  return date.getHours() * 60 + date.getMinutes();
}
