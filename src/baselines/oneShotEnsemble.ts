/**
 * One-shot ensemble: Guha, Talwalkar, Smith, "One-Shot Federated Learning", 2019 (arXiv:1902.11175).
 * Every client trains a network of its own on its own samples, once and to the end; the mean of all their logits answers. No data or model is distilled.
 */
import { narrow } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import type { Tensor } from "../util/tensor.ts";
import type { BaselineMethod, Client, Federation, LocalWork, Member, RoundContext, ServerState } from "./federation.ts";
import { classesOf, labelsAmong } from "./sliceRound.ts";

/** A client's network: as wide as the planner made its sub-model, with a logit for every class. */
const networkOf = ({ target, options }: Federation, { widths }: Client): Network => narrow(target, options.width ?? widths);

/** Training of every client's own network from its own first weights; the state holds each under the client's id. */
export async function trainApart(context: RoundContext, networkFor: (client: Client) => Network): Promise<ServerState> {
  const { federation, clients } = context;
  const works = clients.map((client): LocalWork => {
    const network = networkFor(client);
    return {
      client,
      part: "",
      network,
      samples: client.samples,
      labels: labelsAmong(federation, client.samples, classesOf(federation, client, false)),
      settings: federation.settings[federation.options.width === 1 ? "wide" : "narrow"],
      exchange: network,
    };
  });
  const trained = await context.train(works);
  const entries = clients.flatMap(({ id }, i) =>
    [...(trained[i] as ReadonlyMap<string, Tensor>)].map(([name, value]) => [`${id}/${name}`, value] as const),
  );
  return new Map(entries);
}

/** A client's network and its weights out of such a state. */
export function memberOf(state: ServerState, client: Client, network: Network): Member {
  const prefix = `${client.id}/`;
  const own = [...state].flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : []));
  return { network, parameters: new Map(own) };
}

/** Mean of the logits of networks that were trained apart. */
export const oneShotEnsemble: BaselineMethod = {
  title: "One-shot ensemble",
  paper: "Guha et al., One-Shot Federated Learning, arXiv:1902.11175, 2019",
  oneShot: true,
  combine: "logits",
  clients: ({ clients }) => clients,
  start: () => new Map(),
  round: (context) => trainApart(context, (client) => networkOf(context.federation, client)),
  members: (federation, state) =>
    federation.clients
      .filter(({ id }) => [...state.keys()].some((name) => name.startsWith(`${id}/`)))
      .map((client) => memberOf(state, client, networkOf(federation, client))),
};
