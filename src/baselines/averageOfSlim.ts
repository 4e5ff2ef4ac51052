/**
 * Average of slim nets: a deep ensemble (Lakshminarayanan, Pritzel, Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles",
 * NeurIPS 2017) of networks as narrow as the sub-models. Each sees all samples and all classes, which no device of the fleet does: a control, not a federation.
 */
import { narrow } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import type { BaselineMethod, Client, Federation } from "./federation.ts";
import { memberOf, trainApart } from "./oneShotEnsemble.ts";

const networkOf = ({ target, slimWidth, options }: Federation): Network => narrow(target, options.width ?? slimWidth);

/** As many trainers as there are to be members, each with all the data on one of the fleet's devices. */
function slimClients({ clients, dataset, options, slimWidth }: Federation): readonly Client[] {
  const all = Uint32Array.from(dataset.labels.keys());
  return Array.from(
    { length: options.members ?? clients.length },
    (_, i): Client => ({
      id: `slim-${i + 1}`,
      profile: (clients[i % clients.length] as Client).profile,
      widths: slimWidth,
      samples: all,
      ownSamples: all.length,
    }),
  );
}

/** Mean of the probabilities of slim nets with different first weights and sample orders. */
export const averageOfSlim: BaselineMethod = {
  title: "Average of slim nets",
  paper: "Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles, NeurIPS 2017",
  oneShot: true,
  combine: "probabilities",
  clients: slimClients,
  start: () => new Map(),
  round: (context) => trainApart(context, () => networkOf(context.federation)),
  members: (federation, state) => slimClients(federation).map((client) => memberOf(state, client, networkOf(federation))),
};
