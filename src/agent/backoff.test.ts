import { describe, expect, it } from "vitest";
import { ProtocolError } from "../protocol/errors.ts";
import { ConnectionFailure, defaultTiming, type Timing } from "../protocol/retry.ts";
import { SheafError } from "../util/errors.ts";
import { persist } from "./backoff.ts";

/** A clock that runs at once and notes the waits; more than a hundred waits are a loop that does not end. */
function timingOf(random: number): { timing: Timing; waits: number[] } {
  const waits: number[] = [];
  const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    waits.push(ms);
    if (waits.length > 100) throw new Error("waits for ever");
    if (signal?.aborted) throw new SheafError("interrupted", "stopped");
  };
  return { waits, timing: { ...defaultTiming, attempts: 1, baseMs: 100, capMs: 3000, sleep, random: () => random } };
}

describe("persist", () => {
  it("goes on as long as it takes, with waits that grow to the cap, and at least as long as it is told", async () => {
    const { waits, timing } = timingOf(1);
    const cut = Array.from({ length: 8 }, () => new ConnectionFailure("cut"));
    const failures = [...cut, new ProtocolError("rateLimited", "slow", { retryAfterMs: 7000 })];
    let calls = 0;
    const retried: unknown[] = [];
    const result = await persist(
      async () => {
        const failure = failures[calls++];
        if (failure) throw failure;
        return "done";
      },
      { timing, signal: new AbortController().signal, onRetry: (error) => retried.push(error) },
    );
    expect(result).toBe("done");
    expect(waits).toEqual([100, 200, 400, 800, 1600, 3000, 3000, 3000, 10_000]);
    expect(retried).toEqual(failures);
  });

  it.each([new ProtocolError("leaseLost", "gone"), new ProtocolError("revoked", "out"), new SheafError("storage", "full")])(
    "throws at once what time does not mend: %s",
    async (error) => {
      const { waits, timing } = timingOf(0);
      await expect(persist(() => Promise.reject(error), { timing, signal: new AbortController().signal })).rejects.toBe(error);
      expect(waits).toEqual([]);
    },
  );

  it("ends when it is aborted while it waits", async () => {
    const controller = new AbortController();
    const { waits, timing } = timingOf(0);
    let calls = 0;
    const call = async (): Promise<never> => {
      calls++;
      queueMicrotask(() => controller.abort());
      throw new ConnectionFailure("cut");
    };
    await expect(persist(call, { timing, signal: controller.signal })).rejects.toThrow(/cut|stopped/);
    expect(calls).toBe(1);
    expect(waits.length).toBeLessThan(2);
  });
});
