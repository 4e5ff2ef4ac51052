/**
 * Programs as text, for a reviewer to see what a change does to them. After a change that is meant: `npx vitest run test/golden -u`,
 * and read the difference before it is committed.
 */
import { expect, test } from "vitest";
import { compileInference } from "../../src/compile/deploy.ts";
import { compileEvaluation } from "../../src/compile/evaluation.ts";
import { initialParameters } from "../../src/compile/initialize.ts";
import { compileTraining } from "../../src/compile/training.ts";
import { printGraph } from "../../src/onnx/print.ts";
import { readOnnx } from "../../src/onnx/read.ts";
import { verify } from "../../src/onnx/verify.ts";
import { writeOnnx } from "../../src/onnx/write.ts";
import { batchNorm, conv, dropout, globalAvgPool, inputOf, linear, maxPool, networkOf, relu } from "../support/networks.ts";

const network = networkOf(
  inputOf(3, 6, 6),
  [
    conv("conv1", 4, { bias: false }),
    batchNorm("bn1"),
    relu("relu1"),
    maxPool("pool1", [2, 2]),
    conv("conv2", 6, { stride: [2, 2] }),
    relu("relu2"),
    globalAvgPool("gap"),
    dropout("dropout", 0.25),
    linear("classifier", 3),
  ],
  "small",
);

const graphs = {
  "training.txt": () => {
    const optimizer = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 } as const;
    return compileTraining(network, { batchSize: 4, optimizer, labelSmoothing: 0.1, emaDecay: 0.99 }).graph;
  },
  "adamw.txt": () => {
    const optimizer = { type: "adamw", weightDecay: 0.01, clipNorm: 1 } as const;
    return compileTraining(networkOf(inputOf(1, 2, 2), [globalAvgPool("gap"), linear("classifier", 2)], "tiny"), {
      batchSize: 2,
      optimizer,
    }).graph;
  },
  "evaluation.txt": () => compileEvaluation(network, { batchSize: 4 }).graph,
  "deployable.txt": () => compileInference(network, initialParameters(network, 1), { classNames: ["a", "b", "c"] }),
};

test.each(Object.entries(graphs))("%s", async (name, build) => {
  await expect(printGraph(verify(build()))).toMatchFileSnapshot(name);
});

test.each(Object.entries(graphs))("%s survives being written and read", (_, build) => {
  const bytes = writeOnnx(build());
  const again = readOnnx(bytes);
  verify(again);
  expect(writeOnnx(again)).toEqual(bytes);
});

test.each(Object.entries(graphs))("%s is the same bytes every time", (_, build) => {
  expect(writeOnnx(build())).toEqual(writeOnnx(build()));
});
