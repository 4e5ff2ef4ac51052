/**
 * What a report is made of: plain, JSON-able facts of one run. A run writes them to `report.json` in its directory,
 * and the page, its charts and the model card are pure functions of them. Accuracies and shares are fractions, 0 to 1.
 */
import { z } from "zod";
import { SheafError } from "../util/errors.ts";

/** Version of the shape below; a change that old readers cannot follow gets a new number. */
export const reportFormat = "sheaf-report/1";

/** The heads of a global model, and the two controls that were trained with all classes. */
export type HeadId = "central" | "slim" | "H0" | "H1" | "H2" | "H3" | "H4" | "H5";

/** One classifier over all classes, evaluated on the test samples. */
export interface HeadReport {
  readonly id: HeadId;
  readonly label: string;
  /** Share of test samples classified correctly. */
  readonly accuracy: number;
  /** One per class, in the order of `dataSet.classes`; null where a class has no test sample. */
  readonly perClassAccuracy?: readonly (number | null)[];
  /** Counts; row = true class, column = predicted class. */
  readonly confusion?: readonly (readonly number[])[];
  /** Parameters of the whole classifier. */
  readonly parameters: number;
  readonly note?: string;
}

export type TimelineKind = "download" | "train" | "settle" | "statistics" | "upload";

/** Something that a device did, in seconds of the virtual clock. */
export interface TimelineSegment {
  readonly kind: TimelineKind;
  readonly startSeconds: number;
  readonly endSeconds: number;
}

/** Multiply-adds that Sheaf made a device do; a training step counts as three forward passes. */
export interface DeviceCompute {
  readonly trainOwnMacs: number;
  readonly trainBackgroundMacs: number;
  readonly statisticsMacs: number;
  /** Running a trained target forward for a warm start. */
  readonly warmStartMacs?: number;
  readonly settleMacs?: number;
}

/** `harvested`: in the global model. `rejected`: came back and failed the gate. `lost`: never came back. */
export type DeviceStatus = "harvested" | "rejected" | "lost";

/** Samples that a device holds: one number per class. */
export interface HoldingsReport {
  readonly own: readonly number[];
  readonly background: readonly number[];
}

/** Some training samples of one class, side by side. */
export interface SampleStrip {
  readonly classId: number;
  /** Samples in the picture. */
  readonly count: number;
  /** The picture itself, as a data URL of PNG or WebP. */
  readonly image: string;
}

/** Samples as pictures. */
export interface SamplesReport {
  readonly kind: "image" | "spectrogram" | "array";
  /** Pixels of one sample, and between two. */
  readonly sampleWidth: number;
  readonly sampleHeight: number;
  readonly gap: number;
  readonly strips: readonly SampleStrip[];
}

/** The data set of a run. Of runs before Sheaf 0.2 only names, numbers and source are known. */
export interface DataSetReport {
  readonly name: string;
  readonly classes: readonly string[];
  readonly trainCount: number;
  readonly testCount: number;
  readonly source: string;
  /** Such as "subset" or "stand-in test". */
  readonly note?: string;
  /** What a network is given of one sample: channels, height, width. */
  readonly shape?: readonly [channels: number, height: number, width: number];
  /** Per channel, over the training samples. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /** Samples of each class. Without test samples where these were not looked at. */
  readonly counts?: { readonly train: readonly number[]; readonly validation?: readonly number[]; readonly test?: readonly number[] };
  readonly samples?: SamplesReport;
}

/** One device: what it is, what it was given, what it did. */
export interface DeviceReport {
  readonly id: string;
  readonly profile: string;
  readonly macsPerSecond: number;
  readonly memoryBytes: number;
  readonly bandwidthBitsPerSecond: number;
  /** Class ids, positions in `dataSet.classes`. */
  readonly taskSet: readonly number[];
  /** Width factor of each layer that has one; a single entry when uniform. */
  readonly widths: readonly number[];
  /** Per sample, forward. */
  readonly submodelMacs: number;
  readonly submodelParameters: number;
  readonly ownSamples: number;
  readonly backgroundSamples: number;
  /** The same by class. */
  readonly holdings?: HoldingsReport;
  readonly epochs: number;
  readonly compute: DeviceCompute;
  /** Training the full target on the device's own samples for the same epochs: what the device was spared. */
  readonly fullTargetMacs: number;
  /** `fullTargetMacs` over the sum of `compute`. */
  readonly ratio: number;
  /** Accuracy of the sub-model among the device's own classes and "other"; absent if it was not evaluated. */
  readonly ownClassAccuracy?: number;
  readonly bytesDown: number;
  readonly bytesUp: number;
  /** Peak memory that the planner expects, and what the device may use. */
  readonly memoryEstimateBytes: number;
  readonly memoryLimitBytes: number;
  readonly timeline: readonly TimelineSegment[];
  readonly status: DeviceStatus;
  readonly statusNote?: string;
}

/** A point of a learning curve; at least one of `epoch` (may be fractional) and `step` is given. */
export interface CurvePoint {
  readonly epoch?: number;
  readonly step?: number;
  readonly loss: number;
  readonly accuracy?: number;
  readonly learningRate?: number;
}

/** Learning curve of a device or a control. */
export interface CurveSeries {
  readonly id: string;
  readonly label: string;
  readonly points: readonly CurvePoint[];
}

/** Accuracies of the global model after a settle pass; pass 0 is before the first. */
export interface SettlePassReport {
  readonly pass: number;
  readonly H0: number;
  readonly H2: number;
  /** Ids of devices that took no part in it. */
  readonly skipped: readonly string[];
}

/** Accuracy without some devices: their branches left out, heads made from what the others sent. */
export interface LostDevicesReport {
  /** Ids of the devices lost. */
  readonly devices: readonly string[];
  readonly H0: number;
  readonly H2: number;
}

/** An input or output of the model file. A dimension that is free at run time is given by its name. */
export interface ModelTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

/** Facts of the global model's ONNX file. */
export interface ModelFileReport {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly inputs: readonly ModelTensor[];
  readonly outputs: readonly ModelTensor[];
  readonly opset: number;
  readonly parameters: number;
}

/** Everything that a report says about one run. */
export interface ReportData {
  readonly format: typeof reportFormat;
  readonly title: string;
  readonly command: string;
  readonly seed: number;
  /** Passed in, never read from the clock, so that the same run writes the same bytes. */
  readonly date?: string;
  readonly commit?: string;
  readonly sheafVersion: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly node: string;
    /** Version by package, for instance `{ "onnxruntime-node": "1.30.0" }`. */
    readonly onnxruntime: Readonly<Record<string, string>>;
  };
  readonly dataSet: DataSetReport;
  readonly target: {
    readonly name: string;
    readonly width: number;
    /** Per sample, forward. */
    readonly macs: number;
    readonly parameters: number;
  };
  readonly training: {
    readonly epochs: number;
    readonly batch: number;
    readonly optimizer: string;
    readonly schedule: string;
    readonly augmentation: string;
  };
  /** Background samples of a device as a share of the other devices' samples; absent without devices. */
  readonly rho?: number;
  /** Where background samples came from, as a clause; absent without devices. */
  readonly negatives?: string;
  readonly heads: readonly HeadReport[];
  /** The head that the headline speaks of, and that the model file answers with. */
  readonly mainHead: HeadId;
  /** Empty for a run of the central control alone. */
  readonly devices: readonly DeviceReport[];
  /** Over devices. */
  readonly computeRatio?: { readonly min: number; readonly median: number; readonly max: number };
  readonly bytes?: { readonly down: number; readonly up: number };
  readonly curves: readonly CurveSeries[];
  /** Least Hamming distance between the owners of two classes, and how many lost devices that makes up for; absent without sub-models. */
  readonly code?: { readonly leastDistance: number; readonly correctedErasures: number };
  /** Single devices first, then larger sets. */
  readonly lostDevices?: readonly LostDevicesReport[];
  /** In order, from pass 0; absent without settling. */
  readonly settlePasses?: readonly SettlePassReport[];
  readonly model?: ModelFileReport;
}

const amount: z.ZodNumber = z.number().nonnegative();
const count: z.ZodNumber = z.number().int().nonnegative();
const share: z.ZodNumber = z.number().min(0).max(1);
const text: z.ZodString = z.string();
const headId: z.ZodType<HeadId> = z.enum(["central", "slim", "H0", "H1", "H2", "H3", "H4", "H5"]);

const headSchema = z.object({
  id: headId,
  label: text,
  accuracy: share,
  perClassAccuracy: z.exactOptional(z.array(share.nullable())),
  confusion: z.exactOptional(z.array(z.array(count))),
  parameters: count,
  note: z.exactOptional(text),
});

const deviceSchema = z.object({
  id: text,
  profile: text,
  macsPerSecond: amount,
  memoryBytes: amount,
  bandwidthBitsPerSecond: amount,
  taskSet: z.array(count),
  widths: z.array(z.number().positive()),
  submodelMacs: amount,
  submodelParameters: count,
  ownSamples: count,
  backgroundSamples: count,
  holdings: z.exactOptional(z.object({ own: z.array(count), background: z.array(count) })),
  epochs: amount,
  compute: z.object({
    trainOwnMacs: amount,
    trainBackgroundMacs: amount,
    statisticsMacs: amount,
    warmStartMacs: z.exactOptional(amount),
    settleMacs: z.exactOptional(amount),
  }),
  fullTargetMacs: amount,
  ratio: amount,
  ownClassAccuracy: z.exactOptional(share),
  bytesDown: amount,
  bytesUp: amount,
  memoryEstimateBytes: amount,
  memoryLimitBytes: amount,
  timeline: z.array(
    z.object({ kind: z.enum(["download", "train", "settle", "statistics", "upload"]), startSeconds: amount, endSeconds: amount }),
  ),
  status: z.enum(["harvested", "rejected", "lost"]),
  statusNote: z.exactOptional(text),
});

const curveSchema = z.object({
  id: text,
  label: text,
  points: z.array(
    z.object({
      epoch: z.exactOptional(amount),
      step: z.exactOptional(amount),
      loss: z.number(),
      accuracy: z.exactOptional(share),
      learningRate: z.exactOptional(amount),
    }),
  ),
});

const samplesSchema = z.object({
  kind: z.enum(["image", "spectrogram", "array"]),
  sampleWidth: count.positive(),
  sampleHeight: count.positive(),
  gap: count,
  strips: z.array(
    z.object({
      classId: count,
      count: count.positive(),
      image: z.string().regex(/^data:image\/(?:png|webp);base64,[A-Za-z0-9+/]+={0,2}$/),
    }),
  ),
});

const dataSetSchema: z.ZodType<DataSetReport> = z.object({
  name: text,
  classes: z.array(text).min(1),
  trainCount: count,
  testCount: count,
  source: text,
  note: z.exactOptional(text),
  shape: z.exactOptional(z.tuple([count, count, count])),
  mean: z.exactOptional(z.array(z.number())),
  std: z.exactOptional(z.array(z.number())),
  counts: z.exactOptional(
    z.object({ train: z.array(count), validation: z.exactOptional(z.array(count)), test: z.exactOptional(z.array(count)) }),
  ),
  samples: z.exactOptional(samplesSchema),
});

const tensorSchema = z.object({ name: text, dtype: text, shape: z.array(z.union([z.number(), text])) });

/** Checks the shape and that its parts agree with one another; see {@link parseReportData} for an error in one sentence. */
export const reportDataSchema: z.ZodType<ReportData> = z
  .object({
    format: z.literal(reportFormat),
    title: text,
    command: text,
    seed: z.number(),
    date: z.exactOptional(text),
    commit: z.exactOptional(text),
    sheafVersion: text,
    machine: z.object({ cpu: text, cores: count, node: text, onnxruntime: z.record(text, text) }),
    dataSet: dataSetSchema,
    target: z.object({ name: text, width: z.number().positive(), macs: amount, parameters: count }),
    training: z.object({ epochs: amount, batch: count, optimizer: text, schedule: text, augmentation: text }),
    rho: z.exactOptional(share),
    negatives: z.exactOptional(text),
    heads: z.array(headSchema).min(1),
    mainHead: headId,
    devices: z.array(deviceSchema),
    computeRatio: z.exactOptional(z.object({ min: amount, median: amount, max: amount })),
    bytes: z.exactOptional(z.object({ down: amount, up: amount })),
    curves: z.array(curveSchema),
    code: z.exactOptional(z.object({ leastDistance: count, correctedErasures: count })),
    lostDevices: z.exactOptional(z.array(z.object({ devices: z.array(text).min(1), H0: share, H2: share }))),
    settlePasses: z.exactOptional(z.array(z.object({ pass: count, H0: share, H2: share, skipped: z.array(text) }))),
    model: z.exactOptional(
      z.object({
        file: text,
        bytes: count,
        sha256: text,
        inputs: z.array(tensorSchema),
        outputs: z.array(tensorSchema),
        opset: count,
        parameters: count,
      }),
    ),
  })
  .superRefine((data, context) => {
    for (const problem of disagreements(data)) context.addIssue({ code: "custom", path: problem.path, message: problem.message });
  });

interface Disagreement {
  readonly path: (string | number)[];
  readonly message: string;
}

function disagreements(data: ReportData): Disagreement[] {
  const found: Disagreement[] = [];
  const complain = (path: (string | number)[], message: string): void => void found.push({ path, message });
  const classCount = data.dataSet.classes.length;

  if (!data.heads.some((head) => head.id === data.mainHead))
    complain(["mainHead"], `names "${data.mainHead}", which is not among the heads`);
  data.heads.forEach((head, h) => {
    const { perClassAccuracy, confusion } = head;
    if (perClassAccuracy !== undefined && perClassAccuracy.length !== classCount)
      complain(["heads", h, "perClassAccuracy"], `has ${perClassAccuracy.length} entries for ${classCount} classes`);
    if (confusion !== undefined && (confusion.length !== classCount || confusion.some((row) => row.length !== classCount)))
      complain(["heads", h, "confusion"], `is not ${classCount} rows of ${classCount}`);
  });
  for (const [part, counts] of Object.entries(data.dataSet.counts ?? {}))
    if (counts.length !== classCount) complain(["dataSet", "counts", part], `has ${counts.length} entries for ${classCount} classes`);
  data.dataSet.samples?.strips.forEach(({ classId }, s) => {
    if (classId >= classCount) complain(["dataSet", "samples", "strips", s], `names class ${classId} of ${classCount}`);
  });
  data.devices.forEach((device, d) => {
    for (const [kind, counts] of Object.entries(device.holdings ?? {}))
      if (counts.length !== classCount)
        complain(["devices", d, "holdings", kind], `has ${counts.length} entries for ${classCount} classes`);
    for (const id of device.taskSet) if (id >= classCount) complain(["devices", d, "taskSet"], `names class ${id} of ${classCount}`);
    const macs = totalMacs(device.compute);
    // A device that did nothing (lost at once) has no ratio to check.
    if (macs > 0 && Math.abs(device.fullTargetMacs / macs - device.ratio) > 0.01 * device.ratio)
      complain(
        ["devices", d, "ratio"],
        `is ${device.ratio}, but fullTargetMacs over the sum of compute is ${device.fullTargetMacs / macs}`,
      );
    device.timeline.forEach((segment, s) => {
      if (segment.endSeconds < segment.startSeconds) complain(["devices", d, "timeline", s], "ends before it starts");
    });
  });
  data.curves.forEach((series, c) => {
    series.points.forEach((point, p) => {
      if (point.epoch === undefined && point.step === undefined) complain(["curves", c, "points", p], "has neither epoch nor step");
    });
  });
  return found;
}

/** All multiply-adds that Sheaf made a device do. */
export function totalMacs(compute: DeviceCompute): number {
  const { trainOwnMacs, trainBackgroundMacs, statisticsMacs, warmStartMacs = 0, settleMacs = 0 } = compute;
  return trainOwnMacs + trainBackgroundMacs + statisticsMacs + warmStartMacs + settleMacs;
}

/**
 * Reads report data, for instance the parsed `report.json` of a run directory.
 * @param where what the data is called in the error's sentence, such as a path
 * @throws SheafError `data` when the value is no report, is of another version, or contradicts itself
 */
export function parseReportData(value: unknown, where: string = "report.json"): ReportData {
  const result = reportDataSchema.safeParse(value);
  if (result.success) return result.data;
  const first = result.error.issues[0];
  const place = first === undefined || first.path.length === 0 ? "the top level" : first.path.join(".");
  const more = result.error.issues.length > 1 ? ` (and ${result.error.issues.length - 1} more)` : "";
  throw new SheafError(
    "data",
    `${where} is not a readable ${reportFormat} file: at ${place}: ${first?.message ?? "unknown problem"}${more}; run again to write it anew.`,
    { cause: result.error },
  );
}
