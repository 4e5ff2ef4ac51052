/** How many times less each device computed than it would have for the full target. */
import { scaleLinear } from "d3-scale";
import { macs, ratio } from "../format.ts";
import { el } from "../markup.ts";
import { type DeviceReport, type ReportData, totalMacs } from "../reportData.ts";
import { bottomAxis, type ChartOptions, figure, isNarrow, label, line, rows, textWidth, tiers, tip, wideWidth } from "./frame.ts";

/** "Up to 11.8x less computation": the abstract of Chen and Qin, SEC 2020, doi 10.1109/SEC50012.2020.00069. */
export const promisedRatio = 11.8;

/**
 * A bar per device; lines at the minimum, median and maximum over devices, and at {@link promisedRatio}.
 * @returns an `svg` element
 */
export function computeChart(
  data: Pick<ReportData, "computeRatio"> & {
    readonly devices: readonly Pick<DeviceReport, "id" | "ratio" | "compute" | "fullTargetMacs">[];
  },
  options: ChartOptions = {},
): string {
  const width = options.width ?? wideWidth;
  const { devices, computeRatio } = data;
  const longest = Math.max(promisedRatio, ...devices.map((device) => device.ratio), computeRatio?.max ?? 0);
  const makeRows = (top: number) =>
    rows({
      width,
      labels: devices.map((device) => device.id),
      columns: [{ header: "ratio", values: devices.map((device) => ratio(device.ratio)) }],
      rowHeight: devices.length > 24 ? 18 : 26,
      top,
    });
  const { left, right } = makeRows(0);
  const x = scaleLinear([0, longest * 1.06], [left, right]);

  const references = [
    ...(computeRatio === undefined
      ? []
      : [
          { name: "min", value: computeRatio.min, style: "reference" },
          { name: "median", value: computeRatio.median, style: "reference" },
          { name: "max", value: computeRatio.max, style: "reference" },
        ]),
    { name: "promise", value: promisedRatio, style: "promise" },
  ].map((each) => {
    const text = `${each.name} ${ratio(each.value)}`;
    const size = textWidth(text);
    // Centred over its line, but never past the ends of the plot.
    return { ...each, text, width: size, centre: Math.min(right - size / 2 + 4, Math.max(left + size / 2, x(each.value))) };
  });
  const tier = tiers(references);
  const frame = makeRows(26 + 16 * Math.max(0, ...tier));
  const labelY = (index: number): number => frame.top - 8 - 16 * tier[index]!;
  const barHeight = devices.length > 24 ? 10 : 14;

  return figure(
    {
      id: "compute",
      title: "Compute ratio of each device",
      description: `Bars from zero: how many times less each device computed than training the full target would have taken. ${devices.map((device) => `${device.id}: ${ratio(device.ratio)}`).join("; ")}.`,
      width,
      height: frame.bottom + 40,
    },
    bottomAxis(x, {
      top: frame.top,
      bottom: frame.bottom,
      ticks: isNarrow(width) ? 4 : 8,
      print: ratioTick,
      title: "times less computation than the full target",
    }),
    devices.map((device, row) =>
      el(
        "rect",
        {
          x: left,
          y: frame.middle(row) - barHeight / 2,
          width: Math.max(1, x(device.ratio) - left),
          height: barHeight,
          rx: 2,
          class: "bar f-h2",
        },
        tip(
          `${device.id}: ${macs(totalMacs(device.compute))} instead of ${macs(device.fullTargetMacs)}, ${ratio(device.ratio)} times less`,
        ),
      ),
    ),
    references.map((each, index) => line(x(each.value), labelY(index) + 3, x(each.value), frame.bottom, each.style)),
    references.map((each, index) => label(each.centre, labelY(index), each.text, { class: "tick halo", anchor: "middle" })),
    frame.markup,
  );
}

function ratioTick(value: number): string {
  return String(Math.round(value * 100) / 100);
}
