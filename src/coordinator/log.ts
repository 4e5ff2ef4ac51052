/** Structured logs: one JSON object a line. What looks like a secret is struck out here, so that no caller has to think of it. */

export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Access tokens (three parts) and join tokens, wherever they stand in a text. */
const secretPattern = /sheaf1\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|sheafjoin-[A-Za-z0-9_-]+|Bearer\s+\S+/gi;
const secretName = /token|secret|signature|password|authorization|privatekey/i;
const longestValue = 500;

/** A text without secrets and without line ends that would forge another line; cut to a length that a log can bear. */
export function redact(text: string): string {
  return text.replace(secretPattern, "[secret]").slice(0, longestValue);
}

/** A log that hands lines (without line feed) of `least` and above to `write`. */
export function openLog(write: (line: string) => void, nowMs: () => number, least: LogLevel = "info"): Log {
  return (level, message, fields = {}) => {
    if (levels.indexOf(level) < levels.indexOf(least)) return;
    const line: Record<string, string | number | boolean> = { at: new Date(nowMs()).toISOString(), level, message: redact(message) };
    for (const [name, value] of Object.entries(fields)) {
      if (value === undefined) continue;
      line[name] = secretName.test(name) ? "[secret]" : typeof value === "string" ? redact(value) : value;
    }
    write(JSON.stringify(line));
  };
}
