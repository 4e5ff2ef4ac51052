/** What a device's samples are worth to a run: which of its classes the device holds, and how many samples of each. */

import type { RunDefinition, Slot } from "./events.ts";
import type { Device } from "./state.ts";

/** Samples of a class that a device is taken to have when it says only that it has some. */
export const assumedSamples = 100;

/** Samples by class of the run, in the run's order; assumed where the device keeps counts to itself. */
export function holdings({ classNames }: Pick<RunDefinition, "classNames">, { data }: Pick<Device, "data">): readonly number[] {
  const { counts, present } = data;
  const byName = new Map(data.classNames.map((name, i) => [name, counts ? (counts[i] ?? 0) : present?.[i] ? assumedSamples : 0]));
  return classNames.map((name) => byName.get(name) ?? 0);
}

/** Whether a device can take part in a run: not revoked, samples of the run's shape, and some of its classes. */
export function takesPart({ classNames, sampleShape }: Pick<RunDefinition, "classNames" | "sampleShape">, device: Device): boolean {
  const { channels, height, width } = device.data.sampleShape;
  if (device.revokedAt !== undefined) return false;
  if (channels !== sampleShape.channels || height !== sampleShape.height || width !== sampleShape.width) return false;
  return holdings({ classNames }, device).some((count) => count > 0);
}

/** Whether a device's samples can stand for those that a slot was planned with. */
export function standsFor(definition: RunDefinition, slot: Slot, device: Device): boolean {
  const held = holdings(definition, device);
  if (slot.taskSet.some((classId) => !((held[classId] ?? 0) > 0))) return false;
  if (!device.data.counts) return true;
  const own = slot.taskSet.reduce((sum, classId) => sum + (held[classId] ?? 0), 0);
  return own >= definition.policy.minimumSampleShare * slot.ownSamples;
}
