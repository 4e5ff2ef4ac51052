import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chainEvents, emptyHead, type LogEntry, type LogHead, verifyLog } from "./chain.ts";
import type { Event } from "./events.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const events: readonly Event[] = Array.from({ length: 12 }, (_, i) => ({ type: "run.paused", at: i, runId: `r${i}` }));

async function logOf(): Promise<readonly LogEntry[]> {
  const first = await chainEvents(emptyHead, events.slice(0, 5), sha256);
  return [...first, ...(await chainEvents(first.at(-1) as LogHead, events.slice(5), sha256))];
}

describe("the chain", () => {
  it("verifies what was written, in one go or in several, and tells where it ends", async () => {
    const log = await logOf();
    expect(log).toEqual(await chainEvents(emptyHead, events, sha256));
    const head = { sequence: 12, hash: log.at(-1)?.hash };
    expect(await verifyLog(log, sha256)).toEqual({ ok: true, head });
    expect(await verifyLog(log, async (text) => sha256(text), log[7])).toEqual({ ok: true, head });
    expect(await verifyLog([], sha256)).toEqual({ ok: true, head: emptyHead });
  });

  it("survives JSON", async () => {
    expect(await verifyLog(JSON.parse(JSON.stringify(await logOf())), sha256)).toMatchObject({ ok: true });
  });

  it.each<[string, (log: LogEntry[]) => void, number]>([
    ["a changed event", (log) => log.splice(3, 1, { ...(log[3] as LogEntry), event: { type: "run.paused", at: 3, runId: "other" } }), 4],
    ["a missing entry", (log) => log.splice(3, 1), 4],
    ["a missing first entry", (log) => log.splice(0, 1), 1],
    ["two entries in each other's place", (log) => log.splice(3, 2, log[4] as LogEntry, log[3] as LogEntry), 4],
    ["an entry put in", (log) => log.splice(3, 0, log[3] as LogEntry), 5],
    ["a hash made anew", (log) => log.splice(3, 1, { ...(log[3] as LogEntry), hash: sha256("x") }), 4],
  ])("finds %s", async (_, spoil, sequence) => {
    const log = [...(await logOf())];
    spoil(log);
    expect(await verifyLog(log, sha256)).toMatchObject({ ok: false, sequence });
  });

  it("finds a log that was cut off or written anew by a head that was noted", async () => {
    const log = await logOf();
    const noted = log[9] as LogHead;
    expect(await verifyLog(log.slice(0, 6), sha256, noted)).toMatchObject({
      ok: false,
      sequence: 7,
      problem: expect.stringMatching(/end is missing/),
    });
    const forged = await chainEvents(
      emptyHead,
      events.map((event) => ({ ...event, at: 99 })),
      sha256,
    );
    expect(await verifyLog(forged, sha256)).toMatchObject({ ok: true });
    expect(await verifyLog(forged, sha256, noted)).toMatchObject({ ok: false, sequence: 10, problem: expect.stringMatching(/rewritten/) });
  });

  it("is changed by a change of any character", async () => {
    const text = JSON.stringify(await logOf());
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length - 1), fc.constantFrom(..."0a }"), async (place, character) => {
        let spoilt: LogEntry[];
        try {
          spoilt = JSON.parse(text.slice(0, place) + character + text.slice(place + 1));
        } catch {
          return;
        }
        if (JSON.stringify(spoilt) === text) return;
        const result = await verifyLog(spoilt, sha256).catch(() => ({ ok: false }));
        expect(result.ok).toBe(false);
      }),
    );
  });
});
