/** Streams of events: each event once and in order, over as many connections as it takes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openClient } from "./client.ts";
import { readEvents, readLines, writeEvent } from "./eventStream.ts";
import type { WatchEvent } from "./operatorMessages.ts";
import { backoffMs, defaultTiming, sleep } from "./retry.ts";

const encoder = new TextEncoder();

/** Bytes in pieces cut at random places. */
async function* inPieces(text: string, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = encoder.encode(text);
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    yield bytes.slice(from, to);
    from = to;
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const cuts = fc.array(fc.nat(), { maxLength: 8 });

describe("event streams", () => {
  it("read what is written, wherever it is cut into pieces", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: "grapheme" }).map((s) => s.replace(/\r/g, "")),
          { maxLength: 5 },
        ),
        cuts,
        async (texts, places) => {
          const text = texts.map((data, i) => `: comment\n${writeEvent(i, data)}`).join("");
          expect(await all(readEvents(inPieces(text, places)))).toEqual(texts.map((data, i) => ({ id: String(i), data })));
        },
      ),
    );
  });

  it("take every end of line, and nothing that was cut off", async () => {
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const text = "id:7\r\ndata: a\r\n\r\ndata:b\rdata: c\r\rretry: 3\n\nid: 8\ndata: cut off\n";
        expect(await all(readEvents(inPieces(text, places)))).toEqual([
          { id: "7", data: "a" },
          { id: "7", data: "b\nc" },
        ]);
        expect(await all(readLines(inPieces("a\r\nb\n\nc\rd", places)))).toEqual(["a", "b", "", "c"]);
      }),
    );
  });

  it("are never held without end", async () => {
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield encoder.encode(`data: ${"x".repeat(1e6)}\n`);
    }
    await expect(all(readEvents(endless()))).rejects.toThrow("longer than");
  });
});

describe("watching", () => {
  const event = (sequence: number): WatchEvent => ({ sequence, at: 5, type: "lease.completed", data: { n: sequence } });

  it("gives each event once and in order, wherever connections break", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.array(fc.nat({ max: 400 }), { maxLength: 5 }), async (count, breaks) => {
        const asked: string[] = [];
        const client = openClient({
          url: "http://localhost",
          credentials: { type: "token", token: "viewer-token" },
          timing: { sleep: async () => {}, attempts: 20 },
          fetch: async (_, init) => {
            const last = Number(init.headers["last-event-id"] ?? "0");
            asked.push(String(last));
            if (last >= count) return new Response(null, { status: 204 });
            // An event that was seen comes again, as from a careless proxy.
            const from = Math.max(1, last);
            const text = Array.from({ length: count - from + 1 }, (_, i) => writeEvent(from + i, JSON.stringify(event(from + i)))).join("");
            return new Response(text.slice(0, breaks.shift() ?? text.length));
          },
        });
        expect(await all(client.watch("run-1"))).toEqual(Array.from({ length: count }, (_, i) => event(i + 1)));
      }),
      { numRuns: 60 },
    );
  });

  it("ends with an error when the run is not there, and can be left at any time", async () => {
    let left = false;
    const client = openClient({
      url: "http://localhost",
      credentials: { type: "none" },
      silenceMs: 100,
      timing: { sleep: async () => {} },
      fetch: async (url) => {
        if (url.includes("missing")) return new Response("", { status: 404 });
        return new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(encoder.encode(writeEvent(1, JSON.stringify(event(1))))),
            cancel: () => {
              left = true;
            },
          }),
        );
      },
    });
    await expect(all(client.watch("missing"))).rejects.toMatchObject({ protocolCode: "notFound" });
    for await (const { sequence } of client.watch("run-1")) {
      expect(sequence).toBe(1);
      break;
    }
    expect(left).toBe(true);
    expect(await all(client.lines("audit", {})).catch((error) => error.code)).toBe("unavailable");
  });
});

describe("waits", () => {
  it("grow to a limit, are spread from zero, and keep to Retry-After", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.option(fc.nat()),
        (failures, draw, after) => {
          const timing = { ...defaultTiming, random: () => draw };
          const wait = backoffMs(failures, timing, after ?? undefined);
          const least = Math.min(after ?? 0, 3_600_000);
          expect(wait).toBeGreaterThanOrEqual(least);
          expect(wait - least).toBeLessThanOrEqual(Math.min(timing.capMs, timing.baseMs * 2 ** (failures - 1)));
        },
      ),
    );
  });

  it("end when they are aborted", async () => {
    await sleep(1);
    const controller = new AbortController();
    const wait = sleep(60_000, controller.signal);
    controller.abort();
    await expect(wait).rejects.toMatchObject({ code: "interrupted" });
    await expect(sleep(60_000, controller.signal)).rejects.toMatchObject({ code: "interrupted" });
  });
});
