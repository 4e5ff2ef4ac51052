import { describe, expect, it } from "vitest";
import { SheafError } from "../util/errors.ts";
import { madeUpCentralRun, madeUpReport, withDataFacts } from "./reportData.fixture.ts";
import { parseReportData, type ReportData, totalMacs } from "./reportData.ts";

function sentence(value: unknown): string {
  try {
    parseReportData(value, "runs/1/report.json");
  } catch (error) {
    expect(error).toBeInstanceOf(SheafError);
    expect((error as SheafError).code).toBe("data");
    return (error as SheafError).message;
  }
  throw new Error("was accepted");
}

describe("parseReportData", () => {
  it.each([madeUpReport(), madeUpCentralRun(), withDataFacts(madeUpReport())])("gives back what was written as JSON", (data) => {
    expect(parseReportData(JSON.parse(JSON.stringify(data)))).toEqual(data);
  });

  const whole = madeUpReport();
  const withDevice = (change: object): ReportData => ({ ...whole, devices: [{ ...whole.devices[0]!, ...change }] });
  const withHead = (change: object): ReportData => ({ ...whole, heads: [{ ...whole.heads[4]!, ...change }] });

  it.each([
    ["another version", { ...whole, format: "sheaf-report/0" }, "at format"],
    ["a missing part", { ...whole, target: undefined }, "at target"],
    ["no object", 7, "the top level"],
    ["an accuracy in per cent", withHead({ accuracy: 78.1 }), "at heads.0.accuracy"],
    ["a main head that is not there", { ...whole, heads: whole.heads.slice(0, 2) }, "at mainHead"],
    ["a confusion matrix of another size", withHead({ confusion: [[1]] }), "at heads.0.confusion: is not 10 rows of 10"],
    ["too few classes", withHead({ perClassAccuracy: [0.5] }), "at heads.0.perClassAccuracy: has 1 entries for 10 classes"],
    ["a task outside the classes", withDevice({ taskSet: [10] }), "at devices.0.taskSet"],
    ["a ratio that its own MACs contradict", withDevice({ ratio: 11.8 * 2 }), "at devices.0.ratio"],
    ["holdings of another number of classes", withDevice({ holdings: { own: [1], background: [] } }), "at devices.0.holdings.own: has 1"],
    [
      "counts of another number of classes",
      { ...whole, dataSet: { ...whole.dataSet, counts: { train: [1], test: [1] } } },
      "at dataSet.counts.train: has 1 entries for 10 classes",
    ],
    [
      "a picture that would be fetched",
      {
        ...whole,
        dataSet: {
          ...whole.dataSet,
          samples: {
            kind: "image",
            sampleWidth: 1,
            sampleHeight: 1,
            gap: 1,
            strips: [{ classId: 0, count: 1, image: "https://example.org/a.png" }],
          },
        },
      },
      "at dataSet.samples.strips.0.image",
    ],
    [
      "a segment that ends before it starts",
      withDevice({ timeline: [{ kind: "train", startSeconds: 2, endSeconds: 1 }] }),
      "ends before it starts",
    ],
    ["a point of a curve at no place", { ...whole, curves: [{ id: "a", label: "a", points: [{ loss: 1 }] }] }, "neither epoch nor step"],
    [
      "a loss that is no number",
      { ...whole, curves: [{ id: "a", label: "a", points: [{ step: 1, loss: Number.NaN }] }] },
      "curves.0.points.0.loss",
    ],
  ])("refuses %s in one sentence", (_name, value, evidence) => {
    const text = sentence(value);
    expect(text).toContain("runs/1/report.json");
    expect(text).toContain(evidence);
    expect(text).not.toContain("\n");
  });

  it("drops what it does not know, so that a later writer may add facts", () => {
    expect(parseReportData({ ...whole, moonPhase: "full" })).toEqual(whole);
  });
});

it("totalMacs counts settling when there was some", () => {
  const compute = { trainOwnMacs: 1, trainBackgroundMacs: 2, statisticsMacs: 4 };
  expect(totalMacs(compute)).toBe(7);
  expect(totalMacs({ ...compute, settleMacs: 8 })).toBe(15);
});
