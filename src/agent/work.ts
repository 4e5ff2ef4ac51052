/** One lease from its offer to its end: objects fetched, the task done or taken up where it was, outputs uploaded and handed in. */
import { ProtocolError } from "../protocol/errors.ts";
import type { Heartbeat, Offer } from "../protocol/messages.ts";
import { ConnectionFailure } from "../protocol/retry.ts";
import { memorySink } from "../protocol/transfer.ts";
import { sha256 } from "../train/fingerprint.ts";
import { SheafError } from "../util/errors.ts";
import { canonicalJson } from "../util/json.ts";
import type { AgentOptions, Records } from "./agent.ts";
import { persist } from "./backoff.ts";
import type { Made } from "./state.ts";
import { runTask, type TaskResult, type TaskTools } from "./tasks.ts";

/** Name of a task in the device's state: the same whatever lease it is done under. */
export function taskName({ runId, spec }: Offer): string {
  return `${runId}.${spec.taskId}`;
}

/** SHA-256 of what is to be done, by which a finished result is found again under another lease. */
export function specHash({ runId, spec }: Offer): Promise<string> {
  return sha256(canonicalJson({ runId, spec }));
}

/** What work needs of the agent around it. */
export interface WorkTools extends AgentOptions {
  readonly records: Records;
  readonly onProgress: (progress: Heartbeat) => void;
  readonly pace: (busyMs: number) => Promise<void>;
  /** Ends this work, not the agent. */
  readonly signal: AbortSignal;
  /** Ends the agent. */
  readonly agentSignal: AbortSignal;
}

/** Whether the disk is full or the like: work goes on in memory. */
const isStorage = (error: unknown): error is SheafError => error instanceof SheafError && error.code === "storage";

/** Does what the disk allows. */
async function ifThereIsRoom(write: () => Promise<void>, { onEvent }: WorkTools): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!isStorage(error)) throw error;
    onEvent({ type: "problem", message: error.message });
  }
}

/**
 * A transfer, repeated until it succeeds. Refusals of objects are no refusals of the lease: a missing object is a failure of the task, and an upload that is
 * elsewhere than thought (another copy of this device may be at it) is tried again.
 */
async function transfer(what: "download" | "upload", run: () => Promise<void>, { timing, signal, onEvent }: WorkTools): Promise<void> {
  const call = async (): Promise<void> => {
    try {
      await run();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const { protocolCode, message } = error;
      if (protocolCode === "conflict") throw new ConnectionFailure(message, { cause: error });
      if (protocolCode === "notFound" || protocolCode === "forbidden") throw new SheafError("unavailable", message, { cause: error });
      throw error;
    }
  };
  const onRetry = (error: unknown, delayMs: number): void => onEvent({ type: "retrying", what, reason: String(error), delayMs });
  await persist(call, { timing, signal, onRetry });
}

/** Fetches an object that the offer lists, or whose length is known from one that it lists, unless it is there; onto the disk where there is room, so that a restart goes on. */
async function fetchObject(offer: Offer, name: string, bytes: number | undefined, tools: WorkTools): Promise<Uint8Array<ArrayBuffer>> {
  const { state, link, signal, onEvent } = tools;
  const found = await state.readObject(name);
  if (found) return found;
  const length = bytes ?? offer.inputs.find((input) => input.sha256 === name)?.bytes;
  if (length === undefined) {
    throw new SheafError(
      "corrupt",
      `Task ${offer.spec.taskId} needs object ${name}, which its offer does not list; the coordinator is at fault.`,
    );
  }
  const object = { sha256: name, bytes: length };
  try {
    const sink = await state.openSink(name);
    await transfer("download", () => link.download(object, sink, signal), tools);
    const bytes = await sink.bytes();
    await ifThereIsRoom(() => sink.keep(), tools);
    return bytes;
  } catch (error) {
    if (!isStorage(error)) throw error;
    onEvent({ type: "problem", message: error.message });
  }
  const sink = memorySink();
  await transfer("download", () => link.download(object, sink, signal), tools);
  return sink.bytes();
}

function taskTools(offer: Offer, tools: WorkTools): TaskTools {
  const { data, openSamples, openSession, state, checkpointSeconds, privateCounts, signal, onEvent, onProgress, pace } = tools;
  return {
    data,
    openSamples,
    openSession,
    fetchObject: (name, bytes) => fetchObject(offer, name, bytes, tools),
    checkpoints: state.checkpoints(taskName(offer)),
    checkpointSeconds,
    privateCounts,
    pace,
    onProgress,
    onProblem: (message) => onEvent({ type: "problem", message }),
    signal,
  };
}

/** A result by name and in full. */
interface Finished {
  readonly made: Made;
  readonly outputs: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** An earlier result for the same specification, if all of it is still there. */
async function madeBefore(specSha256: string, { records, state }: WorkTools): Promise<Finished | undefined> {
  const { made } = records.current;
  if (made?.specSha256 !== specSha256) return undefined;
  const outputs = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const { sha256: name } of made.completion.outputs) {
    const bytes = await state.readObject(name);
    if (!bytes) return undefined;
    outputs.set(name, bytes);
  }
  return { made, outputs };
}

async function named(specSha256: string, { outputs, measured, use }: TaskResult): Promise<Finished> {
  const byName = new Map<string, Uint8Array<ArrayBuffer>>();
  const references: Made["completion"]["outputs"][number][] = [];
  for (const { role, bytes } of outputs) {
    const name = await sha256(bytes);
    byName.set(name, bytes);
    references.push({ role, sha256: name, bytes: bytes.length });
  }
  return { made: { specSha256, completion: { outputs: references, measured, ...(use ? { use } : {}) } }, outputs: byName };
}

/** Does the task of an offer, or takes the result that was made before, and keeps it until it is handed in. */
async function make(offer: Offer, tools: WorkTools): Promise<Finished> {
  const { state, records, onEvent, doTask = runTask } = tools;
  const hash = await specHash(offer);
  const before = await madeBefore(hash, tools);
  if (before) return before;
  const finished = await named(hash, await doTask(offer.spec, taskTools(offer, tools)));
  await ifThereIsRoom(async () => {
    for (const [name, bytes] of finished.outputs) await state.writeObject(name, bytes);
  }, tools);
  await records.change({ made: finished.made });
  onEvent({ type: "made", taskId: offer.spec.taskId, outputs: finished.made.completion.outputs });
  return finished;
}

/** Does the work of a lease and hands it in. Returns the coordinator's answer; throws what ends the lease otherwise. */
export async function doWork(offer: Offer, tools: WorkTools): Promise<{ readonly accepted: boolean; readonly reason?: string }> {
  const { link, signal, agentSignal, timing, onEvent, onProgress } = tools;
  const { made, outputs } = await make(offer, tools);
  const onRetry = (error: unknown, delayMs: number): void =>
    onEvent({ type: "retrying", what: "complete", reason: String(error), delayMs });
  let done = 0;
  for (const bytes of outputs.values()) {
    onProgress({ phase: "uploading", progress: done++ / outputs.size });
    await transfer("upload", () => link.upload(bytes, signal), tools);
  }
  // To the end, even if the lease has one meanwhile: perhaps by this very result, of whose acceptance only the answer was lost.
  return await persist(() => link.complete(offer.leaseId, made.completion, agentSignal), { timing, signal: agentSignal, onRetry });
}
