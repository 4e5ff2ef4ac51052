/** From a configuration to a run of the coordinator: what is planned with, what devices do, and for how long they are waited for. */
import type { RunDefinition, RunWork } from "../coordinator/events.ts";
import { encodePool } from "../data/pool.ts";
import { openSamples } from "../data/samples.node.ts";
import type { ObjectReference } from "../protocol/messages.ts";
import type { RunRequest } from "../protocol/operatorMessages.ts";
import { parseConfig, type RunConfig } from "../run/config.ts";
import { headPlan } from "../run/headPlan.ts";
import { localParts } from "../run/localData.ts";
import { sampleSources } from "../run/negatives.ts";
import { coarseGroups, planSettings } from "../run/planning.ts";
import { checkSettle, settleShare } from "../run/settlePlan.ts";
import { loadTarget, withRates } from "../run/target.ts";
import { subModelSettings, trainingSettings } from "../run/trainingSettings.ts";
import { SheafError } from "../util/errors.ts";
import { type PutObject, store } from "./objects.ts";
import type { KnownSamples, SamplesOf } from "./samples.ts";
import { keepTarget } from "./warmStart.ts";

/** Role of a public pool among a run's inputs. */
export const poolRole = "pool";

/** Role of a part of the data that a run offers. */
const shardRole = "shard";

/** Throws `config` for keys that contradict each other. */
function checkLive(config: RunConfig): void {
  const refuse = (sentence: string): never => {
    throw new SheafError("config", sentence);
  };
  if (config.fleet.progressive && config.training.progressive)
    refuse("training.progressive and fleet.progressive are both given; leave one of them out.");
  // Which devices there will be is not known yet.
  checkSettle(config);
  if (config.serve.leaseSeconds < 2 * config.serve.heartbeatSeconds) {
    const { leaseSeconds, heartbeatSeconds } = config.serve;
    refuse(`serve.leaseSeconds must be at least twice serve.heartbeatSeconds (${heartbeatSeconds}), got ${leaseSeconds}.`);
  }
}

async function poolOf(config: RunConfig, { train }: KnownSamples, put: PutObject): Promise<ObjectReference | undefined> {
  if (config.negatives !== "pool") return undefined;
  if (!train)
    throw new SheafError("config", 'negatives "pool" needs samples that the coordinator can publish; give `data` and no `serve.samples`.');
  using samples = openSamples(train);
  return store(poolRole, encodePool(samples, sampleSources(config, train).pool), put);
}

/** Deals the training samples out to volunteers as `partition` says, evenly where it is by class, and stores each one's shard. */
async function offeredBy(config: RunConfig, { train }: KnownSamples, put: PutObject): Promise<RunDefinition["offered"]> {
  const { offeredShards } = config.serve;
  if (offeredShards === 0) return undefined;
  if (!train)
    throw new SheafError("config", "serve.offeredShards offers samples that the coordinator has; give `data` and no `serve.samples`.");
  const { held } = sampleSources(config, train);
  const dealt = config.partition.type === "byClass" ? { ...config, partition: { type: "iid" } as const } : config;
  const parts = localParts(dealt, train, held, offeredShards) ?? [];
  const empty = parts.findIndex((part) => part.length === 0);
  if (empty >= 0)
    throw new SheafError(
      "config",
      `serve.offeredShards: ${held.length} samples leave shard ${empty + 1} of ${offeredShards} empty; offer fewer.`,
    );
  using samples = openSamples(train);
  const shards: ObjectReference[] = [];
  for (const part of parts) shards.push(await store(shardRole, encodePool(samples, part), put));
  return { shards, samples: Math.max(...parts.map(({ length }) => length)) };
}

function workOf(config: RunConfig, pool: ObjectReference | undefined, warmStart: RunWork["warmStart"]): RunWork {
  const { heads, head, negatives, rho, settle } = config;
  const { scores, expanded } = headPlan(config);
  // A settle pass is short, and the frozen scores are those of whole images.
  const { progressive: _, ...narrow } = trainingSettings(config, "narrow");
  const learningRate = settle.learningRate ?? narrow.schedule.learningRate / 10;
  return {
    training: subModelSettings(config),
    background: { source: negatives, rho: negatives === "none" ? 0 : rho, ...(pool ? { pool: pool.sha256 } : {}) },
    ...(pool ? { inputs: [pool] } : {}),
    ...(warmStart ? { warmStart } : {}),
    ...(heads.heldOutShare > 0 ? { heldOutShare: heads.heldOutShare, heldOutFrom: heads.heldOutFrom } : {}),
    ...(settle.passes > 0
      ? {
          settle: {
            passes: settle.passes,
            order: settle.order,
            settings: { ...narrow, epochs: settle.epochs, schedule: { ...narrow.schedule, learningRate } },
            backgroundShare: settleShare(config),
            ...(Object.keys(settle.skip).length > 0 ? { skip: settle.skip } : {}),
          },
        }
      : {}),
    ...(head === "H0" ? {} : { statistics: { scores, expansion: expanded } }),
  };
}

/** The superclass of each class. Throws `config` where the coordinator does not know them. */
function groupsOf({ train }: KnownSamples): readonly number[] {
  if (train) return coarseGroups(train);
  throw new SheafError(
    "config",
    'fleet.groupBy "coarse" needs the superclasses of a data set that the coordinator has; give `data` and no `serve.samples`.',
  );
}

/**
 * The definition of a run. Throws `config`, `data`, `network` with the reason where the request makes none.
 * @example openLiveService({ ..., define: (request) => defineRun(request, samplesOf, put) })
 */
export async function defineRun({ name, config: given }: RunRequest, samplesOf: SamplesOf, put: PutObject): Promise<RunDefinition> {
  const asked = parseConfig(given, `run "${name}"`);
  checkLive(asked);
  const samples = await samplesOf(asked);
  const { classNames, otherClass, input } = samples;
  const target = await loadTarget(asked, { input, classes: classNames.length });
  const config = withRates(asked, target);
  const { minimumOwnAccuracy: _, samples: __, offeredShards: ___, ...policy } = config.serve;
  const offered = await offeredBy(config, samples, put);
  const { minimumRatio } = config.fleet;
  const pool = await poolOf(config, samples, put);
  const definition: RunDefinition = {
    name,
    seed: config.seed,
    classNames,
    ...(otherClass === undefined ? {} : { otherClass }),
    sampleShape: { channels: input.channels, height: input.height, width: input.width },
    preparation: { resize: config.data.resize, ...(samples.audio ? { audio: samples.audio } : {}) },
    target: target.network,
    planning: {
      ...planSettings(config, otherClass),
      // Each device has its samples, and all of them.
      overlap: "share",
      statisticsPass: config.head !== "H0",
      ...(minimumRatio === undefined ? {} : { minimumRatio }),
      ...(config.fleet.groupBy === "coarse" ? { classGroups: groupsOf(samples) } : {}),
      ...(pool && samples.train ? { backgroundSampleBytes: Math.ceil(pool.bytes / Math.max(1, poolSize(config, samples))) } : {}),
    },
    work: workOf(config, pool, await keepTarget(config, target, samples, put)),
    policy,
    ...(offered ? { offered } : {}),
    config: config as unknown as Readonly<Record<string, unknown>>,
  };
  // As it will be read from the log: without keys that hold nothing.
  return JSON.parse(JSON.stringify(definition)) as RunDefinition;
}

const poolSize = (config: RunConfig, { train }: KnownSamples): number => (train ? sampleSources(config, train).pool.length : 0);
