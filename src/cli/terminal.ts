/** What the command line writes to: results on stdout, everything said on the way on stderr. */
import pc from "picocolors";
import { canonicalJson } from "../util/json.ts";

export interface Terminal {
  /** Whether `--json` was given: stdout then carries JSON alone. */
  readonly json: boolean;
  /** Whether stderr is a terminal that can be redrawn. */
  readonly live: boolean;
  readonly colors: ReturnType<typeof pc.createColors>;
  /** The result for people; nothing with `--json`. */
  print(text: string): void;
  /** The result for programs; nothing without `--json`. */
  printJson(value: unknown): void;
  /** Something on the way, for people, on stderr; kept quiet with `--json`. */
  note(text: string): void;
}

/** A moment, in milliseconds since 1970, as this machine's clock on the wall shows it: `22:05:09`. */
export const clockTime = (at: number): string => new Date(at).toTimeString().slice(0, 8);

/** A terminal over the process's streams. Colours only where a person sees them (and NO_COLOR is unset). */
export function openTerminal(json: boolean): Terminal {
  // A terminal that says it has no rows would show nothing of a redrawn picture.
  const live = !json && process.stderr.isTTY === true && process.stderr.rows > 0 && process.env.TERM !== "dumb";
  const colored = process.stdout.isTTY === true && pc.isColorSupported;
  return {
    json,
    live,
    colors: pc.createColors(colored),
    print: (text) => {
      if (!json) process.stdout.write(`${text}\n`);
    },
    printJson: (value) => {
      if (json) process.stdout.write(`${canonicalJson(value)}\n`);
    },
    note: (text) => {
      if (!json) process.stderr.write(`${text}\n`);
    },
  };
}
