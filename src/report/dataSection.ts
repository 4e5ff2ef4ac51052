/** The part of a page that shows the data: samples, counts per class, and what each device holds. */
import { countsChart, partsOf } from "./charts/countsChart.ts";
import { type ChartOptions, narrowWidth, wideWidth } from "./charts/frame.ts";
import { manyColumns } from "./charts/grid.ts";
import { type Holder, holdingsChart } from "./charts/holdingsChart.ts";
import { samplesCaption, samplesLayout } from "./charts/samplesChart.ts";
import { count } from "./format.ts";
import { type Child, el, type Markup, trusted } from "./markup.ts";
import type { DataSetReport, SamplesReport } from "./reportData.ts";
import { type Column, dataTable } from "./tables.ts";

/** What the section is made of. */
export interface DataSectionData {
  readonly dataSet: DataSetReport;
  readonly devices: readonly Holder[];
}

const numeric = (header: string): Column => ({ header, numeric: true });

/** A chart that scrolls when there are many columns, and one for a phone otherwise. */
function chart(columns: number, draw: (options: ChartOptions) => string): Markup {
  if (columns >= manyColumns) return el("figure", { class: "scroll", tabindex: 0 }, trusted(draw({ width: wideWidth })));
  return el(
    "figure",
    {},
    el("div", { class: "wide" }, trusted(draw({ width: wideWidth }))),
    el("div", { class: "narrow" }, trusted(draw({ width: narrowWidth }))),
  );
}

/** Numbers as short as they can be without lying. */
const statistic = (value: number): string => String(Number(value.toPrecision(4)));

/** "3 x 32 x 32; mean 125, 123, 114, deviation 63, 62, 67 per channel". */
export function shapeText({ shape, mean, std }: DataSetReport): string | undefined {
  if (!shape) return undefined;
  const extents = shape.join(" \u00d7 ");
  return mean && std ? `${extents}; mean ${mean.map(statistic).join(", ")}, standard deviation ${std.map(statistic).join(", ")}` : extents;
}

/** A name that may go on in another line after an underscore. */
const breakable = (name: string): Child => name.split("_").map((part, i, parts) => (i + 1 < parts.length ? [`${part}_`, el("wbr")] : part));

function samplesFigure(classes: readonly string[], samples: SamplesReport): Markup {
  const { strips, sampleWidth, sampleHeight, gap } = samples;
  const { columns, labelWidth } = samplesLayout(strips.length);
  const stripWidth = (shown: number): number => shown * (sampleWidth + gap) - gap;
  const widest = stripWidth(Math.max(...strips.map((strip) => strip.count)));
  const space = wideWidth / columns - labelWidth - 20;
  const scale = widest > space ? space / widest : Math.min(6, Math.floor(space / widest));
  return el(
    "div",
    { class: "samples", style: `grid-template-columns:repeat(auto-fill,minmax(min(100%,${Math.floor(wideWidth / columns - 20)}px),1fr))` },
    strips.map(({ classId, count: shown, image }) =>
      el(
        "figure",
        {},
        el("figcaption", columns > 2 ? { class: "short" } : {}, breakable(classes[classId] ?? String(classId))),
        el("img", {
          src: image,
          alt: `${shown} samples of ${classes[classId] ?? classId}`,
          width: Math.round(stripWidth(shown) * scale),
          height: Math.round(sampleHeight * scale),
        }),
      ),
    ),
  );
}

function samplesPart({ classes, samples }: DataSetReport): Child {
  if (!samples || samples.strips.length === 0) return undefined;
  const left = classes.length - samples.strips.length;
  return [
    el("p", {}, samplesCaption(samples), left > 0 && ` ${count(left)} of ${count(classes.length)} classes are not shown.`),
    samplesFigure(classes, samples),
  ];
}

function countsPart(dataSet: DataSetReport): Child {
  const parts = partsOf(dataSet);
  if (parts.length === 0) return undefined;
  return [
    el("h3", {}, "Samples of each class"),
    chart(dataSet.classes.length, (options) => countsChart(dataSet, options)),
    dataTable(
      "Samples of each class",
      [{ header: "class" }, ...parts.map(({ name }) => numeric(name))],
      dataSet.classes.map((name, id) => ({ cells: [name, ...parts.map(({ counts }) => count(counts[id] ?? 0))] })),
    ),
  ];
}

/** Holdings with the numbers below; nothing when no device has any. */
export function holdingsPart({ classes }: DataSetReport, devices: readonly Holder[]): Child {
  const holders = devices.flatMap(({ id, holdings }) => (holdings ? [{ id, holdings }] : []));
  if (holders.length === 0) return undefined;
  return [
    el("h3", {}, "What each device holds"),
    el(
      "p",
      {},
      "Upper lane: samples of the classes that the device answers for. Lower lane: samples of other classes, which it sees labelled only \u201cother\u201d. The fuller the colour, the more samples, on a square-root scale.",
    ),
    chart(classes.length, (options) => holdingsChart(classes, holders, options)),
    dataTable(
      "Samples of each class by device, own and background",
      [{ header: "class" }, ...holders.map(({ id }) => numeric(id))],
      classes.map((name, classId) => ({
        cells: [
          name,
          ...holders.map(({ holdings: { own, background } }) => {
            const cells = [
              (own[classId] ?? 0) > 0 && count(own[classId] ?? 0),
              (background[classId] ?? 0) > 0 && `(${count(background[classId] ?? 0)})`,
            ];
            return cells.filter((cell) => cell !== false).join(" ") || "\u2013";
          }),
        ],
      })),
    ),
    el("p", { class: "note" }, "In the table: own samples, and background samples in brackets."),
  ];
}

/** The section; undefined when nothing of it is known, as of runs of earlier versions. */
export function dataSection({ dataSet, devices }: DataSectionData): Markup | undefined {
  const parts = [samplesPart(dataSet), countsPart(dataSet), holdingsPart(dataSet, devices)];
  if (parts.every((part) => part === undefined)) return undefined;
  return el("section", { id: "data" }, el("h2", {}, "Data"), parts);
}
