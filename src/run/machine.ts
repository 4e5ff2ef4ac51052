/** Facts of this machine, this version and this commit, for manifests and reports. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { availableParallelism, cpus, totalmem } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const require = createRequire(import.meta.url);

/** Version of this package. */
export const sheafVersion: string = (require("../../package.json") as { version: string }).version;

/** Version of ONNX Runtime's native binding. */
export const onnxruntimeVersion: string = (require("onnxruntime-node/package.json") as { version: string }).version;

export interface MachineFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly platform: string;
  readonly onnxruntime: Readonly<Record<string, string>>;
}

/** What numbers measured here depend on. */
export function machineFacts(): MachineFacts {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    onnxruntime: { "onnxruntime-node": onnxruntimeVersion },
  };
}

/** Commit of the checkout that Sheaf runs from, `-dirty` when changed; undefined where there is none. */
export async function commitOf(): Promise<string | undefined> {
  const cwd = dirname(fileURLToPath(import.meta.url));
  const git = async (...args: string[]): Promise<string> => (await promisify(execFile)("git", args, { cwd })).stdout.trim();
  try {
    const top = await git("rev-parse", "--show-toplevel");
    // Installed below another project's node_modules, that project's commit would say nothing about Sheaf.
    if (cwd.slice(top.length).includes("node_modules")) return undefined;
    const commit = await git("rev-parse", "--short=12", "HEAD");
    return (await git("status", "--porcelain", "--untracked-files=no")) === "" ? commit : `${commit}-dirty`;
  } catch {
    return undefined;
  }
}
