/** Reads lines and server-sent events (WHATWG HTML, section 9.2) from pieces of bytes. Knows nothing of what they mean. */
import { ConnectionFailure } from "./retry.ts";

/** One event; the last id that the stream named holds until it names another. */
export interface ServerSentEvent {
  readonly id: string | undefined;
  readonly data: string;
}

/** Longest event that is read, in characters. */
const maximumEventLength = 2 ** 22;

/** Lines without their ends, which are CR, LF or both. What follows the last end is no line. */
export async function* readLines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of pieces) {
    rest += decoder.decode(piece, { stream: true });
    // A carriage return at the very end may be half of a line's end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length > maximumEventLength) throw new ConnectionFailure(`A line is longer than ${maximumEventLength} characters.`);
  }
  if (rest.endsWith("\r")) yield rest.slice(0, -1);
}

/** Events in order. What is not followed by an empty line was cut off and is not an event. */
export async function* readEvents(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent, void, undefined> {
  let id: string | undefined;
  let data: string[] = [];
  let length = 0;
  for await (const line of readLines(pieces)) {
    if (line === "") {
      if (data.length > 0) yield { id, data: data.join("\n") };
      data = [];
      length = 0;
      continue;
    }
    length += line.length;
    if (length > maximumEventLength) throw new ConnectionFailure(`An event is longer than ${maximumEventLength} characters.`);
    const [, name = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === "data") data.push(value);
    if (name === "id") id = value;
  }
}

/** An event as the server writes it. */
export function writeEvent(id: number, data: string): string {
  return `id: ${id}\n${data
    .split("\n")
    .map((line) => `data: ${line}\n`)
    .join("")}\n`;
}
