/**
 * FedProx: Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith, "Federated Optimization in Heterogeneous Networks", MLSys 2020.
 * FedAvg whose clients also minimise mu/2 |w - w_t|^2, the distance to the weights that they were sent.
 */
import { averaging, fedAvgRule } from "./fedAvg.ts";
import type { BaselineMethod } from "./federation.ts";

/** FedAvg with the proximal term; with mu 0 it is FedAvg, bit for bit. */
export const fedProx: BaselineMethod = {
  title: "FedProx",
  paper: "Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020",
  ...averaging((federation) => ({ ...fedAvgRule(federation), proximal: federation.options.mu })),
};
