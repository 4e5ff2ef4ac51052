import { describe, expect, it } from "vitest";
import { xyChart } from "./xyChart.ts";

const chart = (xs: readonly number[]): string =>
  xyChart({
    id: "c",
    title: "accuracy against computation",
    xTitle: "times less",
    yTitle: "accuracy, %",
    xScale: "log",
    printX: (x) => `x${x}`,
    series: [{ label: "series", joined: false, points: xs.map((x) => ({ x, y: 0.5, low: 0.5, high: 0.5, label: "" })) }],
    across: [],
    provenance: "",
  });

/** What the axis below is labelled with. */
const ticks = (svg: string): readonly number[] => [...svg.matchAll(/>x([\d.]+)</g)].map(([, text]) => Number(text));

describe("a logarithmic axis", () => {
  it("has 1, 2 and 5 of each decade", () => {
    expect(ticks(chart([1, 100]))).toEqual(expect.arrayContaining([1, 2, 5, 10, 20, 50, 100]));
  });

  it("has several labels however short it is", () => {
    for (const xs of [
      [12, 17],
      [1.1, 1.3],
      [95, 105],
      [4, 30],
      [0.02, 0.03],
    ]) {
      expect(ticks(chart(xs)).length, String(xs)).toBeGreaterThanOrEqual(3);
    }
  });
});
