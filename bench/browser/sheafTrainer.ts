/** Sheaf's training program on onnxruntime-web. */
import { writeOnnx } from "../../src/onnx/write.ts";
import { openSession, useRuntimeFiles } from "../../src/runtime/session.web.ts";
import { openStepper } from "../../src/runtime/stepper.ts";
import { type Batch, batches, initial, learningRate, program, type Trainer } from "./workload.ts";

useRuntimeFiles("/ort/");

/** Opens a session with so many threads; the first of a page decides for all. */
export async function openSheaf(threads: number): Promise<Trainer> {
  const session = await openSession(writeOnnx(program.graph), { provider: "wasm", threads });
  const stepper = openStepper(program, session, initial);
  return {
    async step(index) {
      const { image, target } = batches[index % batches.length] as Batch;
      return (await stepper.step(image, target, learningRate)).loss;
    },
  };
}
