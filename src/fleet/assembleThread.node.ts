/** Models put together in a thread of their own, so that the coordinator answers meanwhile. */
import { Worker } from "node:worker_threads";
import { SheafError } from "../util/errors.ts";
import type { Assembly, MadeModel, MakeModel } from "./assemble.ts";
import type { AssemblyJob, AssemblyReply } from "./assembleMessages.ts";

/** How long a thread that has said what it has to say may take to end by itself. */
const endWithinMs = 5_000;

function inThread(url: URL, job: AssemblyJob): Promise<MadeModel> {
  // Not with this process's own flags: some a thread with a script refuses.
  const worker = new Worker(url, { execArgv: [], workerData: job });
  let reply: AssemblyReply | undefined;
  let crash: string | undefined;
  let ending: ReturnType<typeof setTimeout> | undefined;
  worker.on("message", (message: AssemblyReply) => {
    reply = message;
    ending = setTimeout(() => void worker.terminate(), endWithinMs);
  });
  // Always followed by "exit".
  worker.on("error", (error: unknown) => {
    crash = error instanceof Error ? error.message : String(error);
  });
  return new Promise((resolve, reject) => {
    worker.on("exit", (exitCode) => {
      clearTimeout(ending);
      if (reply?.type === "made") return resolve(reply.made);
      if (reply) return reject(new SheafError(reply.code, reply.message));
      const why = crash ?? `exit code ${exitCode}`;
      reject(
        new SheafError("internal", `The thread that put the model together ended unexpectedly: ${why}; \`sheaf runs resume\` tries again.`),
      );
    });
  });
}

export interface AssemblyThreadOptions extends Omit<AssemblyJob, "assembly"> {
  /** Script of the thread; for bundlers that move it. */
  readonly workerUrl?: URL;
}

/** Node cannot load TypeScript in a worker thread: run from its sources, a coordinator has none. */
const fromSources = import.meta.url.endsWith(".ts");

/** Makes each model in a thread of its own; undefined where there can be none. A crash of the thread is an `internal` error of that model alone. */
export function threadMaker({ workerUrl, ...place }: AssemblyThreadOptions): MakeModel | undefined {
  if (fromSources && !workerUrl) return undefined;
  const url = workerUrl ?? new URL("./assembleWorker.node.js", import.meta.url);
  return (assembly: Assembly) => inThread(url, { assembly, ...place });
}
