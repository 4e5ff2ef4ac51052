/** The plan as a matrix: which device answers for which class, and how wide its sub-model is. */
import { si, widths } from "../format.ts";
import { el, type Markup } from "../markup.ts";
import type { ReportData } from "../reportData.ts";
import { type ChartOptions, figure, isNarrow, label, textWidth, tip, wideWidth } from "./frame.ts";
import { grid } from "./grid.ts";

/**
 * A row per device, a column per class, own classes filled; below, by how many harvested sub-models each class is owned.
 * @returns an `svg` element
 */
export function planChart(data: Pick<ReportData, "devices" | "dataSet">, options: ChartOptions = {}): string {
  const width = options.width ?? wideWidth;
  const { devices } = data;
  const { classes } = data.dataSet;
  const columns = [
    { header: "width", values: devices.map((device) => widths(device.widths)) },
    ...(isNarrow(width) ? [] : [{ header: "MACs", values: devices.map((device) => si(device.submodelMacs)) }]),
  ].map((column) => ({ ...column, space: Math.max(...[column.header, ...column.values].map((text) => textWidth(text))) + 12 }));
  const rightSpace = columns.reduce((sum, column) => sum + column.space, 0) + 2;
  const coverage = "owned by";
  const frame = grid({
    width,
    rowLabels: [...devices.map((device) => device.id), coverage],
    columnLabels: classes,
    rightSpace,
    topSpace: 4,
    rowHeight: 24,
  });
  const { left, top, cellWidth, cellHeight } = frame;

  const body: Markup[] = [];
  devices.forEach((device, row) => {
    const own = new Set(device.taskSet);
    const y = top + row * cellHeight;
    const arrived = device.status === "harvested";
    classes.forEach((name, id) => {
      if (!own.has(id)) return;
      body.push(
        el(
          "rect",
          {
            x: left + id * cellWidth + 1,
            y: y + 2,
            width: cellWidth - 2,
            height: cellHeight - 4,
            rx: 2,
            class: arrived ? "f-h2" : "hollow",
          },
          tip(`${device.id} (${device.profile}) owns ${name}${arrived ? "" : `; ${device.status}`}`),
        ),
      );
    });
    body.push(el("path", { d: `M${Math.round(left)} ${y}H${frame.right}`, class: "grid" }));
    let x = frame.right;
    for (const column of columns) {
      x += column.space;
      body.push(label(x, y + cellHeight / 2 + 4, column.values[row] ?? "", { class: "number", anchor: "end" }));
    }
  });
  let x = frame.right;
  for (const column of columns) {
    x += column.space;
    body.push(label(x, top - 7, column.header, { class: "tick", anchor: "end" }));
  }
  const owners = classes.map((_, id) => devices.filter((device) => device.status === "harvested" && device.taskSet.includes(id)).length);
  owners.forEach((number, id) => {
    const at = { class: frame.fixed ? "small" : "number", anchor: "middle" } as const;
    body.push(label(left + (id + 0.5) * cellWidth, top + (devices.length + 0.5) * cellHeight + 4, String(number), at));
  });
  const line = top + devices.length * cellHeight;
  body.push(el("line", { x1: left, y1: line, x2: frame.right, y2: line, class: "axis" }));

  return figure(
    {
      id: "plan",
      title: "Which device owns which class",
      description: `Rows: devices. Columns: classes. ${devices.map((device) => `${device.id}: ${device.taskSet.length} of ${classes.length} classes, width ${widths(device.widths)}`).join("; ")}.`,
      width: frame.width,
      height: frame.bottom + 6,
      fixed: frame.fixed,
    },
    el("rect", { x: left, y: top, width: frame.right - left, height: line - top, class: "plane" }),
    body,
    frame.markup,
  );
}
