/** Samples of each class, by part. */
import { count } from "../format.ts";
import { el, type Markup } from "../markup.ts";
import type { DataSetReport } from "../reportData.ts";
import { type ChartOptions, figure, isNarrow, label, legend, rows, swatch, tip, wideWidth } from "./frame.ts";
import { grid, manyColumns } from "./grid.ts";

interface Part {
  readonly name: string;
  readonly style: string;
  readonly counts: readonly number[];
}

/** The parts that a set has, in the order of the bars. */
export function partsOf({ counts }: DataSetReport): readonly Part[] {
  if (!counts) return [];
  return [
    { name: "training", style: "f-train-part", counts: counts.train },
    ...(counts.validation ? [{ name: "validation", style: "f-validation-part", counts: counts.validation }] : []),
    ...(counts.test ? [{ name: "test", style: "f-test-part", counts: counts.test }] : []),
  ];
}

/**
 * A bar per class, its parts one after another: lying while there are few classes, standing when there are many.
 * @returns an `svg` element; the empty string without counts
 */
export function countsChart(dataSet: DataSetReport, options: ChartOptions = {}): string {
  const parts = partsOf(dataSet);
  if (parts.length === 0) return "";
  return dataSet.classes.length < manyColumns ? lying(dataSet, parts, options) : standing(dataSet, parts, options);
}

const largest = (parts: readonly Part[], classes: readonly string[]): number =>
  Math.max(1, ...classes.map((_, id) => parts.reduce((sum, part) => sum + (part.counts[id] ?? 0), 0)));

const description = (dataSet: DataSetReport, parts: readonly Part[]): string =>
  `${dataSet.classes.length} classes. ${parts.map(({ name, counts }) => `${name}: ${count(Math.min(...counts))} to ${count(Math.max(...counts))} samples a class`).join("; ")}.`;

/** Stacked lengths of one class, from zero on: [start, length] by part. */
function stack(parts: readonly Part[], id: number, scale: number): readonly (readonly [Part, number, number])[] {
  let at = 0;
  return parts.map((part) => {
    const start = at;
    at += (part.counts[id] ?? 0) * scale;
    return [part, start, at - start] as const;
  });
}

const legendOf = (parts: readonly Part[], x: number, width: number): { readonly markup: Markup; readonly height: number } =>
  legend(
    parts.map(({ name, style }) => ({ label: name, sample: swatch(style) })),
    { x, y: 0, width },
  );

function lying(dataSet: DataSetReport, parts: readonly Part[], options: ChartOptions): string {
  const { classes } = dataSet;
  const width = options.width ?? wideWidth;
  const head = legendOf(parts, 0, width);
  const frame = rows({
    width,
    labels: classes,
    columns: parts.map(({ name, counts }) => ({ header: isNarrow(width) ? name.slice(0, 5) : name, values: counts.map(count) })),
    rowHeight: 24,
    top: head.height + 26,
  });
  const scale = (frame.right - frame.left) / largest(parts, classes);
  const bars = classes.flatMap((name, id) =>
    stack(parts, id, scale)
      .filter(([, , length]) => length > 0)
      .map(([part, start, length]) =>
        el(
          "rect",
          { x: frame.left + start, y: frame.middle(id) - 8, width: length, height: 16, class: part.style },
          tip(`${name}: ${count(part.counts[id] ?? 0)} ${part.name} samples`),
        ),
      ),
  );
  return figure(
    { id: "counts", title: "Samples of each class", description: description(dataSet, parts), width, height: frame.bottom + 6 },
    head.markup,
    bars,
    el("line", { x1: frame.left, y1: frame.top, x2: frame.left, y2: frame.bottom, class: "axis" }),
    frame.markup,
  );
}

const columnHeight = 160;

function standing(dataSet: DataSetReport, parts: readonly Part[], options: ChartOptions): string {
  const { classes } = dataSet;
  const most = largest(parts, classes);
  const head = legendOf(parts, 0, options.width ?? wideWidth);
  const frame = grid({
    width: options.width ?? wideWidth,
    rowLabels: [""],
    columnLabels: classes,
    rightSpace: 8,
    topSpace: head.height + 8,
    rowHeight: columnHeight,
    leastLabelSpace: 32,
  });
  const scale = columnHeight / most;
  const ticks = [0, Math.round(most / 2), most].map((tick) =>
    el(
      "g",
      {},
      el("path", { d: `M${frame.left} ${Math.round(frame.bottom - tick * scale)}H${frame.right}`, class: tick === 0 ? "axis" : "grid" }),
      label(frame.left - 6, frame.bottom - tick * scale + 4, count(tick), { class: "tick", anchor: "end" }),
    ),
  );
  const bars = classes.flatMap((name, id) =>
    stack(parts, id, scale)
      .filter(([, , length]) => length > 0)
      .map(([part, start, length]) =>
        el(
          "rect",
          {
            x: frame.left + id * frame.cellWidth + 1,
            y: frame.bottom - start - length,
            width: frame.cellWidth - 2,
            height: length,
            class: part.style,
          },
          tip(`${name}: ${count(part.counts[id] ?? 0)} ${part.name} samples`),
        ),
      ),
  );
  return figure(
    {
      id: "counts",
      title: "Samples of each class",
      description: description(dataSet, parts),
      width: frame.width,
      height: frame.bottom + 8,
      fixed: frame.fixed,
    },
    head.markup,
    ticks,
    bars,
    frame.markup,
  );
}
