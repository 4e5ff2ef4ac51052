/** Numbers as the report prints them: fixed decimals where values are compared, SI prefixes where magnitudes matter. */
import { format } from "d3-format";

const nbsp = "\u00a0";
const oneDecimal = format(".1f");
const grouped = format(",d");
const prefixed = format(".3s");

/** 0.7812 as "78.1 %". */
export function percent(fraction: number): string {
  return `${oneDecimal(100 * fraction)}${nbsp}%`;
}

/** A difference of fractions in percentage points, signed: -0.059 as "−5.9". A difference that rounds to nothing is "0.0". */
export function points(difference: number): string {
  const rounded = oneDecimal(Math.abs(100 * difference));
  if (rounded === "0.0") return rounded;
  return `${difference < 0 ? "\u2212" : "+"}${rounded}`;
}

/** 50000 as "50,000". */
export function count(value: number): string {
  return grouped(value);
}

/** Three significant digits with an SI prefix: 152.8e6 as "153 M". */
export function si(value: number): string {
  if (value !== 0 && Math.abs(value) < 1) return format(".3~g")(value);
  if (value < 1000) return format(".3~r")(value);
  const text = prefixed(value);
  return `${text.slice(0, -1)}${nbsp}${text.slice(-1)}`;
}

/** Multiply-adds: 152.8e6 as "153 MMAC". */
export function macs(value: number): string {
  return value < 1000 ? `${si(value)}${nbsp}MAC` : `${si(value)}MAC`;
}

/** Decimal bytes: 9230000 as "9.23 MB". */
export function bytes(value: number): string {
  return value < 1000 ? `${grouped(value)}${nbsp}B` : `${si(value)}B`;
}

/** Bytes without trailing zeros, for the ticks of an axis: "2 MB". */
export function byteTick(value: number): string {
  if (value < 1000) return `${value}${nbsp}B`;
  const text = format(".3~s")(value);
  return `${text.slice(0, -1)}${nbsp}${text.slice(-1)}B`;
}

/** 11.32 as "11.3", for "times" and ratios. */
export function ratio(value: number): string {
  return value >= 100 ? grouped(value) : oneDecimal(value);
}

/** A duration in the two largest units that apply: "0.40 s", "42 s", "3 min 20 s", "2 h 05 min". */
export function duration(seconds: number): string {
  if (seconds < 10) return `${format(".2f")(seconds)}${nbsp}s`;
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole}${nbsp}s`;
  if (whole < 7200) return `${Math.floor(whole / 60)}${nbsp}min ${String(whole % 60).padStart(2, "0")}${nbsp}s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)}${nbsp}h ${String(minutes % 60).padStart(2, "0")}${nbsp}min`;
}

/** Width factors in brief: "0.28" when uniform, "0.19 to 0.56" otherwise. */
export function widths(factors: readonly number[]): string {
  if (factors.length === 0) return "\u2013";
  const print = format(".2f");
  const low = print(Math.min(...factors));
  const high = print(Math.max(...factors));
  return low === high ? low : `${low}\u2013${high}`;
}
