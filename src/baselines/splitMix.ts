/**
 * Split-Mix: Hong, Wang, Wang, Zhou, "Efficient Split-Mix Federated Learning for On-Demand and In-Situ Customization", ICLR 2022.
 * The target is split by width into narrow base networks that share nothing. In each round a client trains as many of them as it can afford, the next ones in
 * turn; each base is averaged over the clients that trained it. All bases together answer, by the mean of their logits.
 */
import { initialParameters } from "../compile/initialize.ts";
import { narrow } from "../network/narrow.ts";
import { networkCost } from "../network/shapes.ts";
import { random } from "../util/random.ts";
import type { BaselineMethod, Client, Federation, Member, RoundContext, ServerState } from "./federation.ts";
import { bySamples, calibrateSlices, type SliceRule, sliceRound } from "./sliceRound.ts";
import { firstChannels } from "./slices.ts";

/** How a federation's target is split. */
export interface Split {
  readonly baseWidth: number;
  readonly bases: number;
  /** Bases that a client trains in a round: as many as cost no more than the sub-model that the planner gave it, at least one. */
  perRound(client: Client): number;
}

/** Width of a uniform sub-model that costs what the client's own does. */
function uniformWidth({ target }: Federation, { widths }: Client): number {
  if (typeof widths === "number") return widths;
  return Math.sqrt(networkCost(narrow(target, widths)).macs / networkCost(target).macs);
}

/** The split: bases of the configured width or the narrowest client's, so many that they are as wide as the target together. */
export function splitOf(federation: Federation): Split {
  const { target, clients, options } = federation;
  const baseWidth = Math.min(
    1,
    options.baseWidth ?? options.width ?? Math.min(...clients.map((client) => uniformWidth(federation, client))),
  );
  const bases = Math.max(1, Math.round(1 / baseWidth));
  const baseMacs = networkCost(narrow(target, baseWidth)).macs;
  return {
    baseWidth,
    bases,
    perRound: (client) =>
      Math.min(bases, Math.max(1, Math.floor((networkCost(narrow(target, client.widths)).macs / baseMacs) * (1 + 1e-9)))),
  };
}

/** The bases that a client trains in a round: the next ones in turn, from a start of its own. */
export function basesOf(split: Split, client: Client, seed: number, round: number): readonly number[] {
  const count = split.perRound(client);
  const start = random(seed, client.id, "base").below(split.bases) + round * count;
  return Array.from({ length: count }, (_, i) => (start + i) % split.bases);
}

const prefix = (base: number): string => `base${base}/`;
const stateOfBase = (state: ServerState, base: number): ServerState =>
  new Map([...state].flatMap(([name, value]) => (name.startsWith(prefix(base)) ? [[name.slice(prefix(base).length), value]] : [])));

function ruleOf({ target, options }: Federation, { baseWidth }: Split): SliceRule {
  return {
    server: narrow(target, baseWidth),
    widths: () => baseWidth,
    choose: firstChannels,
    maskAbsentClasses: options.maskAbsentClasses ?? false,
    weight: bySamples,
    kind: "narrow",
  };
}

/** Does one thing to every base with the clients that have it, all at once. */
async function eachBase(
  context: RoundContext,
  split: Split,
  clientsOf: (base: number) => readonly Client[],
  act: typeof sliceRound,
): Promise<ServerState> {
  const { federation, state } = context;
  const rule = ruleOf(federation, split);
  const next = new Map(state);
  for (let base = 0; base < split.bases; base++) {
    const clients = clientsOf(base);
    if (clients.length === 0) continue;
    const result = await act(
      {
        ...context,
        state: stateOfBase(state, base),
        clients,
        train: (works) => context.train(works.map((work) => ({ ...work, part: `base${base}` }))),
      },
      rule,
    );
    for (const [name, value] of result) next.set(`${prefix(base)}${name}`, value);
  }
  return next;
}

/** Averaging of base networks that add up to the target's width. */
export const splitMix: BaselineMethod = {
  title: "Split-Mix",
  paper: "Hong et al., Efficient Split-Mix Federated Learning for On-Demand and In-Situ Customization, ICLR 2022",
  oneShot: false,
  combine: "logits",
  clients: ({ clients }) => clients,
  start(federation) {
    const split = splitOf(federation);
    const { server } = ruleOf(federation, split);
    const bases = Array.from({ length: split.bases }, (_, base) => {
      const values = initialParameters(server, random(federation.seed, "base", base).int32());
      return [...values].map(([name, value]) => [`${prefix(base)}${name}`, value] as const);
    });
    return new Map(bases.flat());
  },
  round(context) {
    const { federation, round, clients } = context;
    const split = splitOf(federation);
    const has = new Map(clients.map((client) => [client.id, new Set(basesOf(split, client, federation.seed, round))]));
    return eachBase(context, split, (base) => clients.filter(({ id }) => has.get(id)?.has(base)), sliceRound);
  },
  calibrate: (context) => eachBase(context, splitOf(context.federation), () => context.clients, calibrateSlices),
  members(federation, state) {
    const split = splitOf(federation);
    const { server } = ruleOf(federation, split);
    return Array.from({ length: split.bases }, (_, base): Member => ({ network: server, parameters: stateOfBase(state, base) }));
  },
};
