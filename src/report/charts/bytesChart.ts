/** What each device received and sent. */
import { max } from "d3-array";
import { scaleLinear } from "d3-scale";
import { bytes, byteTick } from "../format.ts";
import { el } from "../markup.ts";
import type { DeviceReport } from "../reportData.ts";
import { bottomAxis, type ChartOptions, figure, isNarrow, legend, rows, swatch, tip, wideWidth } from "./frame.ts";

/**
 * Two bars per device: down above, up below.
 * @returns an `svg` element
 */
export function bytesChart(
  data: { readonly devices: readonly Pick<DeviceReport, "id" | "bytesDown" | "bytesUp">[] },
  options: ChartOptions = {},
): string {
  const width = options.width ?? wideWidth;
  const { devices } = data;
  const key = legend(
    [
      { label: "down (to the device)", sample: swatch("f-download") },
      { label: "up (from the device)", sample: swatch("f-upload") },
    ],
    { x: 0, y: 4, width },
  );
  const frame = rows({
    width,
    labels: devices.map((device) => device.id),
    columns: [
      { header: "down", values: devices.map((device) => bytes(device.bytesDown)) },
      { header: "up", values: devices.map((device) => bytes(device.bytesUp)) },
    ],
    rowHeight: devices.length > 24 ? 20 : 28,
    top: key.height + 30,
  });
  const most = max(devices, (device) => Math.max(device.bytesDown, device.bytesUp)) ?? 0;
  const x = scaleLinear([0, most || 1], [frame.left, frame.right]);
  const height = devices.length > 24 ? 6 : 9;
  const bar = (device: string, row: number, value: number, up: boolean) =>
    el(
      "rect",
      {
        x: frame.left,
        y: frame.middle(row) - (up ? 0 : height),
        width: x(value) - frame.left,
        height,
        class: up ? "f-upload" : "f-download",
      },
      tip(`${device}, ${up ? "up" : "down"}: ${bytes(value)}`),
    );
  return figure(
    {
      id: "bytes",
      title: "Bytes moved by each device",
      description: `Two bars per device, down and up. ${devices.map((device) => `${device.id}: ${bytes(device.bytesDown)} down, ${bytes(device.bytesUp)} up`).join("; ")}.`,
      width,
      height: frame.bottom + 40,
    },
    key.markup,
    bottomAxis(x, {
      top: frame.top,
      bottom: frame.bottom,
      ticks: isNarrow(width) ? 3 : 7,
      print: byteTick,
      title: "bytes (decimal units)",
    }),
    devices.map((device, row) => [bar(device.id, row, device.bytesDown, false), bar(device.id, row, device.bytesUp, true)]),
    frame.markup,
  );
}
