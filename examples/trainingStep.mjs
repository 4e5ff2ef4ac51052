// Training by hand with the compiled step: one `session.run` is one step, and every output that replaces an input is fed back.
// Run it in a checkout after `npm ci && npm run build`:  node examples/trainingStep.mjs
// Any ONNX Runtime can do the same with the files of `sheaf compile`; docs/engine.md shows it in Python.
import { compileTraining, initialState, learningRateAt } from "sheaf/compile";
import { fillBatch, loadDataset, openSamples } from "sheaf/data";
import { buildModel } from "sheaf/models";
import { writeOnnx } from "sheaf/onnx";
import { openSession } from "sheaf/runtime";
import { floats, random, shuffle, zeros } from "sheaf/util";

const [batchSize, steps, seed] = [32, 250, 0];
const { train } = await loadDataset("glyphs", { trainCount: 320, testCount: 10 });
const classes = train.classNames.length;
const network = buildModel("tiny", { ...train.shape, mean: train.mean, std: train.std }, classes);

const program = compileTraining(network, {
  batchSize,
  optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
});
for (const port of program.inputs) console.log(`${port.role.padEnd(12)} ${port.name} ${port.dtype} [${port.shape.join(", ")}]`);

const session = await openSession(writeOnnx(program.graph));
/** @type {Record<string, import("sheaf/util").Tensor>} */
const feeds = Object.fromEntries(initialState(program, seed));
const { channels, height, width } = train.shape;
const samples = openSamples(train);
// Batch innermost: [channels, height, width, batch] and [classes, batch].
const image = zeros("float32", [channels, height, width, batchSize]);
const target = zeros("float32", [classes, batchSize]);
const losses = [];
let order = [...train.labels.keys()];
const perEpoch = Math.floor(order.length / batchSize);
for (let step = 0; step < steps; step++) {
  const at = step % perEpoch;
  if (at === 0) order = shuffle(order, random(seed, "order", step));
  const batch = order.slice(at * batchSize, (at + 1) * batchSize);
  fillBatch(image.data, samples, batch, undefined, random(seed, "augment", step));
  target.data.fill(0);
  for (const [column, sample] of batch.entries()) target.data[(train.labels[sample] ?? 0) * batchSize + column] = 1;
  const rate = learningRateAt({ type: "cosine", learningRate: 0.1, warmup: 0.1 }, step, steps);
  const outputs = await session.run({ ...feeds, image, target, learningRate: floats("float32", [], [rate]) });
  for (const { name, replaces } of program.outputs) {
    const value = outputs[name];
    if (replaces !== undefined && value) feeds[replaces] = value;
  }
  losses.push(Number(outputs.loss?.data[0]));
}
await session.dispose();

/** @param {number[]} values */
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
console.log(
  `mean loss of the first twenty steps ${mean(losses.slice(0, 20)).toFixed(3)}, of the last twenty ${mean(losses.slice(-20)).toFixed(3)}`,
);
