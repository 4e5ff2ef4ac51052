/** What devices hold where the partition, not the plan, decides it. */
import type { Dataset } from "../data/dataset.ts";
import { partitioners } from "../data/partition/partitioners.ts";
import type { RunConfig } from "./config.ts";

/** Local data first, plan second: what each device holds says what it prefers. */
export function localParts(config: RunConfig, train: Dataset, held: Uint32Array, deviceCount: number): readonly Uint32Array[] | undefined {
  const labels = Uint16Array.from(held, (i) => train.labels[i] as number);
  return localPlaces(config, labels, train.classNames.length, deviceCount)?.map((part) => part.map((place) => held[place] as number));
}

function localPlaces(
  { partition, seed }: RunConfig,
  labels: Uint16Array,
  classes: number,
  deviceCount: number,
): readonly Uint32Array[] | undefined {
  switch (partition.type) {
    case "byClass":
      return undefined;
    case "dirichlet":
      return partitioners.dirichlet(labels, classes, { deviceCount, alpha: partition.alpha }, seed).own;
    case "shards":
      return partitioners.shards(labels, classes, { deviceCount, shardsPerDevice: partition.shardsPerDevice }, seed).own;
    case "iid":
      return partitioners.iid(labels, classes, { deviceCount }, seed).own;
  }
}

/** Classes of a device's local samples that it may own, most samples first. */
export function byCount(train: Dataset, local: Uint32Array): number[] {
  const counts = train.classNames.map(() => 0);
  for (const i of local) counts[train.labels[i] as number] = (counts[train.labels[i] as number] ?? 0) + 1;
  return counts
    .map((count, id) => ({ count, id }))
    .filter(({ count, id }) => count > 0 && id !== train.otherClass)
    .sort((a, b) => b.count - a.count || a.id - b.id)
    .map(({ id }) => id);
}
