/** The built `sheaf` command in processes of its own: what they say is heard, and they can be killed, stopped and sabotaged. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const preload = new URL("preload.mjs", import.meta.url).href;

/** Longest time that anything is waited for; a machine with other work is slow. */
export const patienceMs = 600_000;

const alive = new Set();

/** Kills every process that was started here and is alive. */
export async function killAll() {
  await Promise.all([...alive].map((running) => running.kill()));
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `look` finds something; fails with what `describe` says when that takes too long. */
export async function eventually(look, describe, limitMs = patienceMs) {
  for (const until = Date.now() + limitMs; ; await pause(50)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > until) throw new Error(`Waited ${limitMs / 1000} s in vain: ${describe()}`);
  }
}

/** Starts the command. `chaos` is what `preload.mjs` is told; `HOME` is the working folder, away from the machine's own settings. */
export function startSheaf(args, { cwd, chaos } = {}) {
  const { SHEAF_DATA: _, NODE_OPTIONS: __, XDG_STATE_HOME: ___, XDG_CONFIG_HOME: ____, ...env } = process.env;
  const child = spawn(process.execPath, [command, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd,
    env: {
      ...env,
      NO_COLOR: "1",
      ...(cwd ? { HOME: cwd } : {}),
      ...(chaos ? { NODE_OPTIONS: `--import ${preload}`, SHEAF_CHAOS: JSON.stringify(chaos) } : {}),
    },
  });
  let text = "";
  let hasEnded = false;
  const listeners = new Set();
  const hear = (piece) => {
    text += piece;
    for (const listener of [...listeners]) listener();
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  const ended = new Promise((resolve) => {
    child.on("error", (error) => hear(String(error)));
    child.on("close", (code, signal) => {
      hasEnded = true;
      alive.delete(running);
      resolve({ code, signal });
      hear("");
    });
  });
  const running = {
    said: () => text,
    ended,
    hasEnded: () => hasEnded,
    signal: (name) => child.kill(name),
    async kill() {
      child.kill("SIGKILL");
      return await ended;
    },
    firstOf: (...patterns) =>
      new Promise((resolve, reject) => {
        const settle = (finish, value) => {
          listeners.delete(look);
          clearTimeout(timer);
          finish(value);
        };
        const look = () => {
          const index = patterns.findIndex((pattern) => pattern?.test(text));
          if (index >= 0) settle(resolve, { index, match: text.match(patterns[index]) });
          else if (hasEnded) settle(resolve, { index: -1, match: null });
        };
        const timer = setTimeout(
          () => settle(reject, new Error(`sheaf ${args[0]} did not say ${patterns.join(" or ")}:\n${text}`)),
          patienceMs,
        );
        listeners.add(look);
        look();
      }),
    async until(pattern) {
      const { match } = await running.firstOf(pattern);
      if (!match) throw new Error(`sheaf ${args[0]} ended without ${pattern}:\n${text}`);
      return match;
    },
  };
  alive.add(running);
  return running;
}

/** Runs the command to its end, which must be good; resolves to what it said. */
export async function runSheaf(args, options) {
  const running = startSheaf(args, options);
  const { code, signal } = await running.ended;
  if (code !== 0) throw new Error(`sheaf ${args.join(" ")} ended with ${code ?? signal}:\n${running.said()}`);
  return running.said();
}
