/** What all commands that write a run directory do alike: where to, with a display, and how they end. */
import { existsSync } from "node:fs";
import type { RunConfig } from "../run/config.ts";
import type { RunOptions } from "../run/options.ts";
import type { Invocation } from "./command.ts";
import type { ProgressDisplay } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Without --out: the first free folder of `runs/NAME`, `runs/NAME-2`, ..., or the last that is taken when a run is resumed. */
function defaultFolder(name: string, resume: boolean): string {
  const path = (i: number): string => (i === 1 ? `runs/${name}` : `runs/${name}-${i}`);
  let free = 1;
  while (existsSync(path(free))) free++;
  return path(resume ? Math.max(1, free - 1) : free);
}

/** A folder's name from network and seed, after what was done with them. */
export function folderName({ target, seed }: RunConfig, what?: string): string {
  return [what, target.network.replace(/[^A-Za-z0-9]+/g, "-"), `seed${seed}`].filter((part) => part !== undefined).join("-");
}

/** Does `work` with a display, and prints its result. `name` is the folder's where no --out is given. */
export async function runInFolder<R>(
  { options, terminal, signal, commandLine }: Invocation,
  config: RunConfig,
  name: string,
  work: (options: RunOptions, display: ProgressDisplay) => Promise<R>,
  print: (terminal: Terminal, result: R) => void,
): Promise<R> {
  const resume = options.resume === true;
  const { openProgress } = await import("./progress.ts");
  const display = openProgress(terminal);
  try {
    const result = await work(
      {
        config,
        out: options.out ?? defaultFolder(name, resume),
        resume,
        ...(options.data === undefined ? {} : { dataDir: options.data }),
        signal,
        commandLine,
        onEvent: (event) => display.show(event),
        dataProgress: display.data,
      },
      display,
    );
    display.close();
    terminal.printJson(result);
    print(terminal, result);
    return result;
  } finally {
    display.close();
  }
}
