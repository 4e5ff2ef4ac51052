/**
 * FedRolex: Alam, Liu, Yan, Zhang, "FedRolex: Model-Heterogeneous Federated Learning with Rolling Sub-Model Extraction", NeurIPS 2022.
 * As HeteroFL, but a client's window of channels moves on by one in each round and wraps around, so that all of the full target is trained,
 * even where no client could hold it.
 */
import { averaging } from "./fedAvg.ts";
import type { BaselineMethod } from "./federation.ts";
import { nestedRule } from "./heteroFl.ts";
import { bySamples } from "./sliceRound.ts";
import { rollingChannels } from "./slices.ts";

/** Rolling slices of the full target. */
export const fedRolex: BaselineMethod = {
  title: "FedRolex",
  paper: "Alam et al., FedRolex: Model-Heterogeneous Federated Learning with Rolling Sub-Model Extraction, NeurIPS 2022",
  ...averaging((federation, round) => ({
    ...nestedRule(federation),
    server: federation.target,
    choose: rollingChannels(round),
    weight: bySamples,
  })),
};
