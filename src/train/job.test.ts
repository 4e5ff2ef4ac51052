import { describe, expect, it } from "vitest";
import { toyJob } from "../../test/fixtures/toyJob.ts";
import { checkJob, logitOffsets } from "./job.ts";

describe("logit adjustment", () => {
  it("follows its labels, one sample more each, so that none is infinite", () => {
    expect(logitOffsets([0, 0, 0, 0, 0, 1, 1, 2], 4, 1)).toEqual([6, 3, 2, 1].map((count) => Math.log(count / 12)));
    expect(logitOffsets([0, 0, 0, 0, 0, 1, 1, 2], 3, 0.5)[0]).toBeCloseTo(0.5 * Math.log(6 / 11), 12);
  });

  it("is refused out of range", () => {
    expect(() => checkJob(toyJob({}, { logitAdjustment: -1 }))).toThrow(/logitAdjustment must lie between 0 and 10, got -1/);
    expect(() => checkJob(toyJob({}, { logitAdjustment: 1 }))).not.toThrow();
  });
});
