/** Samples dealt out at random, so that every device sees the same distribution. */
import { random, shuffle } from "../../util/random.ts";
import { partStart, requireDevices } from "./devices.ts";
import type { Partitioner } from "./partition.ts";

/** Shuffles all samples and cuts them into parts whose sizes differ by at most one. Own parts are disjoint and complete. No background. */
export const iid: Partitioner<"iid"> = (labels, _classCount, { deviceCount }, seed) => {
  requireDevices(deviceCount, labels.length, "iid");
  const order = shuffle(Uint32Array.from(labels.keys()), random(seed, "partition", "iid"));
  const own = Array.from({ length: deviceCount }, (_, device) =>
    order.slice(partStart(device, deviceCount, labels.length), partStart(device + 1, deviceCount, labels.length)).sort(),
  );
  return { own, background: own.map(() => new Uint32Array()) };
};
