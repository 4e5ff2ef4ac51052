/** What a sub-model costs the device that trains it: time, memory, energy, traffic, and how much computation it was spared. Pure sums over the cost tables. */
import { type Progressive, shrunk, smallEpochs } from "../compile/progressive.ts";
import type { Network } from "../network/network.ts";
import { networkCost, placeLayers } from "../network/shapes.ts";
import type { DeviceProfile } from "./device.ts";

/** A training step counts as three forward passes: forward, gradient of the activations, gradient of the parameters. */
export const forwardsPerTrainingStep = 3;

/**
 * Float32 copies of every parameter while a compiled step runs. The step reads and writes different buffers, which are then swapped:
 * weights twice, momentum twice, moving average of the weights twice, and the gradient once.
 */
export const parameterCopies = 7;
/** Layer states (running statistics): the current and the next. */
export const stateCopies = 2;

/**
 * Bytes that a process needs beside what it trains: Node with onnxruntime-node loaded measures 56 MB resident on x64 Linux; the rest is for
 * the compiled graph, ONNX Runtime's arena beyond the tensors, and the buffers of a checkpoint. With it the estimate for VGG-11, batch 64,
 * lies within about a tenth of what a training process was seen to hold (173 MB at width 0.1, about 280 MB at 0.28).
 */
export const runtimeBaseBytes = 150e6;

const floatBytes = 4;
const doubleBytes = 8;

/** MACs that a device spends on everything Sheaf makes it do. */
export interface ComputeBreakdown {
  /** Training on samples of its own classes. */
  readonly own: number;
  /** Training on background samples. */
  readonly background: number;
  /** The forward pass of all branches over its own samples, and the sums of products of their features. */
  readonly statistics: number;
  /** The forward pass of a trained target that tells which of its filters fire for which classes. */
  readonly warmStart: number;
  /** Passes against the other branches' frozen outputs. */
  readonly settle: number;
  readonly total: number;
}

/** What a plan expects of one device. */
export interface Expected {
  readonly seconds: number;
  readonly memoryBytes: number;
  /** Undefined where the profile states no watts. */
  readonly energyJoules: number | undefined;
  readonly bytesDown: number;
  readonly bytesUp: number;
  readonly compute: ComputeBreakdown;
  /** MACs of training the full target on the device's own samples and epochs, on smaller images in the first of them where sub-models are trained so. */
  readonly fullTargetMacs: number;
  /** `fullTargetMacs / compute.total`: how many times less the device computes. */
  readonly ratio: number;
}

/** What counts of a network when it is a branch of the global model. */
export interface BranchCost {
  /** One sample's forward pass. */
  readonly macs: number;
  /** The same on the smaller images of a progressive training; `macs` without one. */
  readonly smallMacs: number;
  readonly parameters: number;
  /** Weights and states as float32: what is downloaded and uploaded. */
  readonly weightBytes: number;
  readonly stateElements: number;
  readonly activationBytes: number;
  /** Per sample. */
  readonly trainingBytes: number;
  /** Values that the last layer reads; the branch's share of the global features. */
  readonly features: number;
  /** Logits; the branch's share of the global log-probabilities. */
  readonly logits: number;
  /** Values of one input sample. */
  readonly inputElements: number;
}

/**
 * MACs of the forward passes that train a network on one sample: once an epoch, of which the first may see smaller images. A training takes
 * `forwardsPerTrainingStep` times as many.
 */
export function epochMacs({ macs, smallMacs }: Pick<BranchCost, "macs" | "smallMacs">, epochs: number, progressive?: Progressive): number {
  const small = smallEpochs(progressive, epochs);
  return (epochs - small) * macs + small * smallMacs;
}

/** Samples that a step looks at, and the forward passes that each of them is charged with: one for all and a training step for the hard share, or a training step. */
function stepOf(batchSize: number, hardShare: number): { readonly candidates: number; readonly forwards: number } {
  const candidates = Math.max(batchSize, Math.round(batchSize / hardShare));
  const forwards = candidates > batchSize ? 1 + (forwardsPerTrainingStep * batchSize) / candidates : forwardsPerTrainingStep;
  return { candidates, forwards };
}

/** How a network is trained, as far as it costs; settings of a training are one. */
export interface TrainingEffort {
  readonly epochs: number;
  readonly batchSize: number;
  readonly hardShare?: number;
  readonly progressive?: Progressive;
}

/** MACs of a whole training, for each of its samples. */
export function trainingMacs(network: Network, { epochs, batchSize, hardShare = 1, progressive }: TrainingEffort): number {
  return stepOf(batchSize, hardShare).forwards * epochMacs(branchCost(network, progressive), epochs, progressive);
}

/** Costs of a network as a branch. Throws `config` where a progressive training is not possible with it. */
export function branchCost(network: Network, progressive?: Progressive): BranchCost {
  const { macs, parameters, stateElements, activationBytes, trainingBytes } = networkCost(network);
  const last = placeLayers(network).at(-1);
  const features = last?.inputs[0];
  const { channels, height, width } = network.input;
  return {
    macs,
    smallMacs: progressive ? networkCost(shrunk(network, progressive.scale)).macs : macs,
    parameters,
    weightBytes: floatBytes * (parameters + stateElements),
    stateElements,
    activationBytes,
    trainingBytes,
    features: features ? features.channels * features.height * features.width : 0,
    logits: last?.output.channels ?? 0,
    inputElements: channels * height * width,
  };
}

/** All branches together, as the statistics pass sees them. */
export interface FleetCost {
  readonly macs: number;
  readonly weightBytes: number;
  readonly features: number;
  readonly logits: number;
  /** Of the branch that needs most; branches run one after another. */
  readonly activationBytes: number;
}

/** Sum over branches. */
export function fleetCost(branches: readonly BranchCost[]): FleetCost {
  return countedCost(branches.map((branch) => [branch, 1]));
}

/** Sum over branches of which there are so many each. */
export function countedCost(branches: Iterable<readonly [branch: BranchCost, count: number]>): FleetCost {
  let [macs, weightBytes, features, logits, activationBytes] = [0, 0, 0, 0, 0];
  for (const [branch, count] of branches) {
    macs += count * branch.macs;
    weightBytes += count * branch.weightBytes;
    features += count * branch.features;
    logits += count * branch.logits;
    activationBytes = Math.max(activationBytes, branch.activationBytes);
  }
  return { macs, weightBytes, features, logits, activationBytes };
}

/** Settle passes that a device takes part in. */
export interface SettleWork {
  readonly passes: number;
  /** Epochs of one pass. */
  readonly epochs: number;
  /** Background samples of a pass, as a share of the device's background samples. */
  readonly backgroundShare: number;
}

/** What a statistics pass sums beyond the moments of features and log-probabilities, and how often its sums go up. */
export interface SumsWork {
  /** Products of features and log-probabilities. */
  readonly scores?: boolean;
  /** Size of a random expansion of the features: its computation, its moments and its products with the features. */
  readonly expanded?: number;
  /** 2 where the sums of held-out samples go up apart; 1 by default. */
  readonly uploads?: number;
}

/** What a device works on. */
export interface Workload {
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  /** Negatives made from own samples: trained on like background, but of no class that a settle pass could use. None by default. */
  readonly madeSamples?: number;
  /** Share of the samples that are trained on after a forward pass over all of them; 1 (default) for all, without that pass. */
  readonly hardShare?: number;
  /** Samples that it downloads, such as a public pool's; 0 by default. */
  readonly sampleBytesDown?: number;
  /** Samples of its statistics pass; its own ones by default. */
  readonly statisticsSamples?: number;
  readonly epochs: number;
  /** Epochs that the full target is charged with in the ratio; `epochs` by default. */
  readonly targetEpochs?: number;
  readonly batchSize: number;
  /** MACs of one sample's forward pass of the full target. */
  readonly targetMacs: number;
  /** Smaller images in the first epochs, of this device and of the full target that it is compared with. None by default. */
  readonly progressive?: Progressive & { readonly targetSmallMacs: number };
  readonly classCount: number;
  /** Of a warm start by class activation: own samples that the trained target is run on, and the bytes of its weights. */
  readonly warmStart?: { readonly samples: number; readonly targetBytes: number };
  /** None by default. */
  readonly settle?: SettleWork;
  /** Nothing more by default. */
  readonly sums?: SumsWork;
}

/** A warm start's part of a workload: so many samples at most of each class that the trained target is run on. */
export const activationPass = (
  samplesPerClass: number | undefined,
  { classes, samples, targetBytes }: { readonly classes: number; readonly samples: number; readonly targetBytes: number },
): Pick<Workload, "warmStart"> =>
  samplesPerClass === undefined ? {} : { warmStart: { samples: Math.min(samples, samplesPerClass * classes), targetBytes } };

/** What the statistics pass sums up, for each kind of columns: their products with each other, and their sums by class; and products of kinds. */
function statisticsSums(
  { features, logits }: FleetCost,
  classCount: number,
  { scores = false, expanded = 0, uploads = 1 }: SumsWork = {},
): { readonly macs: number; readonly bytesUp: number; readonly bytesHeld: number } {
  let macs = 0;
  let sent = classCount;
  for (const width of [features, logits, expanded]) {
    macs += width * (width + classCount);
    // The matrix of products is symmetric: one triangle travels.
    sent += (width * (width + 1)) / 2 + width * classCount;
  }
  const products = features * expanded + (scores ? features * logits : 0);
  macs += products;
  sent += products;
  const bytesHeld = doubleBytes * (macs + classCount) + floatBytes * features * expanded;
  // The expansion itself is a product of its weights, made from the seed, with the features.
  return { macs: macs + features * expanded, bytesUp: uploads * doubleBytes * sent, bytesHeld };
}

/** What one settle pass costs. */
export interface SettleCost {
  readonly macs: number;
  readonly bytesDown: number;
  readonly bytesUp: number;
  /** The frozen scores, kept while the pass lasts. */
  readonly bytesHeld: number;
}

/**
 * One settle pass of `branch` within `fleet`: the other branches' weights come down, they run forward once on the device's own and background samples and their
 * log-probabilities are summed by class; then the branch trains for some epochs and its weights go up.
 */
export function settleCost(branch: BranchCost, fleet: FleetCost, workload: Workload, { epochs, backgroundShare }: SettleWork): SettleCost {
  const samples = workload.ownSamples + Math.round(backgroundShare * workload.backgroundSamples);
  const repeated = samples > 0 ? Math.max(1, workload.batchSize / samples) : 1;
  const frozen = samples * (fleet.macs - branch.macs + workload.classCount * (fleet.logits - branch.logits));
  return {
    macs: forwardsPerTrainingStep * branch.macs * epochs * repeated * samples + frozen,
    bytesDown: fleet.weightBytes - branch.weightBytes,
    bytesUp: branch.weightBytes,
    bytesHeld: floatBytes * samples * workload.classCount,
  };
}

/**
 * What training `branch` on `workload` costs a device, the statistics pass over `fleet` (this branch included) charged to it; undefined leaves the pass out.
 * Memory is the larger of the two phases' peaks. Samples are held as bytes (raw pixels). Data are the device's own and cost no traffic, but for those that it downloads.
 * A warm start brings the trained target's weights down and runs it forward on some own samples; the sums that go up for it are small and left out.
 * Settle passes are charged as `settleCost` says; they need a fleet.
 * Sent up: weights, and the pass's sums in float64. A device with fewer samples than a batch repeats some to fill it, which is charged too.
 */
export function expectedCost(branch: BranchCost, workload: Workload, profile: DeviceProfile, fleet: FleetCost | undefined): Expected {
  const { ownSamples, backgroundSamples, statisticsSamples = ownSamples, epochs, batchSize, targetMacs, classCount } = workload;
  const warm = workload.warmStart ?? { samples: 0, targetBytes: 0 };
  const { madeSamples = 0, sampleBytesDown = 0, hardShare = 1 } = workload;
  const samples = ownSamples + backgroundSamples + madeSamples;
  const { candidates, forwards } = stepOf(batchSize, hardShare);
  const repeated = samples > 0 ? Math.max(1, candidates / samples) : 1;
  const perSample = forwards * epochMacs(branch, epochs, workload.progressive) * repeated;
  const own = perSample * ownSamples;
  const background = perSample * (backgroundSamples + madeSamples);
  const sums = fleet && statisticsSums(fleet, classCount, workload.sums);
  const statistics = fleet && sums ? statisticsSamples * (fleet.macs + sums.macs) : 0;
  const warmStart = warm.samples * targetMacs;
  const passes = workload.settle?.passes ?? 0;
  const pass = fleet && workload.settle && passes > 0 ? settleCost(branch, fleet, workload, workload.settle) : undefined;
  const settle = passes * (pass?.macs ?? 0);
  const total = own + background + statistics + warmStart + settle;

  // Made negatives are made anew each time and held nowhere.
  const dataBytes = (ownSamples + backgroundSamples) * branch.inputElements;
  const trainingPeak =
    floatBytes * (parameterCopies * branch.parameters + stateCopies * branch.stateElements) +
    batchSize * (branch.trainingBytes + floatBytes * branch.inputElements) +
    (candidates > batchSize ? candidates * (branch.activationBytes + floatBytes * branch.inputElements) : 0) +
    (pass?.bytesHeld ?? 0);
  const statisticsPeak =
    fleet && sums
      ? fleet.weightBytes + batchSize * (fleet.activationBytes + floatBytes * (branch.inputElements + fleet.features)) + sums.bytesHeld
      : 0;

  const bytesDown = (fleet ? fleet.weightBytes : branch.weightBytes) + warm.targetBytes + sampleBytesDown + passes * (pass?.bytesDown ?? 0);
  const bytesUp = branch.weightBytes + (sums?.bytesUp ?? 0) + passes * (pass?.bytesUp ?? 0);
  const seconds = total / profile.macsPerSecond + (8 * (bytesDown + bytesUp)) / profile.bandwidthBitsPerSecond;
  const target = { macs: targetMacs, smallMacs: workload.progressive?.targetSmallMacs ?? targetMacs };
  const fullTargetMacs = forwardsPerTrainingStep * ownSamples * epochMacs(target, workload.targetEpochs ?? epochs, workload.progressive);
  return {
    seconds,
    memoryBytes: runtimeBaseBytes + dataBytes + Math.max(trainingPeak, statisticsPeak),
    energyJoules: profile.watts === undefined ? undefined : profile.watts * seconds,
    bytesDown,
    bytesUp,
    compute: { own, background, statistics, warmStart, settle, total },
    fullTargetMacs,
    ratio: fullTargetMacs / total,
  };
}
