/** Spawns the built `sheaf` command as a person's shell would, away from the machine's own data and caches. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The built command; `npm test` builds first. */
export const command: string = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
export const built: boolean = existsSync(command);
if (!built) console.log("dist/cli/main.js is not there (npm run build): tests of the command line are skipped.");

/** How a command ended. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the command through `sh -c PREFIX; exec node ...`, for limits such as `ulimit -f 100`. */
  readonly shellPrefix?: string;
  /** Called with all of stderr so far whenever something arrives. */
  readonly onStderr?: (text: string, child: ChildProcess) => void;
}

/** A folder of its own for a test file's processes; `remove` it afterwards. */
export interface Scratch {
  readonly path: string;
  at(...names: string[]): string;
  remove(): Promise<void>;
}

export async function scratch(name: string): Promise<Scratch> {
  const path = await mkdtemp(join(tmpdir(), `sheaf-${name}-`));
  return { path, at: (...names) => join(path, ...names), remove: () => rm(path, { recursive: true, force: true }) };
}

function environment(cwd: string, changes: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { SHEAF_DATA: _, XDG_CACHE_HOME: __, FORCE_COLOR: ___, NODE_OPTIONS: ____, ...rest } = process.env;
  return { ...rest, HOME: cwd, NO_COLOR: "1", ...changes };
}

/** Runs `sheaf ARGS` to its end. */
export function sheaf(args: readonly string[], { cwd = tmpdir(), env = {}, shellPrefix, onStderr }: SpawnOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: environment(cwd, env) };
    const child = shellPrefix
      ? spawn("sh", ["-c", `${shellPrefix}; exec "$@"`, "sh", process.execPath, command, ...args], options)
      : spawn(process.execPath, [command, ...args], options);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      onStderr?.(stderr, child);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** A network and data so small that a whole run takes seconds. */
export const small: readonly string[] =
  "--data-set glyphs --network tiny --epochs 2 --train-count 600 --test-count 200 --batch 32 --set fleet.width=0.5".split(" ");

/** The same without controls, for tests that look at something else. */
export const smallest: readonly string[] =
  "--data-set glyphs --network tiny --epochs 1 --train-count 100 --test-count 30 --batch 20 --set fleet.width=0.5 --set controls.central=false --set controls.slim=false".split(
    " ",
  );

/** Runs a command that must succeed. */
export async function succeed(args: readonly string[], options: SpawnOptions = {}): Promise<Outcome> {
  const outcome = await sheaf(args, options);
  if (outcome.code !== 0) throw new Error(`sheaf ${args.join(" ")} ended with ${outcome.code ?? outcome.signal}:\n${outcome.stderr}`);
  return outcome;
}

/** The one JSON value on stdout; fails when there is more, or less, or anything on stderr. */
export async function json(args: readonly string[], options: SpawnOptions = {}): Promise<unknown> {
  const { stdout, stderr } = await succeed([...args, "--json"], options);
  if (stderr !== "") throw new Error(`sheaf ${args.join(" ")} --json said on stderr: ${stderr}`);
  return JSON.parse(stdout);
}

export async function sha256(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

/** All files below a folder, as paths relative to it. */
export async function filesBelow(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();
}
