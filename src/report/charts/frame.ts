/** What all charts share: the figure with its title and description, text that fits, axes, legends, and rows with labels. */
import type { ScaleLinear } from "d3-scale";
import { type SymbolType, symbol, symbolCircle, symbolDiamond, symbolSquare, symbolTriangle } from "d3-shape";
import { type Child, el, type Markup } from "../markup.ts";

/** Width of a chart for screens of a desk and for paper, and for a phone, in pixels of its own coordinates. */
export const wideWidth = 880;
export const narrowWidth = 360;

export interface ChartOptions {
  /** In pixels; the height follows. Below 520 the layout is that for a phone. Default {@link wideWidth}. */
  readonly width?: number;
  /** What accuracies are measured on, where a chart says so: "test" by default. */
  readonly samples?: string;
}

/** With a capital at its beginning. */
export function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** Whether a chart of this width is laid out for a phone. */
export function isNarrow(width: number): boolean {
  return width < 520;
}

export const fontSize = 12;

/** Estimated width of text in a system font; there is no DOM to measure in, so the estimate errs to the wide side. */
export function textWidth(text: string, size: number = fontSize): number {
  let em = 0;
  for (const character of text) {
    if (/[\u1100-\uffdc\u{1f000}-\u{3ffff}]/u.test(character)) em += 1;
    else if (/[mwMW@%]/.test(character)) em += 0.86;
    else if (/[A-Z]/.test(character)) em += 0.68;
    else if (/[ijl.,:;'| ]/.test(character)) em += 0.32;
    else if (/[frt()[\]-]/.test(character)) em += 0.42;
    else em += 0.6;
  }
  return em * size;
}

/** Shortens text with an ellipsis until it fits; callers give the whole text in a tooltip. */
export function fitText(text: string, maxWidth: number, size: number = fontSize): string {
  if (textWidth(text, size) <= maxWidth) return text;
  const characters = [...text];
  while (characters.length > 1 && textWidth(`${characters.join("")}…`, size) > maxWidth) characters.pop();
  return `${characters.join("").trimEnd()}…`;
}

export interface Figure {
  /** Unique in a page, letters and digits. */
  readonly id: string;
  readonly title: string;
  /** One sentence for those who do not see the picture: what the axes are and what stands out. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  /** True for a picture that must not shrink to the page; the page lets it scroll. */
  readonly fixed?: boolean;
}

/** The `svg` element: an image with a name and a description. */
export function figure(facts: Figure, ...children: readonly Child[]): string {
  const { id, width, height } = facts;
  const key = `${id}-${Math.round(width)}`;
  return el(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      class: facts.fixed === true ? "chart fixed" : "chart",
      viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height)}`,
      width: Math.ceil(width),
      height: Math.ceil(height),
      role: "img",
      "aria-labelledby": `${key}-t ${key}-d`,
    },
    el("title", { id: `${key}-t` }, facts.title),
    el("desc", { id: `${key}-d` }, facts.description),
    children,
  ).markup;
}

/** A tooltip: the first child of the mark it explains. */
export function tip(...parts: readonly Child[]): Markup {
  return el("title", {}, ...parts);
}

/** Text at a point; `fit` shortens it and keeps the whole in a tooltip. */
export function label(
  x: number,
  y: number,
  text: string,
  style: { class?: string; anchor?: "start" | "middle" | "end"; fit?: number } = {},
): Markup {
  const shown = style.fit === undefined ? text : fitText(text, style.fit);
  const anchor = style.anchor === "start" ? undefined : style.anchor;
  return el("text", { x, y, class: style.class, "text-anchor": anchor }, shown !== text && tip(text), shown);
}

export interface AxisPlace {
  readonly top: number;
  readonly bottom: number;
  readonly ticks: number;
  readonly print: (value: number) => string;
  readonly title: string;
}

/** Horizontal axis at the bottom with grid lines through the plot; takes 36 pixels below `bottom`. */
export function bottomAxis(scale: ScaleLinear<number, number>, place: AxisPlace): Markup[] {
  const { top, bottom, print } = place;
  const [left = 0, right = 0] = scale.range();
  return [
    ...scale
      .ticks(place.ticks)
      .map((tick) =>
        el(
          "g",
          {},
          line(scale(tick), top, scale(tick), bottom, "grid"),
          label(scale(tick), bottom + 15, print(tick), { class: "tick", anchor: "middle" }),
        ),
      ),
    line(left, bottom, right, bottom, "axis"),
    label((left + right) / 2, bottom + 31, place.title, { class: "tick", anchor: "middle" }),
  ];
}

/** Vertical axis at the left with grid lines through the plot. */
export function leftAxis(
  scale: ScaleLinear<number, number>,
  place: { left: number; right: number; ticks: number; print: (value: number) => string },
): Markup[] {
  return scale
    .ticks(place.ticks)
    .map((tick) =>
      el(
        "g",
        {},
        line(place.left, scale(tick), place.right, scale(tick), "grid"),
        label(place.left - 6, scale(tick) + 4, place.print(tick), { class: "tick", anchor: "end" }),
      ),
    );
}

export function line(x1: number, y1: number, x2: number, y2: number, style: string): Markup {
  return el("line", { x1, y1, x2, y2, class: style });
}

export type Shape = "circle" | "diamond" | "square" | "triangle";
const shapes: Readonly<Record<Shape, SymbolType>> = {
  circle: symbolCircle,
  diamond: symbolDiamond,
  square: symbolSquare,
  triangle: symbolTriangle,
};

/** Path of a mark around the origin; `area` in square pixels. */
export function shapePath(shape: Shape, area: number): string {
  return symbol(shapes[shape], area).digits(2)() ?? "";
}

export interface LegendItem {
  readonly label: string;
  /** The sample: a mark in a box of 14 by 12 pixels whose origin is the top left corner. */
  readonly sample: Markup;
}

/** Samples with labels, flowing into as many rows as the width demands. */
export function legend(
  items: readonly LegendItem[],
  box: { x: number; y: number; width: number },
): { readonly markup: Markup; readonly height: number } {
  const gap = 16;
  const rowHeight = 18;
  let x = 0;
  let row = 0;
  const placed = items.map((item) => {
    const shown = fitText(item.label, box.width - 20);
    const width = 20 + textWidth(shown);
    if (x > 0 && x + width > box.width) {
      x = 0;
      row += 1;
    }
    const at = el(
      "g",
      { transform: `translate(${Math.round(box.x + x)} ${Math.round(box.y + row * rowHeight)})` },
      item.sample,
      label(20, 10, shown, { class: "legend" }),
    );
    x += width + gap;
    return at;
  });
  return { markup: el("g", {}, placed), height: items.length === 0 ? 0 : (row + 1) * rowHeight };
}

/** A legend's sample for an area or bar. */
export function swatch(style: string): Markup {
  return el("rect", { x: 1, y: 0, width: 12, height: 12, rx: 2, class: style });
}

/** Numbers to the right of the rows, one per row. */
export interface RowColumn {
  readonly header: string;
  readonly values: readonly string[];
}

export interface RowsSpec {
  readonly width: number;
  readonly labels: readonly string[];
  readonly columns: readonly RowColumn[];
  readonly rowHeight: number;
  /** Space above the rows for what the chart puts there; the columns' headers stand at its lower end. */
  readonly top: number;
  /** Kept free between the labels and the plot, and between the plot and the columns. Default 12. */
  readonly gap?: number;
}

/** Where a chart of labelled rows draws: `left` to `right`, row i around `middle(i)`. */
export interface Rows {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly middle: (row: number) => number;
  readonly markup: Markup[];
}

/** Labels at the left, aligned numbers at the right, the plot between them. */
export function rows(spec: RowsSpec): Rows {
  const { width, labels, columns, rowHeight, top, gap = 12 } = spec;
  const labelSpace = width * (isNarrow(width) ? 0.3 : 0.28);
  const labelWidth = Math.min(labelSpace, Math.max(0, ...labels.map((text) => textWidth(text))) + 2);
  const columnWidths = columns.map((column) => Math.max(...[column.header, ...column.values].map((text) => textWidth(text))) + 10);
  const left = labelWidth + gap;
  const right = width - columnWidths.reduce((sum, each) => sum + each, 0) - gap;
  const bottom = top + labels.length * rowHeight;
  const middle = (row: number): number => top + (row + 0.5) * rowHeight;
  const markup: Markup[] = labels.map((text, row) => label(labelWidth, middle(row) + 4, text, { anchor: "end", fit: labelWidth }));
  let x = width - 1;
  for (let c = columns.length - 1; c >= 0; c--) {
    const column = columns[c]!;
    markup.push(label(x, top - 8, column.header, { class: "tick", anchor: "end" }));
    column.values.forEach((text, row) => void markup.push(label(x, middle(row) + 4, text, { class: "number", anchor: "end" })));
    x -= columnWidths[c]!;
  }
  return { left, right, top, bottom, middle, markup };
}

/** Puts labels that would overlap into tiers: the tier of each, 0 first. Positions are centres. */
export function tiers(items: readonly { readonly centre: number; readonly width: number }[]): number[] {
  const order = items.map((_, index) => index).sort((a, b) => items[a]!.centre - items[b]!.centre);
  const ends: number[] = [];
  const result = items.map(() => 0);
  for (const index of order) {
    const { centre, width } = items[index]!;
    let tier = ends.findIndex((end) => end + 8 <= centre - width / 2);
    if (tier < 0) tier = ends.length;
    ends[tier] = centre + width / 2;
    result[index] = tier;
  }
  return result;
}
