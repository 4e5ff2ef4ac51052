/** The head of the page: title, the result in a sentence, the few figures that matter, and the table of heads. */
import { findHead, inHeadOrder } from "./charts/headStyles.ts";
import { bytes, count, duration, percent, points, ratio, si } from "./format.ts";
import { headline } from "./headline.ts";
import { type Child, el, type Markup } from "./markup.ts";
import type { ReportData } from "./reportData.ts";
import { wilsonInterval } from "./statistics.ts";
import { type Column, table } from "./tables.ts";

export function summary(data: ReportData): Markup {
  const { dataSet, target, devices } = data;
  const fleet = devices.length === 0 ? "" : `, ${devices.length} ${devices.length === 1 ? "device" : "devices"}`;
  const by = [`${target.name} at width ${target.width} on ${dataSet.name}${fleet}, seed ${data.seed}`, data.date]
    .filter((part) => part !== undefined)
    .join(" · ");
  return el(
    "header",
    {},
    el("h1", {}, data.title),
    el("p", { class: "by" }, by),
    el("p", { class: "result" }, headline(data)),
    dataSet.note !== undefined && el("p", { class: "note" }, `Data: ${dataSet.note}.`),
    headsTable(data),
    facts(data),
  );
}

function headsTable(data: ReportData): Markup {
  const { testCount } = data.dataSet;
  const heads = inHeadOrder(data.heads);
  const central = findHead(heads, "central");
  const compared = central !== undefined && heads.length > 1;
  const columns: Column[] = [
    { header: "classifier" },
    { header: "accuracy", numeric: true },
    { header: "95 % interval", numeric: true, secondary: true },
    ...(compared ? [{ header: "points to central", numeric: true }] : []),
    { header: "parameters", numeric: true },
    ...(heads.some((head) => head.note !== undefined) ? [{ header: "note" }] : []),
  ];
  const body = heads.map((head) => {
    const interval = wilsonInterval(head.accuracy, testCount);
    return {
      main: head.id === data.mainHead,
      cells: [
        head.label,
        percent(head.accuracy),
        `${(100 * interval.low).toFixed(1)}\u2013${percent(interval.high)}`,
        ...(compared ? [head === central ? "\u2013" : points(head.accuracy - central.accuracy)] : []),
        si(head.parameters),
        ...(heads.some((each) => each.note !== undefined) ? [head.note ?? ""] : []),
      ],
    };
  });
  const mainNote = heads.length > 1 ? "; the head in bold answers in the model file" : "";
  return table(`Accuracy on ${count(testCount)} test samples${mainNote}`, columns, body);
}

function facts(data: ReportData): Markup | undefined {
  const { computeRatio, devices, model } = data;
  const entries: [string, Child, string][] = [];
  if (computeRatio !== undefined && devices.length > 0)
    entries.push([
      "Compute ratio, median",
      ratio(computeRatio.median),
      `min ${ratio(computeRatio.min)}, max ${ratio(computeRatio.max)} over devices`,
    ]);
  if (data.bytes !== undefined && devices.length > 0)
    entries.push(["Bytes moved", bytes(data.bytes.down + data.bytes.up), `${bytes(data.bytes.down)} down, ${bytes(data.bytes.up)} up`]);
  const ends = devices.flatMap((device) => device.timeline.map((segment) => segment.endSeconds));
  if (ends.length > 0) entries.push(["Slowest device ended at", duration(Math.max(...ends)), "virtual clock"]);
  if (model !== undefined)
    entries.push(["Model file", bytes(model.bytes), `${si(model.parameters)} parameters; target ${si(data.target.parameters)}`]);
  if (entries.length === 0) return undefined;
  return el(
    "dl",
    { class: "facts" },
    entries.map(([term, value, detail]) => el("div", {}, el("dt", {}, term), el("dd", {}, value, el("small", {}, detail)))),
  );
}
