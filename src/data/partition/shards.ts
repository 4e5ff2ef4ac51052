/** A few single-class runs of samples for each device. */
import { SheafError } from "../../util/errors.ts";
import { random, shuffle } from "../../util/random.ts";
import { samplesByClass } from "../dataset.ts";
import { partStart, requireDevices } from "./devices.ts";
import type { Partitioner } from "./partition.ts";

/**
 * McMahan et al. 2017 (Communication-Efficient Learning of Deep Networks from Decentralized Data, section 3): sort the samples by class,
 * cut them into deviceCount x shardsPerDevice shards of equal size (to one sample), and give each device shardsPerDevice of them at random.
 * Own parts are disjoint and complete. No background. Samples of one class stay in their original order.
 */
export const shards: Partitioner<"shards"> = (labels, classCount, { deviceCount, shardsPerDevice }, seed) => {
  requireDevices(deviceCount, labels.length, "shards");
  const shardCount = deviceCount * shardsPerDevice;
  if (!Number.isInteger(shardsPerDevice) || shardsPerDevice < 1 || shardCount > labels.length) {
    throw new SheafError(
      "config",
      `The shards partition needs at least 1 shard a device and a sample for each shard; ${deviceCount} devices with ${shardsPerDevice} shards do not fit ${labels.length} samples.`,
    );
  }
  const sorted = samplesByClass(labels, classCount).flat();
  const order = shuffle(
    Array.from({ length: shardCount }, (_, shard) => shard),
    random(seed, "partition", "shards"),
  );
  const own = Array.from({ length: deviceCount }, (_, device) => {
    const mine = order.slice(device * shardsPerDevice, (device + 1) * shardsPerDevice);
    const samples = mine.flatMap((shard) =>
      sorted.slice(partStart(shard, shardCount, sorted.length), partStart(shard + 1, shardCount, sorted.length)),
    );
    return Uint32Array.from(samples).sort();
  });
  return { own, background: own.map(() => new Uint32Array()) };
};
