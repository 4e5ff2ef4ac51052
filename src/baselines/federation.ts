/** What every baseline is made of: clients with samples, what they train in a round, and the questions that a method answers. Plain data. */
import type { Dataset } from "../data/dataset.ts";
import type { WidthFactors } from "../network/narrow.ts";
import type { Network } from "../network/network.ts";
import type { DeviceProfile } from "../plan/device.ts";
import type { TrainingSettings } from "../train/job.ts";
import type { Tensor } from "../util/tensor.ts";

/** A device of the run as a baseline sees it. */
export interface Client {
  readonly id: string;
  readonly profile: DeviceProfile;
  /** The widths that the planner gave its sub-model: what it can afford. */
  readonly widths: WidthFactors;
  /** Samples that it trains on, as places in the data set; labels are the classes themselves. */
  readonly samples: Uint32Array;
  /** How many samples of its own task set it has: what the full target is charged for in the ratio. */
  readonly ownSamples: number;
}

/** Settings of the baselines; each method reads those that it knows. */
export interface BaselineOptions {
  /** Rounds of local training and averaging. */
  readonly rounds: number;
  /** Passes over its samples that a client makes in a round. */
  readonly localEpochs: number;
  /** Share of the clients that take part in a round, at least one; drawn anew for each. */
  readonly participation: number;
  /** One width for every client's network, instead of the method's own choice. */
  readonly width?: number | undefined;
  /** FedProx: weight of the proximal term. */
  readonly mu: number;
  /** Average of slim nets: how many; as many as there are devices when left out. */
  readonly members?: number | undefined;
  /** Split-Mix: width of a base network; the narrowest client's when left out. */
  readonly baseWidth?: number | undefined;
  /** FjORD: how often in a local epoch a client draws a width. */
  readonly segments: number;
  /** Whether a client's head leaves out classes that it has no sample of; the method's own choice when left out. */
  readonly maskAbsentClasses?: boolean | undefined;
  /** Whether running statistics of batch norm are measured anew on the final weights. */
  readonly calibrate: boolean;
}

/** All that a baseline starts from; the same fleet, samples and settings as the run that it is compared with. */
export interface Federation {
  readonly target: Network;
  readonly dataset: Dataset;
  readonly clients: readonly Client[];
  /** Width of the run's slim control. */
  readonly slimWidth: WidthFactors;
  /** Training settings of the full target, and of narrower networks. */
  readonly settings: { readonly wide: TrainingSettings; readonly narrow: TrainingSettings };
  readonly options: BaselineOptions;
  readonly seed: number;
}

/** What the server keeps between rounds: parameters and running statistics by name. */
export type ServerState = ReadonlyMap<string, Tensor>;

/** One local training. */
export interface LocalWork {
  readonly client: Client;
  /** Tells several works of one client in one round apart; empty for its only one. */
  readonly part: string;
  readonly network: Network;
  /** Weights to start from; drawn from the seed when left out. */
  readonly initial?: ReadonlyMap<string, Tensor>;
  readonly samples: Uint32Array;
  /** Label of each sample, as a number of the network's logits. */
  readonly labels: Uint16Array;
  readonly settings: TrainingSettings;
  /** Network whose weights travel to the client and back for this work; undefined when none do. */
  readonly exchange: Network | undefined;
  /** Whether the client only runs forward, which costs a third of a training step. */
  readonly forwardOnly?: boolean;
}

/** What the server has to do with in one round. */
export interface RoundContext {
  readonly federation: Federation;
  readonly state: ServerState;
  /** From 0. */
  readonly round: number;
  /** Clients that take part. */
  readonly clients: readonly Client[];
  /** Trains side by side; parameters and running statistics come back in the order of the works. */
  train(works: readonly LocalWork[]): Promise<readonly ReadonlyMap<string, Tensor>[]>;
}

/** A network of the final model with its weights. */
export interface Member {
  readonly network: Network;
  readonly parameters: ReadonlyMap<string, Tensor>;
}

/** A baseline: what it is, and how it answers each question. */
export interface BaselineMethod {
  readonly title: string;
  /** Authors, title, venue and year. */
  readonly paper: string;
  /** Whether clients train once and to the end; then there is one round. */
  readonly oneShot: boolean;
  /** How the members' answers are put together. */
  readonly combine: "probabilities" | "logits";
  /** Who trains; the federation's clients unless the method needs others. */
  clients(federation: Federation): readonly Client[];
  /** The server's first state. */
  start(federation: Federation): ServerState;
  /** One round: hands out work and puts together what comes back. */
  round(context: RoundContext): Promise<ServerState>;
  /** Measures running statistics anew on the final weights; absent where clients' own are right already. */
  calibrate?(context: RoundContext): Promise<ServerState>;
  /** The networks that answer. */
  members(federation: Federation, state: ServerState): readonly Member[];
}
