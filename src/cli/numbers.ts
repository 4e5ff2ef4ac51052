/** Numbers on the command line. */
import { InvalidArgumentError } from "commander";

/** A whole number of at least 1. */
export function wholeOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("Expected a whole number of at least 1.");
  return value;
}

/** A port, 0 to 65535. */
export function portOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) throw new InvalidArgumentError("Expected a port, 0 to 65535.");
  return value;
}

/** A positive number of hours, at most a year. */
export function hoursOf(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 8784)) throw new InvalidArgumentError("Expected hours, more than 0 and at most 8784.");
  return value;
}
