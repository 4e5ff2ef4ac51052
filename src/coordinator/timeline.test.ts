import fc from "fast-check";
import { expect, it } from "vitest";
import { emptyTimeline } from "./timeline.ts";

const key = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.constantFrom("a", "b", "c", "d"));
const change = fc.record({ add: fc.boolean(), key });

it("is what a sorted list would be, and leaves earlier ones as they were", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      let timeline = emptyTimeline;
      let list: readonly (readonly [number, string])[] = [];
      const history: [typeof timeline, typeof list][] = [];
      for (const {
        add,
        key: [at, name],
      } of changes) {
        const rest = list.filter(([a, n]) => a !== at || n !== name);
        timeline = add ? timeline.add(at, name) : timeline.remove(at, name);
        list = (add ? [...rest, [at, name] as const] : rest).sort(([a, m], [b, n]) => a - b || (m < n ? -1 : 1));
        history.push([timeline, list]);
      }
      for (const [made, expected] of history) {
        expect([...made]).toEqual(expected);
        expect(JSON.parse(JSON.stringify(made))).toEqual(expected);
        expect(made.size).toBe(expected.length);
        for (const [at, name] of expected) expect(made.has(at, name)).toBe(true);
      }
    }),
  );
});

it("keeps a thousand in order, however they came", () => {
  const timeline = Array.from({ length: 1000 }, (_, i) => i).reduce((made, i) => made.add((i * 7919) % 1000, `n${i}`), emptyTimeline);
  expect([...timeline].map(([at]) => at)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
});
