#!/usr/bin/env node
/**
 * What a warm start is worth on glyphs: accuracy of sub-models that start at random, from the target's first filters, or from those chosen by class
 * activation, before any training and after one epoch. Mean over devices of the mean over their labels, "other" among them (chance: 20 %).
 *
 *   npm run build
 *   node bench/warmStart.mjs [--seeds 3] [--json]
 *
 * For each seed: 2000 training and 1000 test glyphs, a target trained on them centrally, three devices of four classes each and a quarter of the other samples.
 */
import { parseArgs } from "node:util";
import { compileActivations, compileInference, initialParameters } from "../dist/compile.js";
import { channelStatistics, drawGlyphs, glyphClassNames, glyphShape, openMemorySamples } from "../dist/data.js";
import { decouple, localLabel, measureActivation, warmStarts } from "../dist/decouple.js";
import { buildModel } from "../dist/models.js";
import { writeOnnx } from "../dist/onnx.js";
import { openSession } from "../dist/runtime.node.js";
import { evaluateModel, train } from "../dist/train.js";
import { random } from "../dist/util.js";

const { values } = parseArgs({ options: { seeds: { type: "string", default: "3" }, json: { type: "boolean", default: false } } });
const targets = [
  { name: "vgg11", width: 0.25, epochs: 12, learningRate: 0.01 },
  { name: "alexnet", width: 0.25, epochs: 20, learningRate: 0.02 },
];
const taskSets = [
  [0, 1, 2, 3],
  [4, 5, 6, 7],
  [0, 5, 8, 9],
];
const rho = 0.25;

function glyphs(split, count, seed, statistics) {
  const { labels, pixels } = drawGlyphs(count, { seed, split });
  const { mean, std } = statistics ?? channelStatistics(pixels, glyphShape);
  const store = { type: "memory", values: pixels };
  return {
    name: "glyphs",
    classNames: glyphClassNames,
    shape: glyphShape,
    labels,
    store,
    mean,
    std,
    provenance: { source: "glyphs", sha256: "" },
  };
}

async function trainNetwork(id, network, dataset, samples, labels, { epochs, learningRate, seed, initial }) {
  const settings = {
    epochs,
    batchSize: 32,
    optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
    schedule: { type: "cosine", learningRate, warmup: 0.1 },
    labelSmoothing: 0,
    emaDecay: 0,
    augmentation: { crop: 0, flip: false, cutout: 0 },
  };
  const steps = train({ id, network, dataset, samples, labels, seed, settings, ...(initial && { initial }) }, { openSession });
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value.parameters;
  }
}

/** Mean over classes of the share answered rightly. */
async function accuracy(network, parameters, test, classNames, labelOf) {
  const session = await openSession(writeOnnx(compileInference(network, parameters, { classNames }), { batchAxis: "N" }));
  const { perClass } = await evaluateModel(session, openMemorySamples({ ...test, classNames, labels: test.labels.map(labelOf) }));
  await session.dispose();
  return perClass.reduce((a, b) => a + b, 0) / perClass.length;
}

const results = [];
for (const { name, width, epochs, learningRate } of targets) {
  for (let seed = 1; seed <= Number(values.seeds); seed++) {
    const training = glyphs("train", 2000, seed);
    const test = glyphs("test", 1000, seed, training);
    const network = buildModel(name, { ...glyphShape, mean: training.mean, std: training.std }, 10, width);
    const all = Uint32Array.from(training.labels.keys());
    const parameters = await trainNetwork("target", network, training, all, training.labels, { epochs, learningRate, seed });
    const ofTarget = await accuracy(network, parameters, test, glyphClassNames, (label) => label);
    const session = await openSession(writeOnnx(compileActivations(network, parameters), { batchAxis: "N" }));
    const activation = await measureActivation(session, network, openMemorySamples(training), all.subarray(0, 1000));
    await session.dispose();
    for (const widths of [0.35, 0.6]) {
      const subModels = decouple(
        network,
        taskSets.map((taskSet, i) => ({ device: `d${i}`, taskSet, widths })),
      );
      const starts = {
        "at random": new Map(),
        "first filters": warmStarts(network, parameters, subModels, { type: "position" }),
        "by activation": warmStarts(network, parameters, subModels, { type: "activation", activation }),
      };
      for (const [start, byDevice] of Object.entries(starts)) {
        const means = [0, 0];
        for (const { device, network: own, taskSet } of subModels) {
          const draw = random(seed, "background", device);
          const samples = all.filter((i) => taskSet.includes(training.labels[i]) || draw.uniform() < rho);
          const labels = Uint16Array.from(samples, (i) => localLabel(taskSet, training.labels[i]));
          const initial = byDevice.get(device);
          const trained = await trainNetwork(device, own, training, samples, labels, { epochs: 1, learningRate, seed, initial });
          const names = [...taskSet.map(String), "other"];
          for (const [i, start] of [initial ?? initialParameters(own, seed), trained].entries()) {
            means[i] += (await accuracy(own, start, test, names, (label) => localLabel(taskSet, label))) / subModels.length;
          }
        }
        results.push({ target: name, seed, ofTarget, width: widths, start, before: means[0], afterOneEpoch: means[1] });
        if (!values.json) process.stderr.write(`${JSON.stringify(results.at(-1))}\n`);
      }
    }
  }
}

const percent = (numbers) => `${((100 * numbers.reduce((a, b) => a + b, 0)) / numbers.length).toFixed(1)}`;
if (values.json) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
else {
  process.stdout.write("| target | width | start | before training | after one epoch |\n|---|---|---|---|---|\n");
  for (const key of new Set(results.map(({ target, width, start }) => `${target} | ${width} | ${start}`))) {
    const rows = results.filter(({ target, width, start }) => `${target} | ${width} | ${start}` === key);
    process.stdout.write(`| ${key} | ${percent(rows.map((r) => r.before))} | ${percent(rows.map((r) => r.afterOneEpoch))} |\n`);
  }
}
