/**
 * HeteroFL: Diao, Ding, Tarokh, "HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous Clients", ICLR 2021.
 * A client trains the first channels of every layer, as many as it can afford; the server averages each weight over the clients that hold it.
 * The head of a client leaves out classes that it has no sample of (masked cross-entropy); batch norm is static, its statistics measured at the end.
 */
import { narrow } from "../network/narrow.ts";
import { averaging } from "./fedAvg.ts";
import type { BaselineMethod, Federation } from "./federation.ts";
import { alike, type SliceRule } from "./sliceRound.ts";
import { firstChannels, widestOf } from "./slices.ts";

/** The rule of nested slices: the server's network is the widest client's, since what nobody holds is never trained. */
export function nestedRule({ target, clients, options }: Federation): SliceRule {
  const { width } = options;
  return {
    server: narrow(
      target,
      width ??
        widestOf(
          target,
          clients.map(({ widths }) => widths),
        ),
    ),
    widths: (client) => width ?? client.widths,
    choose: firstChannels,
    maskAbsentClasses: options.maskAbsentClasses ?? true,
    weight: alike,
    kind: "narrow",
  };
}

/** Static nested slices. */
export const heteroFl: BaselineMethod = {
  title: "HeteroFL",
  paper: "Diao et al., HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous Clients, ICLR 2021",
  ...averaging(nestedRule),
};
