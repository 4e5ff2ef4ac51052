/** The sections of the page that show a chart, each with a sentence on how to read it and the numbers folded below. */
import { accuracyChart } from "./charts/accuracyChart.ts";
import { bytesChart } from "./charts/bytesChart.ts";
import { computeChart, promisedRatio } from "./charts/computeChart.ts";
import { confusionChart } from "./charts/confusionChart.ts";
import { curvesChart } from "./charts/curvesChart.ts";
import { type ChartOptions, narrowWidth, wideWidth } from "./charts/frame.ts";
import { manyColumns } from "./charts/grid.ts";
import { findHead, inHeadOrder } from "./charts/headStyles.ts";
import { perClassChart } from "./charts/perClassChart.ts";
import { planChart } from "./charts/planChart.ts";
import { settleChart } from "./charts/settleChart.ts";
import { timelineChart } from "./charts/timelineChart.ts";
import { dataSection } from "./dataSection.ts";
import { bytes, count, duration, percent, points, ratio, si, widths } from "./format.ts";
import { type Child, el, type Markup, trusted } from "./markup.ts";
import { type DeviceReport, type HeadReport, type ReportData, totalMacs } from "./reportData.ts";
import { confusionsByCount, wilsonInterval } from "./statistics.ts";
import { type Column, dataTable, table } from "./tables.ts";

/** The parts of the data that are there, in reading order; a part that is absent leaves no trace. */
export function chartSections(data: ReportData): Markup[] {
  const fleet = data.devices.length > 0;
  return [
    accuracySection(data),
    settleSection(data),
    fleet && computeSection(data),
    perClassSection(data),
    confusionSection(data),
    lostDevicesSection(data),
    dataSection(data),
    fleet && planSection(data),
    timelineSection(data),
    curvesSection(data),
    fleet && bytesSection(data),
  ].filter((section) => section !== undefined && section !== false);
}

function section(id: string, title: string, ...children: readonly Child[]): Markup {
  return el("section", { id }, el("h2", {}, title), ...children);
}

/** The chart for a wide page and paper, and the one for a phone; the style sheet shows one of the two. */
function responsive(draw: (options: ChartOptions) => string): Markup {
  return el(
    "figure",
    {},
    el("div", { class: "wide" }, trusted(draw({ width: wideWidth }))),
    el("div", { class: "narrow" }, trusted(draw({ width: narrowWidth }))),
  );
}

/** A picture that keeps its size and scrolls. */
function scrolling(svg: string): Markup {
  return el("figure", { class: "scroll", tabindex: 0 }, trusted(svg));
}

function matrix(classes: readonly string[], draw: (options: ChartOptions) => string): Markup {
  return classes.length >= manyColumns ? scrolling(draw({ width: wideWidth })) : responsive(draw);
}

const numeric = (header: string): Column => ({ header, numeric: true });
const dash = "\u2013";
const optionalPercent = (value: number | null | undefined): string => (typeof value === "number" ? percent(value) : dash);

function accuracySection(data: ReportData): Markup | undefined {
  if (data.heads.length < 2) return undefined;
  const central = findHead(data.heads, "central");
  return section(
    "accuracy",
    "Accuracy",
    el(
      "p",
      {},
      "Each mark is one classifier on the same test samples; its bar is the 95 % Wilson interval, which covers the chance in the choice of test samples and not the chance in training (one seed).",
      central !== undefined && " The dashed line is the central control: the full target trained on all the data in one place.",
    ),
    responsive((options) => accuracyChart(data, options)),
    dataTable(
      "Test accuracy",
      [{ header: "classifier" }, numeric("accuracy"), numeric("low"), numeric("high"), numeric("points to central")],
      inHeadOrder(data.heads).map((head) => {
        const interval = wilsonInterval(head.accuracy, data.dataSet.testCount);
        const gap = central === undefined || head === central ? dash : points(head.accuracy - central.accuracy);
        return {
          main: head.id === data.mainHead,
          cells: [head.label, percent(head.accuracy), percent(interval.low), percent(interval.high), gap],
        };
      }),
    ),
  );
}

function settleSection(data: ReportData): Markup | undefined {
  const { settlePasses = [] } = data;
  if (settlePasses.length === 0) return undefined;
  return section(
    "settle",
    "Accuracy by settle pass",
    el(
      "p",
      {},
      "In a settle pass each device trains its branch on, with one softmax over all classes in which the scores of the other branches are constants. Pass 0: the branches as each device trained them alone.",
    ),
    responsive((options) => settleChart(data, options)),
    dataTable(
      "Accuracy after each pass",
      [numeric("pass"), numeric("H0"), numeric("H2"), { header: "skipped by" }],
      settlePasses.map(({ pass, H0, H2, skipped }) => ({ cells: [String(pass), percent(H0), percent(H2), skipped.join(", ") || dash] })),
    ),
  );
}

function computeSection(data: ReportData): Markup {
  const { devices } = data;
  const settled = devices.some((device) => (device.compute.settleMacs ?? 0) > 0);
  const warm = devices.some((device) => (device.compute.warmStartMacs ?? 0) > 0);
  return section(
    "compute",
    "Computation per device",
    el(
      "p",
      {},
      "Ratio: multiply-adds (MACs) of training the full target on the device's own samples for the same epochs, over everything that Sheaf made the device compute, background samples, statistics pass and settle passes included. ",
      `The red line marks ${promisedRatio}, the largest ratio that the paper behind the method reports.`,
    ),
    responsive((options) => computeChart(data, options)),
    dataTable(
      "MACs per device over the whole run",
      [
        { header: "device" },
        numeric("own samples"),
        numeric("background"),
        numeric("statistics"),
        ...(warm ? [numeric("warm start")] : []),
        ...(settled ? [numeric("settling")] : []),
        numeric("in all"),
        numeric("full target"),
        numeric("ratio"),
      ],
      devices.map((device) => ({
        cells: [
          device.id,
          si(device.compute.trainOwnMacs),
          si(device.compute.trainBackgroundMacs),
          si(device.compute.statisticsMacs),
          ...(warm ? [si(device.compute.warmStartMacs ?? 0)] : []),
          ...(settled ? [si(device.compute.settleMacs ?? 0)] : []),
          si(totalMacs(device.compute)),
          si(device.fullTargetMacs),
          ratio(device.ratio),
        ],
      })),
    ),
  );
}

function perClassSection(data: ReportData): Markup | undefined {
  const heads = inHeadOrder(data.heads).filter((head) => head.perClassAccuracy !== undefined);
  if (heads.length === 0) return undefined;
  return section(
    "per-class",
    "Accuracy by class",
    el(
      "p",
      {},
      "Share of each class's test samples that are recognised, sorted by the main head; its bar is the 95 % interval for that class.",
    ),
    responsive((options) => perClassChart(data, options)),
    dataTable(
      "Test accuracy by class, in class order",
      [{ header: "class" }, ...heads.map((head) => numeric(head.id))],
      data.dataSet.classes.map((name, id) => ({ cells: [name, ...heads.map((head) => optionalPercent(head.perClassAccuracy?.[id]))] })),
    ),
  );
}

/** Rows of the table of frequent confusions. */
const listedConfusions = 20;

function confusionSection(data: ReportData): Markup | undefined {
  const head = findHead(data.heads, data.mainHead);
  if (head?.confusion === undefined) return undefined;
  const { classes } = data.dataSet;
  const central = findHead(data.heads, "central");
  const others =
    classes.length < manyColumns && central !== undefined && central !== head && central.confusion !== undefined ? [central] : [];
  return section(
    "confusion",
    `Confusion matrix of ${head.label}`,
    el(
      "p",
      {},
      "Row: the true class; column: the class answered. Blue: right, darker for a larger share of the row. Red: wrong, on a square-root scale, so that small shares are seen.",
      classes.length >= manyColumns &&
        " The picture scrolls sideways where it does not fit; the most frequent confusions are listed below it.",
    ),
    matrix(classes, (options) => confusionChart(data, head, options)),
    confusionTable(head, classes),
    others.map((other) =>
      el(
        "details",
        {},
        el("summary", {}, `The same for ${other.label}`),
        matrix(classes, (options) => confusionChart(data, other, options)),
      ),
    ),
  );
}

function confusionTable(head: HeadReport, classes: readonly string[]): Markup {
  const { confusion = [] } = head;
  const pairs = confusionsByCount(confusion).slice(0, listedConfusions);
  const frequent = table(
    `The ${pairs.length} most frequent confusions`,
    [{ header: "true class" }, { header: "taken for" }, numeric("count"), numeric("share of the true class")],
    pairs.map((pair) => ({ cells: [classes[pair.truth] ?? "", classes[pair.predicted] ?? "", count(pair.count), percent(pair.share)] })),
  );
  if (classes.length >= manyColumns) return frequent;
  return el(
    "details",
    {},
    el("summary", {}, "Numbers"),
    table(
      "Counts; row = true class, column = answer",
      [{ header: "" }, ...classes.map(numeric)],
      confusion.map((row, truth) => ({ cells: [classes[truth] ?? "", ...row.map(count)] })),
    ),
    frequent,
  );
}

function planSection(data: ReportData): Markup {
  const { classes } = data.dataSet;
  const { devices } = data;
  const missing = devices.filter((device) => device.status !== "harvested");
  return section(
    "plan",
    "Who trains what",
    el(
      "p",
      {},
      "A filled cell: the device answers for the class, with a sub-model whose layers have the given share of the target's channels. The last row counts the harvested sub-models that own the class.",
      missing.length > 0 &&
        ` Dashed: not in the global model (${missing.map((device) => `${device.id} ${device.status}${device.statusNote === undefined ? "" : `, ${device.statusNote}`}`).join("; ")}).`,
    ),
    matrix(classes, (options) => planChart(data, options)),
    dataTable(
      "Devices and their sub-models",
      [
        { header: "device" },
        { header: "profile" },
        { header: "classes" },
        numeric("MACs/s"),
        numeric("bandwidth"),
        numeric("memory"),
        numeric("needed"),
        numeric("allowed"),
        numeric("width"),
        numeric("MACs"),
        numeric("parameters"),
        numeric("own"),
        numeric("background"),
        numeric("epochs"),
        numeric("accuracy"),
        { header: "status" },
      ],
      devices.map((device) => ({ cells: planCells(device, classes) })),
    ),
    el(
      "p",
      { class: "note" },
      "In the table: memory of the device, peak that the plan expects, what the device may use; MACs and parameters of the sub-model per sample; own and background samples; accuracy among the device's own classes and \u201cother\u201d.",
    ),
  );
}

function planCells(device: DeviceReport, classes: readonly string[]): string[] {
  const widthText = widths(device.widths);
  return [
    device.id,
    device.profile,
    device.taskSet.length > 12
      ? `${device.taskSet.length} of ${classes.length}`
      : device.taskSet.map((id) => classes[id] ?? String(id)).join(", "),
    si(device.macsPerSecond),
    `${si(device.bandwidthBitsPerSecond)}bit/s`,
    bytes(device.memoryBytes),
    bytes(device.memoryEstimateBytes),
    bytes(device.memoryLimitBytes),
    widthText,
    si(device.submodelMacs),
    si(device.submodelParameters),
    count(device.ownSamples),
    count(device.backgroundSamples),
    String(device.epochs),
    optionalPercent(device.ownClassAccuracy),
    device.statusNote === undefined ? device.status : `${device.status}: ${device.statusNote}`,
  ];
}

function timelineSection(data: ReportData): Markup | undefined {
  const { devices } = data;
  if (devices.every((device) => device.timeline.length === 0)) return undefined;
  return section(
    "timeline",
    "Timeline on the virtual clock",
    el(
      "p",
      {},
      "Training is real; its duration is what the plan's device profile (MACs per second, bandwidth) says it takes, not what this machine took. No device waits for another to train; the statistics pass begins when all sub-models are there.",
    ),
    responsive((options) => timelineChart(data, options)),
    dataTable(
      "Segments",
      [{ header: "device" }, { header: "what" }, numeric("start"), numeric("end"), numeric("duration")],
      devices.flatMap((device) =>
        device.timeline.map((segment) => ({
          cells: [
            device.id,
            segment.kind,
            duration(segment.startSeconds),
            duration(segment.endSeconds),
            duration(segment.endSeconds - segment.startSeconds),
          ],
        })),
      ),
    ),
  );
}

function curvesSection(data: ReportData): Markup | undefined {
  const series = data.curves.filter((each) => each.points.length > 0);
  if (series.length === 0) return undefined;
  return section(
    "curves",
    "Learning curves",
    el(
      "p",
      {},
      data.devices.length > 0
        ? "A device's loss and accuracy are over its own classes and \u201cother\u201d: compare a device with itself over time, not with a network that answers for all classes. In a settle pass they are those of the global model under H0, on the device's samples."
        : "Loss and accuracy during training.",
    ),
    responsive((options) => curvesChart(data, options)),
    dataTable(
      "Last point of each curve",
      [{ header: "network" }, numeric("epoch"), numeric("step"), numeric("loss"), numeric("accuracy")],
      series.map((each) => {
        const last = each.points.at(-1);
        return {
          cells: [
            each.label,
            last?.epoch?.toString() ?? dash,
            last?.step === undefined ? dash : count(last.step),
            last?.loss.toFixed(4) ?? dash,
            optionalPercent(last?.accuracy),
          ],
        };
      }),
    ),
  );
}

/** What a code promises when devices are lost. */
function codeSentence({ leastDistance, correctedErasures }: NonNullable<ReportData["code"]>): string {
  if (leastDistance === 0) return "Some classes here have the same owners, and only the logits of these tell them apart.";
  const differ = `Any two classes here differ in at least ${leastDistance} ${leastDistance === 1 ? "device" : "devices"}`;
  return correctedErasures === 0
    ? `${differ}, so that the loss of a single one may leave two classes alike.`
    : `${differ}, so that ${correctedErasures === 1 ? "any one" : `any ${correctedErasures}`} may be lost and every class still has a codeword of its own.`;
}

/** Mean and least accuracy by number of devices lost, and every set that was tried. */
function lostDevicesSection(data: ReportData): Markup | undefined {
  const { lostDevices = [] } = data;
  if (lostDevices.length === 0) return undefined;
  const sizes = [...new Set(lostDevices.map(({ devices }) => devices.length))].sort((a, b) => a - b);
  const heads = ["H0", "H2"] as const;
  const whole = (id: (typeof heads)[number]): string => optionalPercent(findHead(data.heads, id)?.accuracy);
  return section(
    "lost-devices",
    "Accuracy with devices lost",
    el(
      "p",
      {},
      "The task sets of the devices are a code: where a class has several owners, a lost device is an erasure. Its branch is left out of the model, and its statistics of the sums; heads are then made from what remains. No device trains again.",
    ),
    data.code ? el("p", {}, codeSentence(data.code)) : "",
    table(
      "Accuracy by number of devices lost",
      [
        { header: "lost" },
        numeric("sets tried"),
        ...heads.flatMap((id) => [numeric(`${id}, mean`), { ...numeric(`${id}, least`), secondary: true }]),
      ],
      [
        { cells: ["none", "1", ...heads.flatMap((id) => [whole(id), whole(id)])] },
        ...sizes.map((size) => {
          const sets = lostDevices.filter(({ devices }) => devices.length === size);
          return {
            cells: [
              String(size),
              String(sets.length),
              ...heads.flatMap((id) => {
                const values = sets.map((set) => set[id]);
                return [percent(values.reduce((sum, v) => sum + v, 0) / values.length), percent(Math.min(...values))];
              }),
            ],
          };
        }),
      ],
    ),
    dataTable(
      "Accuracy by the devices lost",
      [{ header: "lost" }, ...heads.map(numeric)],
      lostDevices.map((set) => ({ cells: [set.devices.join(", "), ...heads.map((id) => percent(set[id]))] })),
    ),
  );
}

function bytesSection(data: ReportData): Markup {
  const { devices } = data;
  return section(
    "bytes",
    "Bytes moved",
    el(
      "p",
      {},
      "What each device received (its sub-model and what the statistics pass needs) and sent (trained weights and statistics). A device's own samples do not move.",
    ),
    responsive((options) => bytesChart(data, options)),
    dataTable(
      "Bytes per device",
      [{ header: "device" }, numeric("down"), numeric("up"), numeric("sum")],
      [
        ...devices.map((device) => ({
          cells: [device.id, count(device.bytesDown), count(device.bytesUp), count(device.bytesDown + device.bytesUp)],
        })),
        ...(data.bytes === undefined
          ? []
          : [{ main: true, cells: ["all devices", count(data.bytes.down), count(data.bytes.up), count(data.bytes.down + data.bytes.up)] }]),
      ],
    ),
  );
}
