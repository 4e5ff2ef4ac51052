/** Makes messages of every kind at random, as their types and schemas allow. */
import fc, { type Arbitrary } from "fast-check";
import { defaultAudioFeatures } from "../features/features.ts";
import type { LayerAttributes, LayerType, Network } from "../network/network.ts";
import type { TrainingSettings } from "../train/job.ts";
import type { AccessGrant, DataSummary, MeasuredProfile, ObjectReference } from "./messages.ts";
import { phases } from "./messages.ts";
import { type RunSummary, runStatuses, taskStatuses, type WaitsFor, waitingCodes } from "./operatorMessages.ts";
import type { RouteShapes } from "./routes.ts";
import type { SampleFormat, SamplePreparation } from "./samples.ts";
import { type Branch, type TaskSpec, taskKinds } from "./tasks.ts";
import { base64Of } from "./values.ts";

/** A record whose keys named in `optional` may be missing. */
const record = <T extends object>(
  model: { readonly [K in keyof T]-?: Arbitrary<Exclude<T[K], undefined>> },
  ...optional: (keyof T)[]
): Arbitrary<T> =>
  fc.record(model as never, {
    requiredKeys: Object.keys(model).filter((key) => !optional.includes(key as keyof T)) as never,
    noNullPrototype: true,
  }) as unknown as Arbitrary<T>;

const list = <T>(item: Arbitrary<T>, maxLength = 3, minLength = 0): Arbitrary<T[]> => fc.array(item, { maxLength, minLength });
/** JSON writes minus zero as zero. */
const number = (min: number, max = 1e15): Arbitrary<number> => fc.double({ min, max, noNaN: true }).map((value) => value || 0);
const positive = fc.double({ min: 0, max: 1e15, minExcluded: true, noNaN: true });
const share = number(0, 1);
const openShare = fc.double({ min: 0, max: 1, minExcluded: true, maxExcluded: true, noNaN: true });
const whole = (min: number, max = 2 ** 33): Arbitrary<number> =>
  fc.integer({ min: 0, max: 2 ** 31 - 1 }).map((n) => min + (n % (max - min + 1)));
const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,20}$/);
const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
const name = fc.stringMatching(/^[^\p{Cc}]{1,30}$/u);
const text = fc.string({ minLength: 1, maxLength: 60 });
const token = fc.stringMatching(/^[A-Za-z0-9._~+/=-]{8,60}$/);
const instant = whole(0, 2 ** 31 - 1).map((n) => n * 1000);
const base64 = (bytes: number): Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((all) => {
    const encoded = btoa(String.fromCharCode(...all));
    base64Of(bytes).parse(encoded);
    return encoded;
  });
const json: Arbitrary<Record<string, unknown>> = fc.dictionary(
  fc.stringMatching(/^[a-z]{1,8}$/),
  fc.jsonValue({ maxDepth: 3 }) as Arbitrary<unknown>,
  { maxKeys: 3, noNullPrototype: true },
);
const distinct = <T>(item: Arbitrary<T>, minLength = 1): Arbitrary<T[]> => fc.uniqueArray(item, { minLength, maxLength: 4 });
const taskSet = distinct(whole(0, 65_534)).map((ids) => ids.sort((a, b) => a - b));

const extent = whole(1, 65_536);
const padding = whole(0, 65_536);
const pair = fc.tuple(extent, extent);
const layerName = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/);

const layers: { readonly [T in LayerType]: Arbitrary<LayerAttributes[T]> } = {
  conv2d: record({
    outChannels: extent,
    kernel: pair,
    stride: pair,
    padding: fc.tuple(padding, padding),
    dilation: pair,
    groups: extent,
    bias: fc.boolean(),
  }),
  batchNorm: record({ epsilon: positive, momentum: share }),
  groupNorm: record({ groups: extent, epsilon: positive }),
  relu: fc.constant({}),
  leakyRelu: record({ slope: number(-1, 1) }),
  clip: record({ minimum: number(-9, 0), maximum: number(0, 9) }),
  sigmoid: fc.constant({}),
  hardSwish: fc.constant({}),
  zeroPad: record({ padding: fc.tuple(padding, padding, padding, padding) }),
  maxPool: record({ kernel: pair, stride: pair, padding: fc.tuple(padding, padding) }),
  avgPool: record({ kernel: pair, stride: pair, padding: fc.tuple(padding, padding), countPadding: fc.boolean() }),
  globalAvgPool: fc.constant({}),
  flatten: fc.constant({}),
  linear: record({ outFeatures: whole(1, 1_000_000), bias: fc.boolean() }),
  dropout: record({ probability: share }),
  add: fc.constant({}),
  concat: fc.constant({}),
};

const layer = fc.oneof(
  ...(Object.keys(layers) as LayerType[]).map((type) =>
    fc
      .tuple(layerName, list(layerName, 2, 1), layers[type] as Arbitrary<object>)
      .map(([own, inputs, attributes]) => ({ name: own, type, inputs, ...attributes })),
  ),
) as unknown as Arbitrary<Network["layers"][number]>;

const network: Arbitrary<Network> = record({
  name,
  input: record({ channels: extent, height: extent, width: extent, mean: list(number(-9, 9)), std: list(number(0, 9)) }),
  layers: list(layer, 3, 1),
});

const decay = { weightDecay: share, clipNorm: positive, proximal: share };
const adam = { ...decay, beta1: share, beta2: share, epsilon: positive };
const settings: Arbitrary<TrainingSettings> = record(
  {
    epochs: whole(1, 100_000),
    batchSize: whole(1, 65_536),
    optimizer: fc.oneof(
      record({ type: fc.constant("sgd" as const), ...decay, momentum: share, nesterov: fc.boolean() }, "clipNorm", "proximal"),
      record({ type: fc.constant("adam" as const), ...adam }, "clipNorm", "proximal", "beta1", "beta2", "epsilon"),
      record({ type: fc.constant("adamw" as const), ...adam }, "clipNorm", "proximal", "beta1", "beta2", "epsilon"),
    ) as Arbitrary<TrainingSettings["optimizer"]>,
    schedule: fc.oneof(
      record({ type: fc.constant("constant" as const), learningRate: positive, warmup: share }, "warmup"),
      record(
        { type: fc.constant("cosine" as const), learningRate: positive, warmup: share, finalFraction: share },
        "warmup",
        "finalFraction",
      ),
      record(
        { type: fc.constant("oneCycle" as const), learningRate: positive, rise: share, startDivisor: positive, finalDivisor: positive },
        "rise",
        "startDivisor",
        "finalDivisor",
      ),
    ) as Arbitrary<TrainingSettings["schedule"]>,
    labelSmoothing: share,
    emaDecay: share,
    augmentation: record<TrainingSettings["augmentation"]>(
      {
        crop: padding,
        flip: fc.boolean(),
        cutout: padding,
        audio: record({
          timeShiftMs: share,
          noiseProbability: share,
          noiseVolume: share,
          timeMaskFrames: padding,
          frequencyMaskBands: padding,
          masks: whole(0, 1000),
        }),
      },
      "audio",
    ),
    logitAdjustment: number(0, 10),
    hardShare: openShare,
    progressive: record({ scale: openShare, epochs: openShare }),
  },
  "logitAdjustment",
  "hardShare",
  "progressive",
);

/** A branch as the list of branches has it. */
export const branch: Arbitrary<Branch> = record<Branch>(
  {
    device: id,
    taskSet,
    network,
    parameters: hash,
    parameterBytes: whole(0),
    ownSamples: whole(0),
    backgroundSamples: whole(0),
    madeSamples: whole(0),
    logitAdjustment: share,
    classCounts: list(whole(0)),
  },
  "madeSamples",
  "logitAdjustment",
);
const background = record<{ source: "local" | "pool"; rho: number; pool: string }>(
  { source: fc.constantFrom("local", "pool"), rho: share, pool: hash },
  "pool",
);
const common = {
  taskId: id,
  device: id,
  seed: fc.integer(),
  classNames: list(name, 4, 1),
  otherClass: whole(0, 65_534),
  taskSet,
  background,
};
const held = { heldOutShare: openShare };

const specs = {
  train: record(
    { kind: fc.constant("train" as const), ...common, ...held, network, settings, initial: hash },
    "otherClass",
    "heldOutShare",
    "initial",
  ),
  statistics: record(
    {
      kind: fc.constant("statistics" as const),
      ...common,
      ...held,
      branches: hash,
      scores: fc.boolean(),
      expansion: whole(0, 1_000_000),
      heldOutFrom: fc.constantFrom("training" as const, "sums" as const),
    },
    "otherClass",
    "heldOutShare",
    "heldOutFrom",
  ),
  settle: record(
    {
      kind: fc.constant("settle" as const),
      ...common,
      ...held,
      branches: hash,
      settings,
      pass: whole(1, 10_000),
      backgroundShare: share,
    },
    "otherClass",
    "heldOutShare",
  ),
} as unknown as { readonly [K in TaskSpec["kind"]]: Arbitrary<TaskSpec> };

const profile: Arbitrary<MeasuredProfile> = record<MeasuredProfile>(
  { macsPerSecond: positive, memoryBytes: positive, bandwidthBitsPerSecond: positive, watts: positive },
  "watts",
);
const data: Arbitrary<DataSummary> = distinct(name).chain((classNames) => {
  const of = <T>(item: Arbitrary<T>): Arbitrary<T[]> => fc.array(item, { minLength: classNames.length, maxLength: classNames.length });
  const rest = {
    classNames: fc.constant(classNames),
    sampleShape: record({ channels: extent, height: extent, width: extent }),
    fingerprint: hash,
  };
  return fc.oneof(record({ ...rest, counts: of(whole(0)) }), record({ ...rest, present: of(fc.boolean()) })) as Arbitrary<DataSummary>;
});
const format: { readonly [K in keyof SampleFormat]-?: Arbitrary<NonNullable<SampleFormat[K]>> } = {
  classNames: list(name, 3, 1),
  otherClass: whole(0, 65_534),
  sampleShape: record({ channels: extent, height: extent, width: extent }),
  preparation: record<SamplePreparation>(
    {
      resize: fc.constantFrom("cover", "contain", "stretch"),
      audio: fc.constant({ features: defaultAudioFeatures, samples: 16_000 }),
    },
    "audio",
  ),
};
const grant: { readonly [K in keyof AccessGrant]: Arbitrary<AccessGrant[K]> } = { accessToken: token, expiresAt: instant, now: instant };
const reference: Arbitrary<ObjectReference> = record({ role: id, sha256: hash, bytes: whole(0) });

const offer = fc.constantFrom(...taskKinds).chain((kind) =>
  record({
    leaseId: id,
    runId: id,
    kind: fc.constant(kind),
    spec: specs[kind],
    inputs: list(reference),
    expiresAt: instant,
    heartbeatMs: whole(100, 3_600_000),
  }),
);

const waitsFor = record<WaitsFor>({ code: fc.constantFrom(...waitingCodes), reason: text, until: instant }, "until");
const summary: { readonly [K in keyof RunSummary]-?: Arbitrary<Exclude<RunSummary[K], undefined>> } = {
  runId: id,
  name,
  status: fc.constantFrom(...runStatuses),
  archived: fc.boolean(),
  createdAt: instant,
  tasks: record({ total: whole(0), leased: whole(0), done: whole(0), failed: whole(0) }),
  classes: record({ total: whole(0), covered: whole(0) }),
  devices: whole(0),
  model: reference,
  reason: text,
  waitsFor,
};
const run = record<RunSummary>(summary, "model", "reason", "waitsFor");
const device = record<RouteShapes["revokeDevice"]["response"]>(
  {
    deviceId: id,
    name,
    status: fc.constantFrom("idle", "working", "away", "revoked"),
    enrolledAt: instant,
    seenAt: instant,
    software: name,
    profile,
    classes: list(name),
    leases: list(id),
    waitsFor,
  },
  "waitsFor",
);
const upload = record({ uploadId: id, offset: whole(0), done: fc.boolean() });

type Part<T> = T extends string ? undefined : Arbitrary<T>;
type Made = {
  readonly [N in keyof RouteShapes]: {
    readonly request: Part<RouteShapes[N]["request"]>;
    readonly response: Part<RouteShapes[N]["response"]>;
  };
};
const none = { request: undefined } as const;
const proof = { at: instant, nonce: base64(16), signature: base64(64) };

/** Messages of every route; `undefined` where the body is not JSON. Total. */
export const made: Made = {
  enrol: {
    request: record<RouteShapes["enrol"]["request"]>(
      { ...proof, joinToken: token, publicKey: base64(32), name, profile, data, software: name, preferredClasses: list(name, 3, 1) },
      "preferredClasses",
    ),
    response: record({ ...grant, deviceId: id, serverId: id }),
  },
  invitation: {
    request: record({ joinToken: token }),
    response: record({
      serverId: id,
      runs: list(
        record<RouteShapes["invitation"]["response"]["runs"][number]>(
          {
            runId: id,
            name,
            status: fc.constantFrom(...runStatuses),
            ...format,
            branch: network,
            epochs: whole(1, 1000),
            batchSize: whole(1, 1000),
            rho: number(0, 10),
            minimumDevices: whole(1, 1000),
            offered: record({ free: whole(0), samples: whole(0), bytes: whole(0) }),
          },
          "otherClass",
          "preparation",
          "offered",
        ),
      ),
    }),
  },
  takeShard: {
    request: record<RouteShapes["takeShard"]["request"]>({ runId: fc.option(id) }),
    response: record<RouteShapes["takeShard"]["response"]>(
      {
        runId: id,
        object: reference,
        ...format,
      },
      "otherClass",
      "preparation",
    ),
  },
  token: { request: record({ deviceId: id, ...proof }), response: record(grant) },
  signIn: {
    request: record({ signInToken: token }),
    response: record({ accessToken: token, role: fc.constantFrom("viewer" as const, "admin" as const), expiresAt: instant, now: instant }),
  },
  offer: {
    request: record<RouteShapes["offer"]["request"]>(
      {
        waitMs: whole(0, 30_000),
        capabilities: record<{ kinds: (typeof taskKinds)[number][]; memoryBytes: number }>(
          { kinds: distinct(fc.constantFrom(...taskKinds)), memoryBytes: positive },
          "memoryBytes",
        ),
        freeDiskBytes: number(0),
        data,
      },
      "freeDiskBytes",
      "data",
    ),
    response: record({ offer: fc.option(offer), retryAfterMs: whole(0, 3_600_000), now: instant }),
  },
  heartbeat: {
    request: record<RouteShapes["heartbeat"]["request"]>(
      { phase: fc.constantFrom(...phases), progress: share, epoch: whole(0), step: whole(0), loss: number(-1e9, 1e9), accuracy: share },
      "epoch",
      "step",
      "loss",
      "accuracy",
    ),
    response: record({ expiresAt: instant, cancel: fc.boolean(), now: instant }),
  },
  complete: {
    request: record<RouteShapes["complete"]["request"]>(
      {
        outputs: list(reference, 3, 1),
        measured: record({ seconds: number(0), macs: number(0), samples: whole(0) }),
        use: record<{ ownSamples: number; backgroundSamples: number; madeSamples: number; classCounts: number[] }>(
          { ownSamples: whole(0), backgroundSamples: whole(0), madeSamples: whole(0), classCounts: list(whole(0)) },
          "madeSamples",
          "classCounts",
        ),
      },
      "use",
    ),
    response: record<RouteShapes["complete"]["response"]>({ accepted: fc.boolean(), reason: text }, "reason"),
  },
  fail: { request: record({ code: id, reason: text, retry: fc.boolean() }), response: fc.constant({}) },
  getObject: { ...none, response: undefined },
  headObject: { ...none, response: undefined },
  startUpload: { request: record({ sha256: hash, bytes: whole(0) }), response: upload },
  appendUpload: { ...none, response: upload },
  listRuns: { ...none, response: record({ runs: list(run) }) },
  createRun: { request: record({ name, config: json }), response: run },
  getRun: {
    ...none,
    response: record<RouteShapes["getRun"]["response"]>(
      {
        ...summary,
        classNames: list(name),
        owners: list(list(id)),
        taskList: list(
          record<RouteShapes["getRun"]["response"]["taskList"][number]>(
            {
              taskId: id,
              kind: fc.constantFrom(...taskKinds),
              device: id,
              status: fc.constantFrom(...taskStatuses),
              workers: list(id),
              progress: share,
              expectedSeconds: number(0),
            },
            "expectedSeconds",
          ),
        ),
        excused: list(id),
        quarantined: list(record({ device: id, taskId: id, sha256: hash, reason: text })),
        config: json,
      },
      "excused",
      "model",
      "reason",
      "waitsFor",
    ),
  },
  pauseRun: { ...none, response: run },
  resumeRun: { ...none, response: run },
  cancelRun: { ...none, response: run },
  archiveRun: { ...none, response: run },
  harvestRun: { ...none, response: record({ model: reference, head: name, devices: list(id), missingClasses: list(name) }) },
  watchRun: { ...none, response: undefined },
  getModel: { ...none, response: undefined },
  listDevices: { ...none, response: record<RouteShapes["listDevices"]["response"]>({ devices: list(device), next: id }, "next") },
  revokeDevice: { ...none, response: device },
  excuseDevice: { request: record({ deviceId: id }), response: run },
  createJoinToken: {
    request: record({
      uses: whole(1, 1_000_000),
      expiresInSeconds: whole(1, 366 * 86_400),
      role: fc.constantFrom("device", "viewer", "admin"),
    }),
    response: record<RouteShapes["createJoinToken"]["response"]>({ token, line: text, dashboard: text, expiresAt: instant }, "dashboard"),
  },
  audit: { ...none, response: undefined },
  openApi: { ...none, response: json },
  health: {
    ...none,
    response: record(
      {
        status: fc.constant("ok" as const),
        protocol: whole(1, 99),
        serverId: id,
        now: instant,
        process: record({
          residentBytes: whole(0, 1e12),
          heapBytes: whole(0, 1e12),
          eventLoopLagP99Ms: whole(0, 1e6),
          eventLoopLagMaxMs: whole(0, 1e6),
          connections: whole(0, 1e6),
          logBytes: whole(0, 1e12),
        }),
      },
      "process",
    ),
  },
  metrics: { ...none, response: undefined },
};

/** Keys whose values are free JSON, in which schemas look at depth alone. */
export const freeKeys: { readonly [N in keyof RouteShapes]?: readonly string[] } = {
  createRun: ["config"],
  getRun: ["config"],
  openApi: [""],
};
