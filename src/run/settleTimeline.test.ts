import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";
import { settleOrder } from "./settlePlan.ts";
import { settleTimeline } from "./settleTimeline.ts";

/** One byte a second; a pass of a computes 10 s, of b 20 s. */
const devices = [
  { id: "a", macsPerSecond: 1, bandwidthBitsPerSecond: 8, settleMacs: 20, weightBytes: 3 },
  { id: "b", macsPerSecond: 2, bandwidthBitsPerSecond: 8, settleMacs: 80, weightBytes: 5 },
];

describe("settle passes on the virtual clock", () => {
  it("follow one another in turn", () => {
    const config = parseConfig({ settle: { passes: 2 } });
    const { segments, endSeconds, bytesDown, bytesUp } = settleTimeline(config, devices, 100);
    // A turn of a: 5 down, 10, 3 up; of b: 3 down, 20, 5 up.
    expect(endSeconds).toBe(100 + 2 * (18 + 28));
    expect([bytesDown, bytesUp]).toEqual([
      [10, 6],
      [6, 10],
    ]);
    const [first] = settleOrder(config, ["a", "b"], 1);
    expect(segments[first === "a" ? 0 : 1]?.[0]?.startSeconds).toBe(100);
    expect(segments[first === "a" ? 1 : 0]?.[0]?.startSeconds).toBe(first === "a" ? 118 : 128);
  });

  it("start side by side when together, and leave out who skips", () => {
    const config = parseConfig({ settle: { passes: 2, order: "together", skip: { b: [1] } } });
    const { segments, endSeconds, bytesDown } = settleTimeline(config, [devices[0]!, { ...devices[1]!, settleMacs: 40 }], 0);
    expect(segments[0]?.map(({ startSeconds }) => startSeconds)).toEqual([0, 5, 15, 18, 23, 33]);
    expect(segments[1]?.map(({ startSeconds }) => startSeconds)).toEqual([18, 21, 41]);
    expect(endSeconds).toBe(46);
    expect(bytesDown).toEqual([10, 3]);
  });

  it("take no time when there are none", () => {
    expect(settleTimeline(parseConfig({}), devices, 7)).toEqual({ segments: [[], []], bytesDown: [0, 0], bytesUp: [0, 0], endSeconds: 7 });
  });
});
