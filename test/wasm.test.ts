/** One training program on two runtimes: native, and WebAssembly as in a browser. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { compileTraining, initialState, type TrainingProgram } from "../src/compile/training.ts";
import { writeOnnx } from "../src/onnx/write.ts";
import { openSession as openNode } from "../src/runtime/session.node.ts";
import type { Session } from "../src/runtime/session.ts";
import { openSession as openWeb } from "../src/runtime/session.web.ts";
import { randomBatch } from "./support/batches.ts";
import { add, batchNorm, conv, dropout, globalAvgPool, inputOf, linear, maxPool, networkOf, relu } from "./support/networks.ts";
import { nextState } from "./support/trainingLoop.ts";

const network = networkOf(inputOf(3, 8, 8), [
  conv("conv1", 8, { bias: false }),
  batchNorm("bn1"),
  relu("relu1"),
  maxPool("pool1", [2, 2]),
  conv("conv2", 8, { groups: 2 }),
  relu("relu2"),
  add("sum", "relu2", "pool1"),
  dropout("dropout", 0.2),
  globalAvgPool("gap"),
  linear("classifier", 4),
]);

async function losses(program: TrainingProgram, session: Session, steps: number): Promise<number[]> {
  const result: number[] = [];
  let state = initialState(program, 1);
  for (let step = 0; step < steps; step++) {
    const outputs = new Map(Object.entries(await session.run(new Map([...state, ...randomBatch(program, step % 4, 0.05)]))));
    result.push(Number(outputs.get("loss")?.data[0]));
    state = nextState(program, outputs);
  }
  await session.dispose();
  return result;
}

describe("the same training program", () => {
  afterEach(() => vi.restoreAllMocks());

  test("has the same losses natively and on WebAssembly, and fetches nothing", async () => {
    const asked: string[] = [];
    const local = globalThis.fetch;
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
      const url = input instanceof Request ? input.url : String(input);
      asked.push(url);
      return local(input, init);
    });
    const optimizer = { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 } as const;
    const program = compileTraining(network, { batchSize: 8, optimizer, labelSmoothing: 0.1, emaDecay: 0.9 });
    const bytes = writeOnnx(program.graph);
    const native = await losses(program, await openNode(bytes), 20);
    const web = await losses(program, await openWeb(bytes, { threads: 1 }), 20);
    native.forEach((loss, step) => {
      expect(Math.abs((web[step] as number) - loss) / loss, `step ${step}`).toBeLessThan(1e-4);
    });
    expect(native[19]).toBeLessThan(native[0] as number);
    expect(asked.filter((url) => !/^(file|data|blob):/.test(url))).toEqual([]);
  });
});
