// Own data, from arrays to one ONNX model: plan a fleet, cut the target, train each part alone, harvest, glue.
// Run it in a checkout after `npm ci && npm run build`:  node examples/ownData.mjs [OUT.onnx]
import { writeFile } from "node:fs/promises";
import { channelStatistics, openSamples, partitioners, samplesByClass } from "sheaf/data";
import { decouple, localLabel } from "sheaf/decouple";
import { addStatistics, assembleGlobal, compileStatistics, computeStatistics, inspectHarvest, makeHead } from "sheaf/harvest";
import { buildModel } from "sheaf/models";
import { writeOnnx } from "sheaf/onnx";
import { catalog, describePlan, planFleet } from "sheaf/plan";
import { openSession } from "sheaf/runtime";
import { evaluateModel, trainAll } from "sheaf/train";
import { random } from "sheaf/util";

// 1. Data: images as bytes, one after another, each [channels, height, width], and a class number for each.
const classNames = ["rows", "columns", "diagonal", "checks"];
const shape = { channels: 1, height: 16, width: 16 };
/** @type {readonly ((y: number, x: number) => boolean)[]} */
const patterns = [
  (y) => y % 6 < 3,
  (_y, x) => x % 6 < 3,
  (y, x) => (y + x) % 6 < 3,
  (y, x) => Math.floor(y / 3) % 2 === Math.floor(x / 3) % 2,
];

/**
 * @param {number} count
 * @param {string} split
 * @returns {import("sheaf/data").Dataset}
 */
function makeDataset(count, split) {
  const source = random(1, split);
  const labels = Uint16Array.from({ length: count }, (_, i) => i % classNames.length);
  const pixels = new Uint8Array(count * shape.height * shape.width);
  let at = 0;
  for (const label of labels) {
    const [dy, dx] = [source.below(6), source.below(6)];
    for (let y = 0; y < shape.height; y++) {
      for (let x = 0; x < shape.width; x++) pixels[at++] = (patterns[label]?.(y + dy, x + dx) ? 90 : 40) + source.below(120);
    }
  }
  return {
    name: "stripes",
    classNames,
    shape,
    labels,
    store: { type: "memory", values: pixels },
    ...channelStatistics(pixels, shape),
    provenance: { source: `made in code, ${split}`, sha256: "" },
  };
}
const train = makeDataset(1200, "train");
const test = { ...makeDataset(400, "test"), mean: train.mean, std: train.std };

// 2. Plan: which device answers for which classes, and how wide its copy of the target may be.
const [classCount, seed, rho] = [classNames.length, 1, 0.5];
const target = buildModel("tiny", { ...shape, mean: train.mean, std: train.std }, classCount);
const plan = planFleet({
  target,
  classCount,
  classCounts: samplesByClass(train.labels, classCount).map((group) => group.length),
  devices: [
    { id: "pi", profile: catalog["raspberry-pi-4"] },
    { id: "phone", profile: catalog["phone-mid"] },
    { id: "laptop", profile: catalog.laptop },
  ],
  redundancy: 2,
  rho,
  epochs: 6,
  batchSize: 32,
  // Every device computes at most half of what the full target would cost it.
  minimumRatio: 2,
  seed,
});
console.log(describePlan(plan, classNames));

// 3. Train every part alone. Own classes keep their labels; everything else is "other".
const subModels = decouple(
  target,
  plan.devices.map(({ id, taskSet, widths }) => ({ device: id, taskSet, widths })),
);
const parts = partitioners.byClass(
  train.labels,
  classCount,
  { classesOf: subModels.map((s) => s.taskSet), overlap: "share", backgroundShare: rho },
  seed,
);
/** @param {number} d */
const samplesOf = (d) => ({ own: parts.own[d] ?? new Uint32Array(), background: parts.background[d] ?? new Uint32Array() });
const results = await trainAll(
  subModels.map(({ device, network, taskSet }, d) => {
    const { own, background } = samplesOf(d);
    const samples = Uint32Array.from([...own, ...background]);
    return {
      id: device,
      network,
      dataset: train,
      samples,
      labels: Uint16Array.from(samples, (i) => localLabel(taskSet, train.labels[i] ?? 0)),
      settings: {
        epochs: 6,
        batchSize: 32,
        optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
        schedule: { type: "cosine", learningRate: 0.1, warmup: 0.1 },
        labelSmoothing: 0,
        emaDecay: 0,
        augmentation: { crop: 0, flip: false, cutout: 0 },
      },
      seed,
    };
  }),
  { workers: 2 },
);

// 4. Harvest: every result passes the gate; then each device runs all branches over its own samples once and gives away sums alone.
const harvested = subModels.map((subModel, d) => {
  const { own, background } = samplesOf(d);
  const classCounts = classNames.map((_, c) => [...own, ...background].filter((i) => train.labels[i] === c).length);
  const parameters = inspectHarvest(subModel, results[d]?.parameters ?? new Map());
  return { subModel, parameters, ownSamples: own.length, backgroundSamples: background.length, classCounts };
});
const program = compileStatistics(harvested, classCount);
const pass = await openSession(writeOnnx(program.graph));
const sums = [];
for (const d of subModels.keys()) sums.push(await computeStatistics(pass, program, openSamples(train), samplesOf(d).own));
await pass.dispose();
const statistics = sums.reduce(addStatistics);

// 5. Glue: one ONNX model per head; raw pixels 0 to 255 go in.
for (const type of /** @type {const} */ (["H0", "H1", "H2"])) {
  const head = makeHead(type, { harvested, classCount, statistics });
  const model = writeOnnx(assembleGlobal(harvested, head, { classNames }), { batchAxis: "N" });
  const session = await openSession(model);
  const { accuracy } = await evaluateModel(session, openSamples(test));
  await session.dispose();
  console.log(`${type} test accuracy ${(100 * accuracy).toFixed(1)} %`);
  if (type === "H2" && process.argv[2]) await writeFile(process.argv[2], model);
}
