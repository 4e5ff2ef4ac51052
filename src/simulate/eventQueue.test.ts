import fc from "fast-check";
import { expect, it } from "vitest";
import { openEventQueue } from "./eventQueue.ts";

it("gives what was asked for in the order of time, and of asking at the same time", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 200 }), (times) => {
      const queue = openEventQueue<number>();
      for (const [i, time] of times.entries()) queue.push(time, i);
      const expected = times.map((time, i) => ({ time, i })).sort((a, b) => a.time - b.time || a.i - b.i);
      for (const { time, i } of expected) expect(queue.pop()).toMatchObject({ atMs: time, item: i });
      expect(queue.pop()).toBeUndefined();
    }),
  );
});
