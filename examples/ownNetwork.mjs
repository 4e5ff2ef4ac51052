// An own network: a graph with a residual sum and a concatenation, its cost, its training, its deployable form.
// Run it in a checkout after `npm ci && npm run build`:  node examples/ownNetwork.mjs
// The same kind of network as a file, for the command line: examples/network.json.
import { compileInference, compileTraining } from "sheaf/compile";
import { loadDataset, openSamples } from "sheaf/data";
import { chain, convolution, halvingPool, square, standardBatchNorm } from "sheaf/models";
import { narrow, networkCost, placeLayers } from "sheaf/network";
import { writeOnnx } from "sheaf/onnx";
import { openSession } from "sheaf/runtime";
import { evaluateModel, trainHere } from "sheaf/train";

const { train, test } = await loadDataset("glyphs", { trainCount: 2560, testCount: 500 });

// A layer reads the one before it, or those named last.
const net = chain({ ...train.shape, mean: train.mean, std: train.std });
net.push("conv2d", "stem", convolution(16, 3, { padding: square(1), stride: square(2) }));
net.push("batchNorm", "stem_bn", standardBatchNorm);
net.push("relu", "stem_relu", {});
net.push("conv2d", "inner", convolution(16, 3, { padding: square(1) }));
net.push("batchNorm", "inner_bn", standardBatchNorm);
net.push("add", "residual", {}, ["inner_bn", "stem_relu"]);
net.push("relu", "residual_relu", {});
net.push("maxPool", "halve", halvingPool);
net.push("conv2d", "fine", convolution(16, 1, { bias: true }), ["halve"]);
net.push("conv2d", "coarse", convolution(16, 3, { padding: square(2), dilation: square(2), bias: true }), ["halve"]);
net.push("concat", "both", {}, ["fine", "coarse"]);
net.push("relu", "both_relu", {});
net.push("globalAvgPool", "pool", {});
net.push("linear", "classifier", { outFeatures: train.classNames.length, bias: true });
const network = net.network("own");

for (const { layer, output } of placeLayers(network)) console.log(`${layer.name} ${output.channels}x${output.height}x${output.width}`);
console.log(`full width: ${networkCost(network).macs} MACs, half width: ${networkCost(narrow(network, 0.5)).macs} MACs`);

// One ONNX graph is one training step; `trainHere` runs it, batch after batch.
const settings = {
  epochs: 6,
  batchSize: 32,
  optimizer: /** @type {const} */ ({ type: "adamw", weightDecay: 0.01 }),
  schedule: /** @type {const} */ ({ type: "oneCycle", learningRate: 0.01 }),
  labelSmoothing: 0.05,
  emaDecay: 0,
  augmentation: { crop: 2, flip: false, cutout: 0 },
};
console.log(`training step: ${compileTraining(network, settings).graph.nodes.length} ONNX nodes`);
const training = trainHere({
  id: "own",
  network,
  dataset: train,
  samples: Uint32Array.from(train.labels.keys()),
  labels: train.labels,
  settings,
  seed: 0,
});
let turn = await training.next();
for (; !turn.done; turn = await training.next()) {
  const { epoch, step, steps, loss } = turn.value;
  if (step % (steps / settings.epochs) === 0) console.log(`epoch ${epoch}: loss ${loss.toFixed(3)}`);
}

const model = writeOnnx(compileInference(network, turn.value.parameters, { classNames: train.classNames }), { batchAxis: "N" });
const session = await openSession(model);
const { accuracy } = await evaluateModel(session, openSamples(test));
await session.dispose();
console.log(`test accuracy ${(100 * accuracy).toFixed(1)} %, model of ${model.length} bytes`);
