/** Processes of `sheaf` that go on while a test looks at them: coordinators and devices. */
import { type ChildProcess, spawn } from "node:child_process";
import { command } from "./sheaf.ts";

/** A process and all that it has said. */
export interface Running {
  readonly child: ChildProcess;
  /** All of stdout and stderr so far, as it came. */
  readonly said: () => string;
  /** Resolves when `pattern` has been said; fails when the process ends before. */
  until(pattern: RegExp): Promise<RegExpMatchArray>;
  /** The exit code; null after a signal. */
  readonly ended: Promise<number | null>;
}

const running = new Set<ChildProcess>();

/** Starts `sheaf ARGS` in a folder that is also its home. */
export function start(args: readonly string[], cwd: string, changes: Readonly<Record<string, string>> = {}): Running {
  const { SHEAF_DATA: _, NODE_OPTIONS: __, XDG_STATE_HOME: ___, XDG_CONFIG_HOME: ____, ...env } = process.env;
  const child = spawn(process.execPath, [command, ...args], { cwd, env: { ...env, HOME: cwd, NO_COLOR: "1", ...changes } });
  running.add(child);
  let text = "";
  const listeners = new Set<() => void>();
  const hear = (piece: string): void => {
    text += piece;
    for (const listener of [...listeners]) listener();
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  const ended = new Promise<number | null>((resolve) =>
    child.on("close", (code) => {
      running.delete(child);
      resolve(code);
      hear("");
    }),
  );
  return {
    child,
    said: () => text,
    ended,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = text.match(pattern);
          if (match) resolve(match);
          else if (child.exitCode !== null || child.signalCode !== null)
            reject(new Error(`sheaf ${args[0]} ended without ${pattern}:\n${text}`));
          else return;
          listeners.delete(look);
        };
        listeners.add(look);
        look();
      }),
  };
}

/** Ends what a test left behind; for `afterEach`. */
export async function killAll(): Promise<void> {
  const ends = [...running].map((child) => new Promise((resolve) => child.once("close", resolve)));
  for (const child of running) child.kill("SIGKILL");
  await Promise.all(ends);
}
