/** The thread in which a model is put together: does what it was started with, says how that ended, and ends. */
import { parentPort, workerData } from "node:worker_threads";
import { readFileObjects } from "../coordinator/fileObjects.node.ts";
import { SheafError } from "../util/errors.ts";
import { makeModel } from "./assemble.ts";
import type { AssemblyJob, AssemblyReply } from "./assembleMessages.ts";
import { openSamplesOf } from "./samples.ts";

async function work({ assembly, store, dataFolder }: AssemblyJob): Promise<AssemblyReply> {
  try {
    return { type: "made", made: await makeModel(assembly, readFileObjects(store), openSamplesOf(dataFolder)) };
  } catch (error) {
    if (error instanceof SheafError) return { type: "failed", code: error.code, message: error.message };
    return {
      type: "failed",
      code: "internal",
      message: `The model could not be made: ${error instanceof Error ? error.stack : String(error)}`,
    };
  }
}

const reply = await work(workerData as AssemblyJob);
// The model's memory goes to the other thread instead of being copied.
parentPort?.postMessage(reply, reply.type === "made" ? [reply.made.model.buffer as ArrayBuffer] : []);
