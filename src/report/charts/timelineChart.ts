/** What each device did and when, on the virtual clock (a Gantt chart). */
import { scaleLinear } from "d3-scale";
import { duration } from "../format.ts";
import { el } from "../markup.ts";
import type { TimelineKind, TimelineSegment } from "../reportData.ts";
import { bottomAxis, type ChartOptions, figure, isNarrow, legend, line, rows, swatch, tip, wideWidth } from "./frame.ts";

const kinds: Readonly<Record<TimelineKind, { readonly label: string; readonly fill: string }>> = {
  download: { label: "download", fill: "f-download" },
  train: { label: "training", fill: "f-train" },
  settle: { label: "settling", fill: "f-settle" },
  statistics: { label: "statistics pass", fill: "f-statistics" },
  upload: { label: "upload", fill: "f-upload" },
};

/** A segment; of one that led to nothing, since the device went away or was refused, only the outline is drawn. */
export type Segment = TimelineSegment & { readonly lost?: string };

export interface TimelineOptions extends ChartOptions {
  /** What passes along the axis. */
  readonly clock?: "virtual time" | "time";
}

/**
 * A row per device, a bar per segment; a segment too short to be seen is drawn two pixels wide.
 * @returns an `svg` element; the empty string when no device has a timeline
 */
export function timelineChart(
  data: { readonly devices: readonly { readonly id: string; readonly timeline: readonly Segment[] }[] },
  options: TimelineOptions = {},
): string {
  const { width = wideWidth, clock = "virtual time" } = options;
  const { devices } = data;
  const segments = devices.flatMap((device) => device.timeline);
  if (segments.length === 0) return "";
  const end = Math.max(...segments.map((segment) => segment.endSeconds));
  const unit = timeUnit(end);

  const present = (Object.keys(kinds) as TimelineKind[]).filter((kind) => segments.some((segment) => segment.kind === kind));
  const lost = segments.some((segment) => segment.lost !== undefined) ? [{ label: "led to nothing", sample: swatch("hollow") }] : [];
  const key = legend([...present.map((kind) => ({ label: kinds[kind].label, sample: swatch(kinds[kind].fill) })), ...lost], {
    x: 0,
    y: 4,
    width,
  });
  const finished = devices.map((device) => Math.max(0, ...device.timeline.map((segment) => segment.endSeconds)));
  const frame = rows({
    width,
    labels: devices.map((device) => device.id),
    columns: [
      {
        header: clock === "time" ? "until" : "ended at",
        values: devices.map((device, d) => (device.timeline.length === 0 ? "\u2013" : duration(finished[d] ?? 0))),
      },
    ],
    rowHeight: devices.length > 24 ? 18 : 26,
    top: key.height + 30,
  });
  const x = scaleLinear([0, end / unit.seconds || 1], [frame.left, frame.right]);
  const barHeight = devices.length > 24 ? 10 : 14;

  return figure(
    {
      id: "timeline",
      title: "Timeline of the devices",
      description: `Horizontal axis: ${clock}, 0 to ${duration(end)}. ${devices.map((device, d) => `${device.id} ended at ${duration(finished[d] ?? 0)}`).join("; ")}.`,
      width,
      height: frame.bottom + 40,
    },
    key.markup,
    bottomAxis(x, {
      top: frame.top,
      bottom: frame.bottom,
      ticks: isNarrow(width) ? 4 : 8,
      print: (v) => String(Math.round(v * 1000) / 1000),
      title: `${clock}, ${unit.name}`,
    }),
    devices.map((device, row) => [
      line(frame.left, frame.middle(row), frame.right, frame.middle(row), "grid"),
      device.timeline.map((segment) => {
        const from = x(segment.startSeconds / unit.seconds);
        const to = x(segment.endSeconds / unit.seconds);
        const words = `${device.id}, ${kinds[segment.kind].label}: ${duration(segment.startSeconds)} to ${duration(segment.endSeconds)} (${duration(segment.endSeconds - segment.startSeconds)})${segment.lost === undefined ? "" : `, ${segment.lost}`}`;
        return el(
          "rect",
          {
            x: from,
            y: frame.middle(row) - barHeight / 2,
            width: Math.max(2, to - from),
            height: barHeight,
            class: segment.lost === undefined ? kinds[segment.kind].fill : "hollow",
          },
          tip(words),
        );
      }),
    ]),
    frame.markup,
  );
}

function timeUnit(seconds: number): { readonly name: string; readonly seconds: number } {
  if (seconds <= 300) return { name: "seconds", seconds: 1 };
  if (seconds <= 4 * 3600) return { name: "minutes", seconds: 60 };
  return { name: "hours", seconds: 3600 };
}
