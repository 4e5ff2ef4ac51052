import { XMLValidator } from "fast-xml-parser";
import { describe, expect, it } from "vitest";
import { headline } from "./headline.ts";
import { type InspectData, renderInspection } from "./inspectPage.ts";
import { renderReport } from "./page.ts";
import { madeUpCentralRun, madeUpReport, withDataFacts } from "./reportData.fixture.ts";
import type { ReportData } from "./reportData.ts";

const plain = (text: string): string => text.replaceAll("\u00a0", " ");
const sections = (html: string): string[] => [...html.matchAll(/<section id="([\w-]+)"/g)].map((match) => match[1]!);

function expectSound(html: string): void {
  expect(html.startsWith('<!doctype html>\n<html lang="en">')).toBe(true);
  expect(XMLValidator.validate(html.replace("<!doctype html>\n", ""))).toBe(true);
  const ids = [...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, list = ""] of html.matchAll(/aria-labelledby="([^"]+)"/g)) for (const id of list.split(" ")) expect(ids).toContain(id);
  // Nothing is fetched and nothing runs: no address in any attribute but the SVG namespace, none in the style sheet, no script.
  const attributes = [...html.matchAll(/<[a-z][^>]*>/g)]
    .map((match) => match[0].replaceAll('xmlns="http://www.w3.org/2000/svg"', ""))
    .join("\n");
  expect(attributes).not.toMatch(/https?:|\ssrc=|\shref=|\son[a-z]+=|srcset|javascript:/);
  expect(html).not.toMatch(/url\(|@import|<script|<link|<iframe|<img|<object/);
  expect(html).not.toMatch(/NaN|undefined|\[object/);
}

describe("renderReport", () => {
  const data = madeUpReport();
  const html = renderReport(data);

  it("is one sound page, the same each time", () => {
    expectSound(html);
    expect(renderReport(madeUpReport())).toBe(html);
  });

  it("has every section when the data is there", () => {
    expect(sections(html)).toEqual([
      "accuracy",
      "compute",
      "per-class",
      "confusion",
      "plan",
      "timeline",
      "curves",
      "bytes",
      "how-to-read",
      "provenance",
    ]);
  });

  it("shows samples, counts and holdings of runs that know them, as pictures that it holds itself", () => {
    const told = withDataFacts(madeUpReport());
    const page = renderReport(told);
    expect(sections(page)).toEqual([...sections(html).slice(0, 4), "data", ...sections(html).slice(4)]);
    const pictures = [...page.matchAll(/<img src="(data:image\/png;base64,[^"]+)" alt="([^"]+)"/g)];
    expect(pictures.map(([, , alt]) => alt)).toEqual(told.dataSet.classes.map((name) => `3 samples of ${name}`));
    expectSound(page.replaceAll(/<img [^>]*>/g, ""));
    expect(page).toContain("img-src data:");
    const text = plain(page);
    for (const fact of ["What each device holds", "Samples of each class", "validation", "4,001"]) expect(text).toContain(fact);
    const central = withDataFacts(madeUpCentralRun());
    expect(sections(renderReport(central))).toContain("data");
    expect(renderReport(central)).not.toContain("What each device holds");
  });

  it("says the result, and where it comes from", () => {
    const text = plain(html);
    const central = data.heads[0]!;
    const main = data.heads[4]!;
    expect(text).toContain(
      `H2 reaches ${(100 * main.accuracy).toFixed(1)} % against ${(100 * central.accuracy).toFixed(1)} % of central training`,
    );
    for (const fact of [
      data.command,
      data.commit,
      data.machine.cpu,
      data.dataSet.source,
      data.dataSet.note,
      data.model?.sha256,
      "9,230,000",
      "Node 20.20.0",
      "onnxruntime-node 1.30.0",
    ])
      expect(text).toContain(fact);
    for (const device of data.devices) {
      expect(text).toContain(device.id);
      expect(text).toContain(device.bytesUp.toLocaleString("en"));
    }
  });

  it("every chart has its numbers in a table", () => {
    for (const part of html.split("<section ").slice(1)) {
      const id = /^id="([\w-]+)"/.exec(part)?.[1];
      if (part.includes("<svg")) expect(part, id).toMatch(/<summary>Numbers<\/summary>.*<table>/s);
    }
  });

  it("of the central control alone leaves out all that is about devices", () => {
    const central = renderReport(madeUpCentralRun());
    expectSound(central);
    expect(sections(central)).toEqual(["per-class", "confusion", "curves", "how-to-read", "provenance"]);
    expect(central).not.toMatch(/Compute ratio|rho|Virtual clock|H2/);
  });

  it("of the least there can be is still a page", () => {
    const { date: _date, commit: _commit, model: _model, ...rest } = madeUpCentralRun();
    const { perClassAccuracy: _perClass, confusion: _confusion, ...head } = rest.heads[0]!;
    const least = renderReport({ ...rest, heads: [head], curves: [] });
    expectSound(least);
    expect(sections(least)).toEqual(["how-to-read", "provenance"]);
  });

  it("shows hostile names as text", () => {
    const classes = data.dataSet.classes.map((name, id) =>
      id === 0 ? "<script>alert(1)</script>" : id === 1 ? `"><img src=x onerror=y>` : name,
    );
    const hostile: ReportData = {
      ...madeUpReport({ classes }),
      title: "</title><script>1</script>",
      command: "</code><iframe>",
      mainHead: "H0",
    };
    const page = renderReport({
      ...hostile,
      devices: hostile.devices.map((device) => ({ ...device, id: `<b>${device.id}`, statusNote: "</table>" })),
    });
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(page).not.toMatch(/<script|<iframe|<img|<b>/);
    expect(XMLValidator.validate(page.replace("<!doctype html>\n", ""))).toBe(true);
    const told = renderReport(
      withDataFacts({ ...hostile, devices: hostile.devices.map((device) => ({ ...device, id: `<b>${device.id}` })) }),
    );
    expect(told).not.toMatch(/<script|<iframe|<img src="?x|<b>/);
    expect(XMLValidator.validate(told.replace("<!doctype html>\n", ""))).toBe(true);
  });

  it("lists the most frequent confusions of a hundred classes, and stays of moderate size", () => {
    const many = renderReport(madeUpReport({ devices: 30, classes: Array.from({ length: 100 }, (_, id) => `class ${id}`) }));
    expectSound(many);
    expect(many).toContain("The 20 most frequent confusions");
    expect(many.length).toBeLessThan(1_500_000);
  });
});

describe("headline", () => {
  const data = madeUpReport();
  const head = (id: "central" | "H2", accuracy: number) => ({ id, label: id, accuracy, parameters: 1 });
  const computeRatio = { min: 11.3, median: 12, max: 14 };

  it.each<[string, Partial<ReportData>]>([
    ["H2 reaches 78.1 % against 84.0 % of central training on 10,000 test samples, each device computing 11.3 to 14.0 times less.", {}],
    ["H2 reaches 78.1 % on 10,000 test samples, each device computing 11.3 to 14.0 times less.", { heads: [head("H2", 0.781)] }],
    ["Central training reaches 84.0 % on 10,000 test samples.", { mainHead: "central", devices: [] }],
    [
      "H2 reaches 78.1 % against 84.0 % of central training on 10,000 test samples, each device computing 11.3 times less.",
      { computeRatio: { min: 11.3, median: 11.3, max: 11.32 } },
    ],
    [
      "H2 reaches 78.1 % against 84.0 % of central training on 10,000 test samples, at a compute ratio of 0.8 to 1.4.",
      { computeRatio: { min: 0.8, median: 1, max: 1.4 } },
    ],
  ])("%s", (expected, change) => {
    expect(plain(headline({ ...data, heads: [head("central", 0.84), head("H2", 0.781)], computeRatio, ...change }))).toBe(expected);
  });
});

describe("renderInspection", () => {
  const { dataSet, devices } = withDataFacts(madeUpReport());
  const data: InspectData = {
    sheafVersion: "0.1.0",
    dataSet,
    sha256: "ab".repeat(32),
    skipped: { count: 7, first: [{ where: "a<b.png", reason: "a<b.png is no image." }] },
    partition: "byClass, overlap share",
    devices: devices.map(({ id, profile, holdings }) => ({ id, profile, holdings: holdings! })),
  };

  it("is one sound page that says what was left out", () => {
    const html = renderInspection(data);
    expectSound(html.replaceAll(/<img [^>]*>/g, ""));
    expect(plain(html)).toContain("10 classes \u00b7 20,000 training, 45 validation, 10,045 test samples");
    expect(html).toContain("7, the first: a&lt;b.png is no image.");
    expect(html).toContain("partition byClass, overlap share");
    expect(renderInspection(data)).toBe(html);
  });

  it("without a plan says why and shows the rest", () => {
    const html = renderInspection({ ...data, devices: [], noPlan: "too few classes" });
    expectSound(html.replaceAll(/<img [^>]*>/g, ""));
    expect(plain(html)).toContain("no plan: too few classes");
    expect(html).toContain("Samples of each class");
    expect(html).not.toContain("What each device holds");
  });
});
