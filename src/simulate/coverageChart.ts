/** How much of a model was there when: branches and classes over virtual time, with the phases beneath. */
import { scaleLinear } from "d3-scale";
import { curveStepAfter, line as linePath } from "d3-shape";
import { chartFile } from "../report/charts/chartFile.ts";
import { bottomAxis, figure, label, leftAxis, legend, line, wideWidth } from "../report/charts/frame.ts";
import { percent } from "../report/format.ts";
import { el } from "../report/markup.ts";
import type { SimulationResult } from "./outcome.ts";

const [left, right, top, bottom] = [56, wideWidth - 16, 40, 260];

/** Seconds of the axis's unit, and its name. */
function unitOf(seconds: number): readonly [number, string] {
  return seconds > 3 * 86_400 ? [86_400, "days"] : seconds > 3 * 3600 ? [3600, "hours"] : seconds > 180 ? [60, "minutes"] : [1, "seconds"];
}

/** The text of an SVG file. */
export function coverageChart({ coverage, devices, classes, seconds, phases }: SimulationResult): string {
  const [unit, name] = unitOf(seconds.end);
  const x = scaleLinear([0, Math.max(seconds.end, 1e-3) / unit], [left, right]);
  const y = scaleLinear([0, 1], [bottom, top]);
  const ends = { seconds: seconds.end, branches: coverage.at(-1)?.branches ?? 0, classes: coverage.at(-1)?.classes ?? 0 };
  const points = [{ seconds: 0, branches: 0, classes: 0 }, ...coverage, ends];
  const curve = (share: (point: (typeof points)[number]) => number): string =>
    linePath<(typeof points)[number]>()
      .x((point) => x(point.seconds / unit))
      .y((point) => y(share(point)))
      .curve(curveStepAfter)
      .digits(1)(points) ?? "";
  const series = [
    {
      text: "branches, of the planned",
      style: "s1",
      share: (point: (typeof points)[number]) => point.branches / Math.max(1, devices.planned),
    },
    { text: "classes covered", style: "s2", share: (point: (typeof points)[number]) => point.classes / Math.max(1, classes.total) },
  ];
  const key = legend(
    series.map(({ text, style }) => ({ label: text, sample: line(0, 6, 14, 6, style) })),
    { x: left, y: 4, width: right - left },
  );
  const svg = figure(
    {
      id: "coverage",
      title: "Coverage over virtual time",
      description: `${ends.branches} of ${devices.planned} branches and ${ends.classes} of ${classes.total} classes after ${(seconds.end / unit).toFixed(1)} ${name}.`,
      width: wideWidth,
      height: bottom + 44,
    },
    key.markup,
    leftAxis(y, { left, right, ticks: 5, print: percent }),
    bottomAxis(x, { top, bottom, ticks: 8, print: String, title: `virtual time, ${name}` }),
    phases
      .filter(({ startSeconds, endSeconds }) => endSeconds > startSeconds)
      .map(({ phase, startSeconds }) => label(x(startSeconds / unit) + 3, top - 4, phase, { class: "tick" })),
    series.map(({ style, share }) => el("path", { d: curve(share), class: style, fill: "none", "stroke-width": 2 })),
  );
  return chartFile(svg);
}
