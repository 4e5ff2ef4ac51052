import fc from "fast-check";
import { expect, test } from "vitest";
import { inOrder } from "./inOrder.ts";

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("keeps the order and the limit, whatever takes how long", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), async (delays, limit) => {
      let running = 0;
      let most = 0;
      const got: number[] = [];
      for await (const index of inOrder(delays, limit, async (ms, index) => {
        most = Math.max(most, ++running);
        await after(ms);
        running--;
        return index;
      })) {
        got.push(index);
      }
      expect(got).toEqual(delays.map((_, index) => index));
      expect(most).toBeLessThanOrEqual(limit);
    }),
    { numRuns: 30 },
  );
});

test("does not run ahead of a consumer that takes its time", async () => {
  let started = 0;
  for await (const _ of inOrder(Array(100).keys(), 4, () => Promise.resolve(++started))) {
    await after(1);
    expect(started).toBeLessThanOrEqual(4);
    break;
  }
});

test("yields what comes before a failure, and ends only when nothing is under way any more", async () => {
  let running = 0;
  const got: number[] = [];
  const consume = async (): Promise<void> => {
    for await (const value of inOrder([0, 1, 2, 3], 3, async (item) => {
      running++;
      await after(item === 1 ? 1 : 10);
      running--;
      if (item === 1) throw new Error("one fails");
      return item;
    })) {
      got.push(value);
    }
  };
  await expect(consume()).rejects.toThrow("one fails");
  expect(got).toEqual([0]);
  expect(running).toBe(0);
});
