/** What it means to deal a data set's samples out to devices: the options of each way and the shape of the result. */

/** Which samples each device has; indices are ascending. Every list has one entry for each device. */
export interface Partition {
  /** Samples of the classes a device answers for, with their true labels. */
  readonly own: readonly Uint32Array[];
  /** Samples of other classes, of which the device knows only that they are "other". Never overlaps its own part. */
  readonly background: readonly Uint32Array[];
}

/** Options of each way to partition. */
export interface PartitionOptions {
  readonly byClass: {
    /** For each device the classes that it owns. */
    readonly classesOf: readonly (readonly number[])[];
    /** A class of several owners: "split" deals its samples out among them, "share" gives all of them to each. */
    readonly overlap: "split" | "share";
    /** Rho: background samples as a fraction, 0 to 1, of all samples of classes that the device does not own. */
    readonly backgroundShare: number;
  };
  readonly dirichlet: {
    readonly deviceCount: number;
    /** Concentration: large makes devices alike, small gives each few classes. */
    readonly alpha: number;
  };
  readonly shards: {
    readonly deviceCount: number;
    readonly shardsPerDevice: number;
  };
  readonly iid: {
    readonly deviceCount: number;
  };
}

export type PartitionType = keyof PartitionOptions;

/** A pure function of labels, number of classes, options and seed. Throws `config` for options that cannot be met. */
export type Partitioner<P extends PartitionType> = (
  labels: Uint16Array,
  classCount: number,
  options: PartitionOptions[P],
  seed: number,
) => Partition;
