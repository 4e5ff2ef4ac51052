import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawTrace } from "./arrivals.ts";
import { formatTrace, parseTrace } from "./trace.ts";

const head = "device,fromSeconds,toSeconds";

describe("a trace", () => {
  it("is read with what is left out filled in", () => {
    const trace = parseTrace(`toSeconds,device,fromSeconds,speed,onPower\n20,ann,10,0.5,\n,ann,30,,false\n# away\n5,bob,0,,\n`, "t.csv");
    expect([...trace.keys()]).toEqual(["ann", "bob"]);
    expect(trace.get("ann")).toEqual([
      { fromMs: 10_000, toMs: 20_000, onPower: true, speed: 0.5 },
      { fromMs: 30_000, toMs: Number.POSITIVE_INFINITY, onPower: false, speed: 1 },
    ]);
  });

  it.each([
    ["device,fromSeconds\nann,0", "line 1: the column toSeconds is missing"],
    [`${head},colour\nann,0,1,red`, 'no column is called "colour"'],
    [`${head}\nann,5,5`, "line 2: toSeconds (5) must come after fromSeconds (5)"],
    [`${head}\nann,x,5`, 'fromSeconds must be a number of at least 0, got "x"'],
    [`${head}\nann,0,5\nann,4,6`, "line 3: device ann is there twice at 4 s"],
    [`${head},speed\nann,0,5,0`, 'speed must be a number above 0, got "0"'],
    [`${head}\nan n,0,5`, "device must be"],
    [`${head}\n`, "there is no device"],
    [`${head}\nann,0,5,7`, "4 values for 3 columns"],
  ])("is refused for %j", (text, sentence) => {
    expect(() => parseTrace(text, "t.csv")).toThrow(sentence);
  });

  it("comes back as it was written, whatever was drawn", () => {
    const sessions = fc.oneof(
      fc.constant({ type: "always" } as const),
      fc.constant({ type: "nights" } as const),
      fc.record({
        type: fc.constant("exponential" as const),
        onHours: fc.integer({ min: 1, max: 9 }),
        offHours: fc.integer({ min: 1, max: 9 }),
      }),
    );
    const arrivals = fc.constantFrom({ type: "allAtOnce" } as const, { type: "poisson", perHour: 3 } as const);
    fc.assert(
      fc.property(fc.integer(), sessions, arrivals, fc.double({ min: 0, max: 1, noNaN: true }), (seed, stay, come, share) => {
        const options = { seed, arrivals: come, sessions: stay, losses: { share, hours: 20 }, untilMs: 72 * 3_600_000 };
        const drawn = drawTrace(["a", "b", "c"], options);
        expect(drawTrace(["a", "b", "c"], options)).toEqual(drawn);
        // A device that never comes has no line.
        const there = new Map([...drawn].filter(([, intervals]) => intervals.length > 0));
        if (there.size > 0) expect(parseTrace(formatTrace(there), "drawn")).toEqual(there);
      }),
      { numRuns: 40 },
    );
  });
});
