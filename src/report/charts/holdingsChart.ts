/** What each device holds: samples of its own classes and background samples, by class. */
import { count } from "../format.ts";
import { el, type Markup } from "../markup.ts";
import type { HoldingsReport } from "../reportData.ts";
import { type ChartOptions, figure, isNarrow, label, legend, swatch, textWidth, tip, wideWidth } from "./frame.ts";
import { grid } from "./grid.ts";

/** A device with what it holds. */
export interface Holder {
  readonly id: string;
  readonly holdings?: HoldingsReport | undefined;
}

const sum = (counts: readonly number[]): number => counts.reduce((total, each) => total + each, 0);

/** Each row has two lanes: own samples above, background below. */
const laneHeight = 15;

const kinds = [
  { key: "own", name: "own samples", style: "f-own" },
  { key: "background", name: "background (\u201cother\u201d)", style: "f-background" },
] as const;

/** Square root, so that small holdings are seen beside large ones. */
const shade = (value: number, most: number): number => 0.1 + 0.85 * Math.sqrt(value / most);

/** Ink that is read on the shade; which colours these are, the style sheet knows for light and dark. */
function ink(opacity: number, key: "own" | "background"): string {
  if (opacity <= 0.6) return "cell";
  return key === "own" ? "cell on" : "cell on-wrong";
}

/**
 * A row per device with two lanes, a column per class; the fuller a cell, the more samples. Numbers stand in the cells while these are wide enough.
 * @returns an `svg` element; the empty string when no device has holdings
 */
export function holdingsChart(classes: readonly string[], holders: readonly Holder[], options: ChartOptions = {}): string {
  const devices = holders.flatMap(({ id, holdings }) => (holdings ? [{ id, holdings }] : []));
  if (devices.length === 0) return "";
  const width = options.width ?? wideWidth;
  const most = Math.max(1, ...devices.flatMap(({ holdings }) => [...holdings.own, ...holdings.background]));
  const totals = devices.map(({ holdings }) => kinds.map(({ key }) => count(sum(holdings[key]))));
  const totalSpace = isNarrow(width) ? 0 : Math.max(...totals.flat().map((text) => textWidth(text)), textWidth("in all")) + 14;
  const head = legend(
    kinds.map(({ name, style }) => ({ label: name, sample: swatch(style) })),
    { x: 0, y: 0, width },
  );
  const frame = grid({
    width,
    rowLabels: devices.map(({ id }) => id),
    columnLabels: classes,
    rightSpace: totalSpace + 2,
    topSpace: head.height + 8,
    rowHeight: 2 * laneHeight + 6,
  });
  const { left, top, right, bottom, cellWidth, cellHeight } = frame;
  const numbers = cellWidth >= textWidth(count(most), 11) + 6;

  const cells: Markup[] = [];
  devices.forEach(({ id, holdings }, row) => {
    kinds.forEach(({ key, name, style }, lane) => {
      const y = top + row * cellHeight + 3 + lane * laneHeight;
      holdings[key].forEach((held, classId) => {
        if (held === 0) return;
        const opacity = shade(held, most);
        const x = left + classId * cellWidth;
        cells.push(
          el(
            "g",
            {},
            tip(`${id}: ${count(held)} ${name} of ${classes[classId] ?? classId}`),
            el("rect", { x: x + 0.5, y: y + 0.5, width: cellWidth - 1, height: laneHeight - 1, class: style, "fill-opacity": opacity }),
            numbers && label(x + cellWidth / 2, y + laneHeight / 2 + 4, count(held), { class: ink(opacity, key), anchor: "middle" }),
          ),
        );
      });
      if (totalSpace > 0) {
        cells.push(label(right + totalSpace, y + laneHeight / 2 + 4, totals[row]?.[lane] ?? "", { class: "number", anchor: "end" }));
      }
    });
    cells.push(el("path", { d: `M${left} ${top + row * cellHeight}H${right}`, class: "grid" }));
  });

  return figure(
    {
      id: "holdings",
      title: "What each device holds",
      description: `Rows: devices, own samples above background. Columns: classes. ${devices.map(({ id }, row) => `${id}: ${totals[row]?.[0]} own, ${totals[row]?.[1]} background`).join("; ")}.`,
      width: frame.width,
      height: bottom + 6,
      fixed: frame.fixed,
    },
    head.markup,
    el("rect", { x: left, y: top, width: right - left, height: bottom - top, class: "plane" }),
    cells,
    totalSpace > 0 && label(right + totalSpace, top - 7, "in all", { class: "tick", anchor: "end" }),
    frame.markup,
  );
}
