/**
 * FjORD: Horváth, Laskaridis, Almeida, Leontiadis, Venieris, Lane, "FjORD: Fair and Accurate Federated Learning under heterogeneous targets with
 * Ordered Dropout", NeurIPS 2021.
 * Ordered dropout: a client draws a width again and again while it trains, from a quarter to all of what it can afford, and trains the first channels of
 * that width. Not done here: self-distillation. Widths are drawn a few times per local epoch (`segments`), each time for a part of the samples, not in every step.
 */
import { random, shuffle } from "../util/random.ts";
import type { Tensor } from "../util/tensor.ts";
import { averageSlices } from "./average.ts";
import { averaging } from "./fedAvg.ts";
import type { BaselineMethod, Client, LocalWork, RoundContext, ServerState } from "./federation.ts";
import { nestedRule } from "./heteroFl.ts";
import { bySamples, classesOf, labelsAmong, roundSettings, type SliceRule, startingWeights } from "./sliceRound.ts";
import { cutSlice, type Slice, sliceOf } from "./slices.ts";

/** Widths that are drawn, as shares of a client's own. */
const shares = [0.25, 0.5, 0.75, 1];

/** A client while it trains: its widest slice, and the weights in it so far. */
interface Local {
  readonly client: Client;
  readonly whole: Slice;
  readonly order: Uint32Array;
  weights: ReadonlyMap<string, Tensor>;
}

/** The part of a client's samples that segment `at` of `count` trains on. */
const segmentOf = ({ order }: Local, at: number, count: number): Uint32Array =>
  order.subarray(Math.floor((at * order.length) / count), Math.floor(((at + 1) * order.length) / count));

/** Which width a client draws for a segment, as a share of its own. */
export function drawnShare(seed: number, client: string, round: number, epoch: number, segment: number): number {
  return shares[random(seed, client, "width", round, epoch, segment).below(shares.length)] as number;
}

async function orderedDropoutRound(context: RoundContext, rule: SliceRule): Promise<ServerState> {
  const { federation, state, round, clients } = context;
  const { target, options, seed } = federation;
  const base = roundSettings(federation, rule.kind, round);
  const locals = clients.map((client): Local => {
    const whole = sliceOf(target, rule.server, rule.widths(client), classesOf(federation, client, rule.maskAbsentClasses));
    return { client, whole, order: client.samples.slice(), weights: cutSlice(rule.server, state, whole) };
  });
  for (let epoch = 0; epoch < options.localEpochs; epoch++) {
    for (const local of locals) shuffle(local.order, random(seed, local.client.id, "segments", round, epoch));
    for (let segment = 0; segment < options.segments; segment++) {
      const first = epoch === 0 && segment === 0;
      const parts = locals.map((local) => partOf(local, drawnShare(seed, local.client.id, round, epoch, segment)));
      const open = locals.flatMap((local, i) =>
        segmentOf(local, segment, options.segments).length > 0 ? [{ local, part: parts[i] as Slice }] : [],
      );
      const trained = await context.train(
        open.map(({ local, part }): LocalWork => {
          const samples = segmentOf(local, segment, options.segments);
          return {
            client: local.client,
            part: options.segments * options.localEpochs > 1 ? `${epoch}.${segment}` : "",
            network: part.network,
            initial: startingWeights(part.network, cutSlice(local.whole.network, local.weights, part), round),
            samples,
            labels: labelsAmong(federation, samples, local.whole.classes),
            settings: { ...base, epochs: 1 },
            exchange: first ? local.whole.network : undefined,
          };
        }),
      );
      for (const [i, { local, part }] of open.entries()) {
        const contribution = { slice: part, parameters: trained[i] as ReadonlyMap<string, Tensor>, weight: 1 };
        local.weights = averageSlices(local.whole.network, local.weights, [contribution]);
      }
    }
  }
  return averageSlices(
    rule.server,
    state,
    locals.map(({ client, whole, weights }) => ({ slice: whole, parameters: weights, weight: rule.weight(client) })),
  );
}

/** A narrower slice of a client's own network, with all of its head. */
function partOf({ whole: { network, classes } }: Local, share: number): Slice {
  return sliceOf(network, network, share, Array.from(classes.keys()));
}

const fjordRule = (federation: Parameters<typeof nestedRule>[0]): SliceRule => ({
  ...nestedRule(federation),
  maskAbsentClasses: federation.options.maskAbsentClasses ?? false,
  weight: bySamples,
});

/** Ordered dropout. */
export const fjord: BaselineMethod = {
  title: "FjORD",
  paper: "Horváth et al., FjORD: Fair and Accurate Federated Learning under heterogeneous targets with Ordered Dropout, NeurIPS 2021",
  ...averaging(fjordRule),
  round: (context) => orderedDropoutRound(context, fjordRule(context.federation)),
};
