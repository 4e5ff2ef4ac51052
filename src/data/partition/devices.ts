/** Shared by the partitioners that deal samples out to a number of devices: their check and their even sizes. */
import { SheafError } from "../../util/errors.ts";

/** Throws `config` unless there is at least one device and a sample for each. */
export function requireDevices(deviceCount: number, sampleCount: number, partitioner: string): void {
  if (!Number.isInteger(deviceCount) || deviceCount < 1 || deviceCount > sampleCount) {
    throw new SheafError(
      "config",
      `The ${partitioner} partition needs 1 to ${sampleCount} devices (a sample for each), got ${deviceCount}; change deviceCount.`,
    );
  }
}

/** Where part `part` of `parts` begins when `total` things are cut into parts whose sizes differ by at most one. */
export function partStart(part: number, parts: number, total: number): number {
  return Math.floor((part * total) / parts);
}
