/** Made-up, plausible report data for the tests of this folder. No number in here was measured. */
import { median } from "d3-array";
import {
  type CurveSeries,
  type DeviceReport,
  type HeadId,
  type HeadReport,
  type ReportData,
  reportFormat,
  totalMacs,
} from "./reportData.ts";

/** A small linear congruential generator: the fixture must not change when Sheaf's own random streams do. */
function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const cifar10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

function madeUpHead(id: HeadId, label: string, accuracy: number, classes: number, testCount: number, parameters: number): HeadReport {
  const random = noise(Math.round(accuracy * 1e4));
  const perClass = Math.floor(testCount / classes);
  const confusion = Array.from({ length: classes }, (_, truth) => {
    const row = new Array<number>(classes).fill(0);
    const wanted = Math.round(perClass * (accuracy + 0.24 * (Math.sin(truth * 2.3) * 0.5) + 0.05 * (random() - 0.5)));
    // With one class there is nothing to take a sample for.
    const right = classes === 1 ? perClass : Math.min(perClass, wanted);
    row[truth] = right;
    for (let wrong = perClass - right; wrong > 0; ) {
      const predicted = Math.floor(random() ** 2 * classes + truth + 1) % classes;
      if (predicted === truth) continue;
      const some = Math.min(wrong, 1 + Math.floor((random() * perClass) / 40));
      row[predicted] = (row[predicted] ?? 0) + some;
      wrong -= some;
    }
    return row;
  });
  const right = confusion.reduce((sum, row, truth) => sum + (row[truth] ?? 0), 0);
  return {
    id,
    label,
    accuracy: right / (perClass * classes),
    perClassAccuracy: confusion.map((row, truth) => (row[truth] ?? 0) / perClass),
    confusion,
    parameters,
  };
}

function madeUpDevice(index: number, count: number, classes: number, owned: number): DeviceReport {
  const profiles = [
    { name: "phone-slow", macsPerSecond: 2e9, memoryBytes: 2e9, bandwidthBitsPerSecond: 1e7 },
    { name: "raspberry-pi-4", macsPerSecond: 6e9, memoryBytes: 4e9, bandwidthBitsPerSecond: 5e7 },
    { name: "laptop", macsPerSecond: 4e10, memoryBytes: 8e9, bandwidthBitsPerSecond: 1e8 },
    { name: "jetson-nano", macsPerSecond: 2.5e10, memoryBytes: 4e9, bandwidthBitsPerSecond: 1e8 },
    { name: "workstation", macsPerSecond: 2e11, memoryBytes: 3.2e10, bandwidthBitsPerSecond: 1e9 },
  ] as const;
  const { name: profile, ...hardware } = profiles[index % profiles.length]!;
  const width = 0.25 + 0.012 * ((index * 3) % 5);
  const submodelMacs = Math.round(152.8e6 * width * width);
  const submodelParameters = Math.round(9.23e6 * width * width);
  const ownSamples = 4000;
  const backgroundSamples = 4000;
  const epochs = 12;
  const compute = {
    trainOwnMacs: 3 * submodelMacs * ownSamples * epochs * 0.5,
    trainBackgroundMacs: 3 * submodelMacs * backgroundSamples * epochs * 0.5,
    statisticsMacs: 5 * submodelMacs * ownSamples,
  };
  const fullTargetMacs = 3 * 152.8e6 * ownSamples * epochs;
  const bytesDown = 4 * submodelParameters * count;
  const bytesUp = 4 * submodelParameters + 1_200_000;
  const down = (8 * bytesDown) / hardware.bandwidthBitsPerSecond;
  const up = (8 * bytesUp) / hardware.bandwidthBitsPerSecond;
  // Sized to one deadline, as a planner would: slow devices are given longer, not all the same.
  const train = 900 + 150 * ((index * 2) % 5);
  const statistics = train * 0.06;
  return {
    id: `device-${index + 1}`,
    profile,
    ...hardware,
    taskSet: Array.from({ length: owned }, (_, k) => (index * owned + k) % classes).sort((a, b) => a - b),
    widths: [width, width, width, width],
    submodelMacs,
    submodelParameters,
    ownSamples,
    backgroundSamples,
    epochs,
    compute,
    fullTargetMacs,
    ratio: fullTargetMacs / totalMacs(compute),
    ownClassAccuracy: 0.86 + 0.015 * (index % 5),
    bytesDown,
    bytesUp,
    memoryEstimateBytes: 180e6 + 20e6 * index,
    memoryLimitBytes: hardware.memoryBytes / 4,
    timeline: [
      { kind: "download", startSeconds: 0, endSeconds: down },
      { kind: "train", startSeconds: down, endSeconds: down + train },
      { kind: "statistics", startSeconds: down + train, endSeconds: down + train + statistics },
      { kind: "upload", startSeconds: down + train + statistics, endSeconds: down + train + statistics + up },
    ],
    status: "harvested",
  };
}

function madeUpCurve(id: string, seed: number, start: number, end: number): CurveSeries {
  const random = noise(seed);
  return {
    id,
    label: id,
    points: Array.from({ length: 12 }, (_, k) => {
      const done = (k + 1) / 12;
      return {
        epoch: k + 1,
        step: (k + 1) * 125,
        loss: end + (start - end) * Math.exp(-3.2 * done) + 0.03 * (random() - 0.5),
        accuracy: 0.9 - 0.55 * Math.exp(-2.8 * done) - 0.04 * (seed % 4) + 0.01 * random(),
        learningRate: 0.05 * (1 + Math.cos(Math.PI * done)),
      };
    }),
  };
}

export interface MadeUp {
  readonly devices?: number;
  readonly classes?: readonly string[];
}

/** A whole run: five devices with two of ten classes each, unless told otherwise. */
export function madeUpReport(options: MadeUp = {}): ReportData {
  const classes = options.classes ?? cifar10;
  const deviceCount = options.devices ?? 5;
  const testCount = 10_000;
  const devices = Array.from({ length: deviceCount }, (_, index) =>
    madeUpDevice(index, deviceCount, classes.length, Math.ceil((classes.length * (deviceCount > 5 ? 2 : 1)) / deviceCount)),
  );
  const ratios = devices.map((device) => device.ratio);
  return {
    format: reportFormat,
    title: "VGG-11 on CIFAR-10, five devices",
    command: "sheaf run --network vgg11 --data-set cifar10 --devices 5 --rho 0.25 --seed 7",
    seed: 7,
    date: "2026-01-02",
    commit: "0123abc",
    sheafVersion: "0.1.0",
    machine: { cpu: "Example CPU 9000", cores: 2, node: "20.20.0", onnxruntime: { "onnxruntime-node": "1.30.0" } },
    dataSet: {
      name: "cifar10",
      classes,
      trainCount: 20_000,
      testCount,
      source: "https://www.cs.toronto.edu/~kriz/cifar.html",
      note: "subset of the training images; stand-in test",
    },
    target: { name: "vgg11", width: 1, macs: 152.8e6, parameters: 9_230_000 },
    training: {
      epochs: 12,
      batch: 64,
      optimizer: "SGD, Nesterov momentum 0.9, weight decay 5e-4",
      schedule: "cosine from 0.1 with 5 % warm-up",
      augmentation: "crop 4, flip",
    },
    rho: 0.25,
    heads: [
      madeUpHead("central", "Central control (full target)", 0.84, classes.length, testCount, 9_230_000),
      madeUpHead("slim", "Slim control (width 0.28)", 0.774, classes.length, testCount, 730_000),
      madeUpHead("H0", "H0, product of experts", 0.753, classes.length, testCount, 3_400_000),
      madeUpHead("H1", "H1, recentred", 0.758, classes.length, testCount, 3_400_000),
      madeUpHead("H2", "H2, ridge on sums", 0.781, classes.length, testCount, 3_410_000),
    ],
    mainHead: "H2",
    devices,
    computeRatio: { min: Math.min(...ratios), median: median(ratios) ?? 0, max: Math.max(...ratios) },
    bytes: {
      down: devices.reduce((sum, device) => sum + device.bytesDown, 0),
      up: devices.reduce((sum, device) => sum + device.bytesUp, 0),
    },
    curves: [
      madeUpCurve("central", 1, 2.3, 0.5),
      madeUpCurve("slim", 2, 2.3, 0.7),
      ...devices.map((device, index) => madeUpCurve(device.id, index + 3, 1.1, 0.25 + 0.03 * (index % 5))),
    ],
    model: {
      file: "model.onnx",
      bytes: 13_650_000,
      sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      inputs: [{ name: "image", dtype: "float32", shape: ["N", 3, 32, 32] }],
      outputs: [
        { name: "logits", dtype: "float32", shape: ["N", classes.length] },
        { name: "probabilities", dtype: "float32", shape: ["N", classes.length] },
      ],
      opset: 17,
      parameters: 3_410_000,
    },
  };
}

/** A run of the central control alone: no devices, no other heads. */
export function madeUpCentralRun(): ReportData {
  const { computeRatio: _ratio, bytes: _bytes, rho: _rho, ...whole } = madeUpReport();
  return {
    ...whole,
    title: "VGG-11 on CIFAR-10, central",
    command: "sheaf train --network vgg11 --data-set cifar10 --seed 7",
    heads: whole.heads.filter((head) => head.id === "central"),
    mainHead: "central",
    devices: [],
    curves: whole.curves.slice(0, 1),
  };
}

/** A white pixel. */
const pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";

/** The report with what runs write since they look into their data; class 0 has no validation sample. */
export function withDataFacts(report: ReportData): ReportData {
  const { classes } = report.dataSet;
  const perClass = (samples: number): number[] => classes.map((_, id) => samples + id);
  return {
    ...report,
    dataSet: {
      ...report.dataSet,
      shape: [3, 32, 32],
      mean: [125.3, 123, 113.9],
      std: [63, 62.1, 66.7],
      counts: { train: perClass(2000), validation: perClass(0), test: perClass(1000) },
      samples: {
        kind: "image",
        sampleWidth: 32,
        sampleHeight: 32,
        gap: 2,
        strips: classes.map((_, classId) => ({ classId, count: 3, image: pixel })),
      },
    },
    devices: report.devices.map((device) => ({
      ...device,
      holdings: {
        own: classes.map((_, id) => (device.taskSet.includes(id) ? 2000 + id : 0)),
        background: classes.map((_, id) => (device.taskSet.includes(id) ? 0 : 500)),
      },
    })),
  };
}
