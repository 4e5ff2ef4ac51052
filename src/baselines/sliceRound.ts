/** A round in which clients train slices of one server network and the server averages them: FedAvg, FedProx, HeteroFL, FjORD and FedRolex are settings of it. */
import { learningRateAt } from "../compile/schedules.ts";
import { noAugmentation } from "../data/augment.ts";
import type { WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import { outputShape } from "../network/shapes.ts";
import type { TrainingSettings } from "../train/job.ts";
import { random, shuffle } from "../util/random.ts";
import { integers, type Tensor } from "../util/tensor.ts";
import { averageSlices, type Contribution } from "./average.ts";
import type { Client, Federation, LocalWork, RoundContext, ServerState } from "./federation.ts";
import { type ChannelChoice, cutSlice, type Slice, sliceOf } from "./slices.ts";

/** What tells the methods that average slices apart. */
export interface SliceRule {
  /** The server's network: the target or a narrower copy. */
  readonly server: Network;
  /** A client's widths, as factors of the target's. */
  widths(client: Client): WidthFactors;
  readonly choose: ChannelChoice;
  /** Whether a client's head leaves out classes that it has no sample of. */
  readonly maskAbsentClasses: boolean;
  /** What a client counts in the average. */
  weight(client: Client): number;
  /** Weight of FedProx's proximal term. */
  readonly proximal?: number;
  readonly kind: "wide" | "narrow";
}

/** Counting every client alike, or by its number of samples. */
export const alike = (): number => 1;
export const bySamples = ({ samples }: Client): number => samples.length;

/** Classes that a head has rows for. */
export function classesOf({ dataset, target }: Federation, client: Client, maskAbsent: boolean): readonly number[] {
  const all = Array.from({ length: outputShape(target).channels }, (_, id) => id);
  if (!maskAbsent) return all;
  const present = new Set(Array.from(client.samples, (i) => dataset.labels[i] as number));
  return all.filter((id) => present.has(id));
}

/**
 * Settings of a client's training in one round: the configured schedule runs over the rounds, and the rate stays the same within one. No moving average
 * of the weights, which would lag behind in so short a training.
 */
export function roundSettings({ settings, options }: Federation, kind: "wide" | "narrow", round: number): TrainingSettings {
  const { schedule, ...rest } = settings[kind];
  const learningRate = learningRateAt(schedule, 2 * round + 1, 2 * options.rounds + 1);
  return { ...rest, epochs: options.localEpochs, emaDecay: 0, schedule: { type: "constant", learningRate } };
}

/** Labels as places among the classes of a head. */
export function labelsAmong({ dataset }: Federation, samples: Uint32Array, classes: readonly number[]): Uint16Array {
  const place = new Map(classes.map((id, i) => [id, i]));
  return Uint16Array.from(samples, (i) => place.get(dataset.labels[i] as number) ?? 0);
}

/** Steps that dropout's random numbers are ahead in each round, so that no round repeats the last one's. */
const dropoutStride = 1e6;

/** Starting weights, with what the training program needs beside them: the proximal term's anchors, a counter of dropout that goes on. */
export function startingWeights(
  network: Network,
  cut: ReadonlyMap<string, Tensor>,
  round: number,
  proximal = 0,
): ReadonlyMap<string, Tensor> {
  const start = new Map(cut);
  if (proximal > 0) for (const [name, value] of cut) if (!/\.running_(mean|var)$/.test(name)) start.set(`${name}.anchor`, value);
  const drops = network.layers.some((layer) => layer.type === "dropout" && layer.probability > 0);
  if (drops) start.set("random.counter", integers([1], [round * dropoutStride]));
  return start;
}

const sliceFor = (federation: Federation, rule: SliceRule, client: Client): Slice =>
  sliceOf(federation.target, rule.server, rule.widths(client), classesOf(federation, client, rule.maskAbsentClasses), rule.choose);

/** One round of local training and averaging. */
export async function sliceRound(context: RoundContext, rule: SliceRule): Promise<ServerState> {
  const { federation, state, round, clients } = context;
  const slices = clients.map((client) => sliceFor(federation, rule, client));
  const settings = roundSettings(federation, rule.kind, round);
  const { proximal = 0 } = rule;
  const works = clients.map((client, i): LocalWork => {
    const slice = slices[i] as Slice;
    return {
      client,
      part: "",
      network: slice.network,
      initial: startingWeights(slice.network, cutSlice(rule.server, state, slice), round, proximal),
      samples: client.samples,
      labels: labelsAmong(federation, client.samples, slice.classes),
      settings: proximal > 0 ? { ...settings, optimizer: { ...settings.optimizer, proximal } } : settings,
      exchange: slice.network,
    };
  });
  const trained = await context.train(works);
  return averageSlices(rule.server, state, contributions(clients, slices, trained, rule.weight));
}

const contributions = (
  clients: readonly Client[],
  slices: readonly Slice[],
  trained: readonly ReadonlyMap<string, Tensor>[],
  weight: SliceRule["weight"],
): readonly Contribution[] =>
  clients.map((client, i) => ({
    slice: slices[i] as Slice,
    parameters: trained[i] as ReadonlyMap<string, Tensor>,
    weight: weight(client),
  }));

/** So small a rate changes no weight; the running statistics move on all the same. */
const standingStill = 1e-30;
/** Batches that running statistics are measured on: with the usual momentum of 0.1 earlier ones would count for nothing. */
const calibrationBatches = 16;

/**
 * Measures batch norm's running statistics on the server's weights: every client runs some of its samples forward through the server's whole network,
 * normalized by each batch's own statistics and without augmentation, and the server pools what they find (HeteroFL's static batch norm). A slice's own
 * statistics would not do: its layers read fewer channels.
 */
export async function calibrateSlices(context: RoundContext, rule: SliceRule): Promise<ServerState> {
  const { federation, state, round, clients } = context;
  const { server } = rule;
  if (!server.layers.some((layer) => layer.type === "batchNorm")) return state;
  const settings = federation.settings[rule.kind];
  const classes = Array.from({ length: outputShape(server).channels }, (_, id) => id);
  const whole = sliceOf(server, server, 1, classes);
  const works = clients.map((client): LocalWork => {
    const drawn = shuffle(client.samples.slice(), random(federation.seed, client.id, "calibration"));
    const samples = drawn.slice(0, calibrationBatches * settings.batchSize);
    return {
      client,
      part: "",
      network: server,
      initial: startingWeights(server, state, round),
      samples,
      labels: labelsAmong(federation, samples, classes),
      settings: {
        ...settings,
        epochs: 1,
        emaDecay: 0,
        optimizer: { type: "sgd", momentum: 0, nesterov: false, weightDecay: 0 },
        schedule: { type: "constant", learningRate: standingStill },
        augmentation: noAugmentation,
      },
      exchange: server,
      forwardOnly: true,
    };
  });
  const trained = await context.train(works);
  const slices = clients.map(() => whole);
  return averageSlices(server, state, contributions(clients, slices, trained, bySamples), "statistics");
}
