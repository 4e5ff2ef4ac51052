/** The plan as a matrix: which device answers for which class, and how wide its sub-model is. */
import { si, widths } from "../format.ts";
import { el, type Markup } from "../markup.ts";
import type { DataSetReport, DeviceReport } from "../reportData.ts";
import { type ChartOptions, figure, isNarrow, label, textWidth, tip, wideWidth } from "./frame.ts";
import { grid } from "./grid.ts";

/** A device of the plan. While a run goes on, what is harvested is filled, and of what is in work as much as is done. */
export type PlannedDevice = Pick<DeviceReport, "id" | "profile" | "taskSet" | "widths"> & {
  readonly status: DeviceReport["status"] | "waiting" | "working";
  readonly submodelMacs?: number;
  /** Share of the work that is done. */
  readonly progress?: number;
  /** How it is doing, in a word or two; in place of its MACs. */
  readonly state?: string;
};

/**
 * A row per device, a column per class, own classes filled; below, by how many harvested sub-models each class is owned.
 * @returns an `svg` element
 */
export function planChart(
  data: { readonly devices: readonly PlannedDevice[]; readonly dataSet: Pick<DataSetReport, "classes"> },
  options: ChartOptions = {},
): string {
  const width = options.width ?? wideWidth;
  const { devices } = data;
  const { classes } = data.dataSet;
  const columns = [
    { header: "width", values: devices.map((device) => widths(device.widths)) },
    ...(devices.some(({ state }) => state !== undefined)
      ? [{ header: "state", values: devices.map(({ state = "" }) => state) }]
      : isNarrow(width)
        ? []
        : [{ header: "MACs", values: devices.map(({ submodelMacs = 0 }) => si(submodelMacs)) }]),
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
    const { progress = 0 } = device;
    classes.forEach((name, id) => {
      if (!own.has(id)) return;
      const box = { x: left + id * cellWidth + 1, y: y + 2, height: cellHeight - 4, rx: 2 };
      const words = tip(`${device.id} (${device.profile}) owns ${name}${arrived ? "" : `; ${device.status}`}`);
      if (!arrived && progress > 0)
        body.push(el("rect", { ...box, width: progress * (cellWidth - 2), class: "f-h2", "fill-opacity": 0.45 }));
      body.push(el("rect", { ...box, width: cellWidth - 2, class: arrived ? "f-h2" : "hollow" }, words));
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
