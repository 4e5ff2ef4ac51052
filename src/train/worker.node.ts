/** The worker thread of the pool: trains the jobs it is sent, one after another. */
import { parentPort } from "node:worker_threads";
import { SheafError } from "../util/errors.ts";
import type { TrainingJob, TrainingResult } from "./job.ts";
import { trainReporting } from "./trainer.node.ts";
import type { FromWorker, ToWorker } from "./workerMessages.ts";

/** The result's memory goes to the other thread instead of being copied. */
function buffersOf(result: TrainingResult): ArrayBuffer[] {
  return [...result.parameters.values()].map(({ data }) => data.buffer as ArrayBuffer);
}

function failure(error: unknown): FromWorker {
  const code = error instanceof SheafError ? error.code : "internal";
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { type: "failed", code, message, stack };
}

function serve(port: NonNullable<typeof parentPort>): void {
  const say = (message: FromWorker, buffers: ArrayBuffer[] = []): void => port.postMessage(message, buffers);
  let controller = new AbortController();
  const work = async (job: TrainingJob): Promise<void> => {
    controller = new AbortController();
    try {
      const result = await trainReporting(job, controller.signal, say);
      say({ type: "result", result }, buffersOf(result));
    } catch (error) {
      say(failure(error));
    }
  };
  port.on("message", (message: ToWorker) => {
    if (message.type === "train") void work(message.job);
    else if (message.type === "abort") controller.abort();
    else port.close();
  });
}

if (parentPort) serve(parentPort);
