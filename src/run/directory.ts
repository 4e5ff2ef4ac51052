/**
 * A run directory: what lies in it and how it is opened. Everything in it is written atomically or appended durably, so that a
 * run killed at any moment leaves a directory that `--resume` can go on from.
 */
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { SheafError } from "../util/errors.ts";
import { type AppendFile, openAppend, readFileChecked, storageError, writeFileAtomic } from "../util/files.node.ts";
import { sha256Hex } from "../util/hash.node.ts";
import { canonicalJson } from "../util/json.ts";
import { decodeSafetensors, encodeSafetensors } from "../util/safetensors.ts";
import type { Tensor } from "../util/tensor.ts";

/** Names in a run directory. */
export const runFiles = {
  config: "config.resolved.json",
  events: "events.jsonl",
  metrics: "metrics.csv",
  checkpoints: "checkpoints",
  model: "model.onnx",
  card: "MODEL_CARD.md",
  report: "report.html",
  reportData: "report.json",
  result: "result.json",
  manifest: "manifest.json",
  lock: "run.lock",
} as const;

export interface RunDirectory extends AsyncDisposable {
  readonly path: string;
  /** Whether an earlier, unfinished or finished run was opened. */
  readonly resumed: boolean;
  at(name: string): string;
  write(name: string, data: Uint8Array | string): Promise<void>;
  /** Appends one event with the time of day. */
  log(event: { readonly type: string; readonly [key: string]: unknown }): Promise<void>;
  /** A finished job's tensors, if it has finished. Throws `corrupt` when its file is damaged. */
  finished(id: string): Promise<{ readonly tensors: ReadonlyMap<string, Tensor>; readonly facts: unknown } | undefined>;
  /** Keeps a finished job's tensors and facts. */
  finish(id: string, tensors: ReadonlyMap<string, Tensor>, facts: unknown): Promise<void>;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Whether a process of this machine is alive. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Takes the directory for this process. Throws `config` while another living process has it; what a dead one left is taken over.
 */
async function takeLock(path: string): Promise<void> {
  const file = join(path, runFiles.lock);
  for (;;) {
    try {
      await writeFile(file, `${process.pid} ${hostname()}\n`, { flag: "wx" });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw storageError(error, file);
    }
    const [pid, host] = (await readFile(file, "utf8").catch(() => "")).trim().split(" ");
    if (pid && host === hostname() && Number(pid) !== process.pid && isAlive(Number(pid))) {
      throw new SheafError(
        "config",
        `${path} is in use by another run (process ${pid}); wait for it, stop it, or choose another --out (if that process is no run of Sheaf, delete ${file}).`,
      );
    }
    await rm(file, { force: true });
  }
}

const isTemporary = (name: string): boolean => /^\..+\.tmp$/.test(name);

/** Removes what writers that were killed left half-written. Only the holder of the lock may. */
async function removeTemporaries(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    for (const name of (await readdir(folder)).filter(isTemporary)) await rm(join(folder, name), { force: true });
  }
}

/**
 * Checks, before any work is done, that `path` can become or is a run directory.
 * Throws `config` when it holds something else, or a run and `resume` is not set; `storage` when it cannot be read.
 */
export async function checkRunFolder(path: string, resume: boolean): Promise<void> {
  const entries: readonly string[] = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw storageError(error, path);
  });
  if (entries.includes(runFiles.config)) {
    if (resume) return;
    throw new SheafError("config", `${path} holds a run already; add --resume to go on with it, or choose another --out.`);
  }
  // A run killed in its first moments leaves these alone.
  if (entries.some((name) => name !== runFiles.lock && name !== runFiles.checkpoints && !isTemporary(name))) {
    throw new SheafError("config", `${path} is not empty and holds no run of Sheaf; choose another --out or empty it.`);
  }
}

/**
 * Opens `path` for a run with this configuration. A new directory must be empty or absent. With `resume` it must hold a run
 * with the same configuration, or nothing yet.
 * Throws `config` when it holds something else, `storage` when it cannot be written.
 */
export async function openRunDirectory(path: string, config: unknown, resume: boolean): Promise<RunDirectory> {
  const at = (name: string): string => join(path, name);
  const text = `${JSON.stringify(JSON.parse(canonicalJson(config)), null, 2)}\n`;
  await checkRunFolder(path, resume);
  const before = (await exists(at(runFiles.config))) ? await readFile(at(runFiles.config), "utf8") : undefined;
  if (before !== undefined && before !== text) {
    throw new SheafError(
      "config",
      `${path} holds a run with another configuration (${firstDifference(before, text)}); resume without settings, which are then those of the run, or choose another --out.`,
    );
  }
  await mkdir(at(runFiles.checkpoints), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw storageError(error, path);
  });
  await takeLock(path);
  await removeTemporaries(path, at(runFiles.checkpoints));
  if (before === undefined) await writeFileAtomic(at(runFiles.config), text);
  const events: AppendFile = await openAppend(at(runFiles.events));
  return {
    path,
    at,
    resumed: before !== undefined,
    write: (name, data) => writeFileAtomic(at(name), data),
    log: (event) => events.append(JSON.stringify({ at: new Date().toISOString(), ...event })),
    finished: (id) => readFinished(path, id),
    async finish(id, tensors, facts) {
      const text = canonicalJson(facts);
      const sha256 = sha256Hex(encodeSafetensors(tensors, { facts: text }));
      await writeFileAtomic(jobPath(path, id), encodeSafetensors(tensors, { facts: text, sha256 }));
    },
    async [Symbol.asyncDispose]() {
      await events.close();
      await rm(at(runFiles.lock), { force: true });
    },
  };
}

const jobPath = (path: string, id: string): string => join(path, runFiles.checkpoints, `${id}.safetensors`);

/** What `finish` kept of a job in the run directory `path`; undefined when it has not finished. Throws `corrupt` when the file is damaged. */
export async function readFinished(
  path: string,
  id: string,
): Promise<{ readonly tensors: ReadonlyMap<string, Tensor>; readonly facts: unknown } | undefined> {
  const file = jobPath(path, id);
  if (!(await exists(file))) return undefined;
  const bytes = await readFileChecked(file, "finished job");
  const remedy = "delete this file and resume, and what it holds is made again";
  let content: ReturnType<typeof decodeSafetensors>;
  try {
    content = decodeSafetensors(bytes, file);
  } catch (cause) {
    if (!(cause instanceof SheafError && cause.code === "corrupt")) throw cause;
    throw new SheafError("corrupt", `${cause.message.replace(/\.$/, "")}; ${remedy}.`, { cause });
  }
  const { tensors, metadata } = content;
  const facts = metadata.facts ?? "null";
  if (metadata.sha256 !== sha256Hex(encodeSafetensors(tensors, { facts }))) {
    throw new SheafError("corrupt", `${file} does not match its checksum; ${remedy}.`);
  }
  return { tensors, facts: JSON.parse(facts) };
}

/** The first key whose value differs, for an error that says where to look. */
function firstDifference(before: string, now: string): string {
  const a = before.split("\n");
  const b = now.split("\n");
  const at = a.findIndex((line, i) => line !== b[i]);
  const text = (lines: readonly string[]): string => lines[at]?.trim().replace(/,$/, "") ?? "nothing";
  return `there ${text(a)}, now ${text(b)}`;
}
