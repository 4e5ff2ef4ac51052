/** Each device gets the samples of its classes and, from all others, a background share. */
import { SheafError } from "../../util/errors.ts";
import { random, shuffle } from "../../util/random.ts";
import { drawStratified, samplesByClass } from "../dataset.ts";
import { partStart } from "./devices.ts";
import type { Partitioner } from "./partition.ts";

function requireOptions(classCount: number, classesOf: readonly (readonly number[])[], backgroundShare: number): void {
  if (classesOf.length === 0) throw new SheafError("config", "The byClass partition needs at least one device, got none.");
  if (!(backgroundShare >= 0 && backgroundShare <= 1)) {
    throw new SheafError("config", `The background share rho must lie between 0 and 1, got ${backgroundShare}.`);
  }
  for (const [device, classes] of classesOf.entries()) {
    if (classes.length === 0) throw new SheafError("config", `Device ${device} owns no class; give it at least one.`);
    for (const label of classes) {
      if (!Number.isInteger(label) || label < 0 || label >= classCount) {
        throw new SheafError("config", `Device ${device} wants class ${label}, but the classes are 0 to ${classCount - 1}.`);
      }
    }
    if (new Set(classes).size !== classes.length) {
      throw new SheafError("config", `Device ${device} lists a class twice (${classes.join(", ")}); list each once.`);
    }
  }
}

/**
 * Own parts hold only samples of a device's classes. With overlap "split" they are disjoint, and complete over the classes that anyone owns:
 * a class's samples are shuffled and dealt out to its owners in parts whose sizes differ by at most one. With "share" every owner of a class
 * has all of its samples, so own parts are complete but overlap wherever classes do.
 * Background: round(rho x number of samples of classes that the device does not own), drawn with those classes' proportions. Rho 1 gives all of
 * them, 0 none. Backgrounds of different devices are drawn apart from each other and may overlap. Samples of a class that nobody owns are
 * background only. With "share" and rho 0 or 1 nothing is random.
 */
export const byClass: Partitioner<"byClass"> = (labels, classCount, { classesOf, overlap, backgroundShare }, seed) => {
  requireOptions(classCount, classesOf, backgroundShare);
  const groups = samplesByClass(labels, classCount);
  const own: number[][] = classesOf.map(() => []);
  for (const [label, group] of groups.entries()) {
    const owners = classesOf.flatMap((classes, device) => (classes.includes(label) ? [device] : []));
    if (overlap === "share" || owners.length <= 1) {
      for (const device of owners) for (const sample of group) own[device]!.push(sample);
      continue;
    }
    const order = shuffle([...group], random(seed, "partition", "byClass", "split", label));
    // Which owner gets the odd sample turns with the class, so that no device is always the larger.
    for (let part = 0; part < owners.length; part++) {
      const device = owners[(part + label) % owners.length]!;
      const dealt = order.slice(partStart(part, owners.length, order.length), partStart(part + 1, owners.length, order.length));
      for (const sample of dealt) own[device]!.push(sample);
    }
  }
  const background = classesOf.map((classes, device) => {
    const others = groups.map((group, label) => (classes.includes(label) ? [] : group));
    const available = others.reduce((sum, group) => sum + group.length, 0);
    return drawStratified(others, Math.round(backgroundShare * available), seed, "partition", "byClass", "background", device);
  });
  return { own: own.map((samples) => Uint32Array.from(samples).sort()), background };
};
