import { XMLParser, XMLValidator } from "fast-xml-parser";
import { describe, expect, it } from "vitest";
import { madeUpCentralRun, madeUpReport, withDataFacts } from "../reportData.fixture.ts";
import type { ReportData } from "../reportData.ts";
import { accuracyChart } from "./accuracyChart.ts";
import { bytesChart } from "./bytesChart.ts";
import { chartFile } from "./chartFile.ts";
import { computeChart } from "./computeChart.ts";
import { confusionChart } from "./confusionChart.ts";
import { countsChart } from "./countsChart.ts";
import { curvesChart } from "./curvesChart.ts";
import { type ChartOptions, fitText, legend, narrowWidth, textWidth, tiers, wideWidth } from "./frame.ts";
import { holdingsChart } from "./holdingsChart.ts";
import { perClassChart } from "./perClassChart.ts";
import { planChart } from "./planChart.ts";
import { samplesChart } from "./samplesChart.ts";
import { settleChart } from "./settleChart.ts";
import { timelineChart } from "./timelineChart.ts";

const madeUpPasses = Array.from({ length: 4 }, (_, pass) => ({ pass, H0: 0.78 + 0.005 * pass, H2: 0.79 + 0.003 * pass, skipped: [] }));

const charts: Readonly<Record<string, (data: ReportData, options: ChartOptions) => string>> = {
  accuracyChart,
  bytesChart,
  computeChart,
  confusionChart: (data, options) => confusionChart(data, data.heads.find((head) => head.id === data.mainHead)!, options),
  countsChart: (data, options) => countsChart(withDataFacts(data).dataSet, options),
  curvesChart,
  holdingsChart: (data, options) => holdingsChart(data.dataSet.classes, withDataFacts(data).devices, options),
  perClassChart,
  planChart,
  samplesChart: (data) => samplesChart(data.dataSet.classes, withDataFacts(data).dataSet.samples!),
  settleChart: (data, options) => settleChart({ ...data, settlePasses: madeUpPasses }, options),
  timelineChart,
};

const hostileNames: readonly string[] = [
  "<script>alert(1)</script>",
  "a&b",
  '"quoted"',
  "]]>",
  "x\u0000y",
  "日本語のとても長いクラスの名前",
  "a very long class name that goes on and on",
  "'",
  "`|*",
  "</title></svg>",
];
const hundred = Array.from({ length: 100 }, (_, id) => `class number ${id}`);

const runs: readonly (readonly [string, ReportData])[] = [
  ["five devices", madeUpReport()],
  ["thirty devices and a hundred classes", madeUpReport({ devices: 30, classes: hundred })],
  ["one device and one class", madeUpReport({ devices: 1, classes: ["only"] })],
  ["hostile names", madeUpReport({ classes: hostileNames })],
];

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** All elements of a name, with their attributes, wherever they are. */
function elements(svg: string, name: string): Record<string, string>[] {
  const found: Record<string, string>[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const each of node) visit(each);
      return;
    }
    if (typeof node !== "object" || node === null) return;
    const { ":@": attributes, ...rest } = node as Record<string, unknown>;
    for (const [key, children] of Object.entries(rest)) {
      if (key === name) found.push((attributes ?? {}) as Record<string, string>);
      visit(children);
    }
  };
  visit(new XMLParser({ preserveOrder: true, ignoreAttributes: false, attributeNamePrefix: "" }).parse(svg));
  return found;
}

function rectangles(svg: string): Box[] {
  return elements(svg, "rect").map(({ x, y, width, height }) => ({
    x: Number(x),
    y: Number(y),
    width: Number(width),
    height: Number(height),
  }));
}

describe.each(Object.entries(charts))("%s", (_name, draw) => {
  describe.each(runs)("of %s", (_run, data) => {
    it.each([wideWidth, narrowWidth])("at width %d is a well-formed, named, deterministic image", (width) => {
      const svg = draw(data, { width });
      expect(XMLValidator.validate(svg)).toBe(true);
      expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" .*role="img"/);
      expect(svg).toMatch(/<title id="[\w-]+">[^<]+<\/title><desc id="[\w-]+">[^<]+<\/desc>/);
      expect(svg).not.toMatch(/NaN|Infinity|undefined|null|<script/);
      expect(draw(data, { width })).toBe(svg);
    });

    it.each([wideWidth, narrowWidth])("at width %d keeps every bar and cell inside the picture", (width) => {
      const svg = draw(data, { width });
      const [, right = 0, bottom = 0] = (/viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? []).map(Number);
      for (const box of rectangles(svg)) {
        expect(box.width).toBeGreaterThanOrEqual(0);
        expect(box.x).toBeGreaterThanOrEqual(0);
        expect(box.y).toBeGreaterThanOrEqual(0);
        // A segment too short to be seen is drawn two pixels wide, also at the very end.
        expect(box.x + box.width).toBeLessThanOrEqual(right + 2);
        expect(box.y + box.height).toBeLessThanOrEqual(bottom);
      }
    });
  });
});

describe("what the charts say", () => {
  const data = madeUpReport();

  it("bars of the compute ratio are as long as their numbers", () => {
    const svg = computeChart(data);
    const bars = rectangles(svg);
    expect(bars).toHaveLength(data.devices.length);
    const perUnit = bars[0]!.width / data.devices[0]!.ratio;
    bars.forEach((bar, index) => void expect(bar.width / perUnit).toBeCloseTo(data.devices[index]!.ratio, 1));
    expect(svg).toContain("promise 11.8");
    expect(svg).toContain(`median ${data.computeRatio!.median.toFixed(1)}`);
  });

  it("a mark for each settle pass and head, and the control's line", () => {
    const svg = settleChart({ ...data, settlePasses: madeUpPasses });
    expect(svg.match(/class="mark f-h0"/g)).toHaveLength(madeUpPasses.length + 1);
    expect(svg).toContain("H2 after pass 3: 79.9");
    expect(svg).toContain('class="reference"');
    expect(settleChart(data)).toBe("");
  });

  it("the confusion matrix prints its counts and draws no empty cell", () => {
    const head = data.heads[4]!;
    const svg = confusionChart(data, head);
    const filled = head.confusion!.flat().filter((value) => value > 0);
    expect(elements(svg, "rect")).toHaveLength(filled.length + 1);
    for (const value of filled) expect(svg).toContain(`>${value}</text>`);
  });

  it("cells of a hundred classes keep a size that can be read", () => {
    const many = madeUpReport({ classes: hundred });
    const svg = confusionChart(many, many.heads[4]!, { width: narrowWidth });
    expect(svg).toContain('class="chart fixed"');
    expect(Math.min(...rectangles(svg).map((box) => box.height))).toBeGreaterThanOrEqual(10);
    expect(svg).toContain(">class number 99</text>");
  });

  it("a device that was lost owns its classes with a dashed frame and is not counted as an owner", () => {
    const devices = data.devices.map((device, index) => (index === 0 ? { ...device, status: "lost" as const } : device));
    const svg = planChart({ ...data, devices });
    expect(svg.match(/class="hollow"/g)).toHaveLength(2);
    expect(svg).toMatch(/>0<\/text>/);
    expect(planChart(data)).not.toMatch(/>0<\/text>|hollow/);
  });

  it("classes are sorted by the main head", () => {
    const svg = perClassChart(data);
    const accuracies = data.heads[4]!.perClassAccuracy!;
    const order = data.dataSet.classes.map((name, id) => ({ name, value: accuracies[id] ?? 0 })).sort((a, b) => b.value - a.value);
    const places = order.map((each) => svg.indexOf(`>${each.name}</text>`));
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  it("a class without test samples has no mark and no number", () => {
    const heads = data.heads.map((head) => ({
      ...head,
      perClassAccuracy: head.perClassAccuracy!.map((value, id) => (id === 3 ? null : value)),
    }));
    const svg = perClassChart({ ...data, heads });
    expect(svg).toContain(">–</text>");
    expect(svg).not.toContain("cat, H2");
  });

  it("curves by step are drawn when a series has no epochs, and long ones are thinned", () => {
    const points = Array.from({ length: 5000 }, (_, step) => ({ step, loss: 1 / (step + 1) }));
    const svg = curvesChart({ curves: [{ id: "a", label: "a", points }] });
    expect(svg).toContain(">step</text>");
    expect(svg.length).toBeLessThan(12_000);
    expect(svg).not.toContain("accuracy, %");
  });

  it("a curve of one point, a loss of zero and equal values are no trouble", () => {
    const svg = curvesChart({ curves: [{ id: "a", label: "a", points: [{ epoch: 1, loss: 0, accuracy: 1 }] }] });
    expect(XMLValidator.validate(svg)).toBe(true);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it("lengths of the bars of a class are in proportion to its samples", () => {
    const { dataSet } = withDataFacts(data);
    const bars = rectangles(countsChart(dataSet)).filter(({ height }) => height === 16);
    // Three parts, but class 0 has no validation sample.
    expect(bars).toHaveLength(3 * dataSet.classes.length - 1);
    expect(bars[0]!.width / bars[1]!.width).toBeCloseTo(2, 1);
    const standing = countsChart(withDataFacts(madeUpReport({ classes: hundred })).dataSet);
    expect(standing).toContain("class number 99: 2,099 training samples");
    expect(standing).toContain('class="chart fixed"');
  });

  it("what devices hold stands in the cells, own and background apart", () => {
    const { devices } = withDataFacts(data);
    const svg = holdingsChart(data.dataSet.classes, devices);
    const [first] = devices;
    const cells = devices.flatMap(({ holdings }) => [...holdings!.own, ...holdings!.background]).filter((held) => held > 0);
    expect(svg.match(/fill-opacity/g)).toHaveLength(cells.length);
    expect(svg).toContain(`${first!.id}: 2,000 own samples of airplane`);
    expect(svg).toContain(`${first!.id}: 500 background (\u201cother\u201d) of bird`);
    // Two classes are its own, eight are not.
    expect(svg).toContain(`${first!.id}: 4,001 own, 4,000 background`);
    const [own, background] = [/class="f-own" fill-opacity="([\d.]+)"/, /class="f-background" fill-opacity="([\d.]+)"/].map((pattern) =>
      Number(pattern.exec(svg)?.[1]),
    );
    expect(own).toBeGreaterThan(background!);
    // A phone's cells are too narrow for numbers: the tooltips have them.
    expect(holdingsChart(data.dataSet.classes, devices, { width: narrowWidth })).not.toContain(">2,000</text>");
  });

  it("a chart in a file of its own has a ground, light and dark rules and no variable", () => {
    const svg = chartFile(holdingsChart(data.dataSet.classes, withDataFacts(data).devices));
    expect(XMLValidator.validate(svg)).toBe(true);
    expect(svg).not.toContain("var(");
    expect(svg).toContain("@media (prefers-color-scheme:dark)");
    expect(svg).toMatch(/viewBox="-16 -16 912 \d+" width="912"/);
    expect(svg.indexOf("</desc>")).toBeLessThan(svg.indexOf("<style>"));
    expect(chartFile(svg, "light").match(/prefers-color-scheme/g)).toHaveLength(1);
  });

  it("nothing to draw is the empty string", () => {
    expect(countsChart(data.dataSet)).toBe("");
    expect(holdingsChart(data.dataSet.classes, data.devices)).toBe("");
    const central = madeUpCentralRun();
    expect(curvesChart({ curves: [{ id: "a", label: "a", points: [] }] })).toBe("");
    expect(timelineChart(central)).toBe("");
    const { perClassAccuracy: _perClass, confusion: _confusion, ...bare } = central.heads[0]!;
    expect(perClassChart({ ...central, heads: [bare] })).toBe("");
    expect(confusionChart(central, bare)).toBe("");
  });
});

describe("frame", () => {
  it("fitText shortens only what does not fit", () => {
    expect(fitText("cat", 100)).toBe("cat");
    const short = fitText("a very long class name", 60);
    expect(short.endsWith("…")).toBe(true);
    expect(textWidth(short)).toBeLessThanOrEqual(60);
  });

  it("tiers keeps labels of one tier apart", () => {
    const items = [10, 12, 14, 200, 205].map((centre) => ({ centre, width: 30 }));
    const tier = tiers(items);
    items.forEach((a, i) => {
      items.forEach((b, j) => {
        if (i < j && tier[i] === tier[j]) expect(Math.abs(a.centre - b.centre)).toBeGreaterThanOrEqual(30);
      });
    });
    expect(Math.max(...tier)).toBe(2);
  });

  it("legend wraps at the width and says how high it became", () => {
    const items = Array.from({ length: 8 }, (_, index) => ({ label: `device-${index}`, sample: { markup: "" } }));
    expect(legend(items, { x: 0, y: 0, width: 2000 }).height).toBe(18);
    expect(legend(items, { x: 0, y: 0, width: 160 }).height).toBeGreaterThan(18 * 3);
    expect(legend([], { x: 0, y: 0, width: 160 }).height).toBe(0);
  });
});
