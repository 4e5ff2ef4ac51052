/** All ways to partition, by name. */
import { byClass } from "./byClass.ts";
import { dirichlet } from "./dirichlet.ts";
import { iid } from "./iid.ts";
import type { Partitioner, PartitionType } from "./partition.ts";
import { shards } from "./shards.ts";

/** A total table: a new entry of `PartitionOptions` is a compile error until it has its function here. */
export const partitioners: { readonly [P in PartitionType]: Partitioner<P> } = { byClass, dirichlet, shards, iid };
