/** A look into a data set as one HTML file: what it holds, and what each device of a fleet would. */
import { dataSection, shapeText } from "./dataSection.ts";
import { count } from "./format.ts";
import { htmlPage } from "./htmlPage.ts";
import { el, sequence } from "./markup.ts";
import type { DataSetReport, HoldingsReport } from "./reportData.ts";
import { list } from "./tables.ts";

/** Files that were left out, because they could not be read. */
export interface SkippedFiles {
  readonly count: number;
  /** The first few, with the reason. */
  readonly first: readonly { readonly where: string; readonly reason: string }[];
}

export interface InspectData {
  readonly sheafVersion: string;
  readonly dataSet: DataSetReport;
  /** SHA-256 of the training samples before any subset was taken. */
  readonly sha256: string;
  readonly skipped: SkippedFiles;
  /** How samples come to devices. */
  readonly partition: string;
  readonly devices: readonly { readonly id: string; readonly profile: string; readonly holdings: HoldingsReport }[];
  /** Why there is no plan, and hence no device holds anything. */
  readonly noPlan?: string | undefined;
}

/**
 * The whole page; nothing in it is fetched. The same data gives the same bytes.
 * @example writeFileSync("inspect.html", renderInspection(data));
 */
export function renderInspection(data: InspectData): string {
  const { dataSet, skipped, noPlan, devices } = data;
  const { validation, test } = dataSet.counts ?? {};
  const number = (counts: readonly number[]): string => count(counts.reduce((sum, each) => sum + each, 0));
  const parts = [
    `${count(dataSet.trainCount)} training`,
    ...(validation ? [`${number(validation)} validation`] : []),
    ...(test ? [`${number(test)} test`] : []),
  ];
  const samples = `${parts.join(", ")} samples`;
  const header = el(
    "header",
    {},
    el("h1", {}, dataSet.name),
    el("p", { class: "by" }, `${count(dataSet.classes.length)} classes \u00b7 ${samples}`),
    dataSet.note !== undefined && el("p", { class: "note" }, `${dataSet.note}.`),
    list([
      ["Shape", shapeText(dataSet)],
      ["Source", dataSet.source],
      ["SHA-256", el("code", {}, data.sha256)],
      [
        "Files left out",
        skipped.count === 0
          ? undefined
          : el(
              "span",
              {},
              `${count(skipped.count)}, ${skipped.first.length < skipped.count ? "the first: " : ""}${skipped.first.map(({ reason }) => reason).join(" ")}`,
            ),
      ],
      ["Fleet", noPlan === undefined ? `${devices.map(({ id }) => id).join(", ")}; partition ${data.partition}` : `no plan: ${noPlan}`],
    ]),
  );
  return htmlPage(
    {
      title: `${dataSet.name}: data`,
      description: `${dataSet.name}: ${samples} in ${dataSet.classes.length} classes.`,
      sheafVersion: data.sheafVersion,
    },
    sequence([header, dataSection(data)]),
  );
}
