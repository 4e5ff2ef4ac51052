/** Looks into loaded data: counts per class, samples as pictures, and what each device of a fleet holds. */

import { classCountsOf } from "../data/background.ts";
import type { Dataset } from "../data/dataset.ts";
import { pictureDataUrl } from "../data/images.node.ts";
import { pictureSize, samplePictures } from "../data/pictures.ts";
import type { PreparedSplits } from "../data/prepare.node.ts";
import { openSamples } from "../data/samples.node.ts";
import { samplesPerClass } from "../report/charts/samplesChart.ts";
import type { InspectData } from "../report/inspectPage.ts";
import type { DataSetReport, HoldingsReport, SamplesReport } from "../report/reportData.ts";
import { SheafError } from "../util/errors.ts";
import type { RunConfig } from "./config.ts";
import type { LoadedData } from "./loadData.ts";
import { sheafVersion } from "./machine.ts";
import { type PreparedDevice, prepareRun } from "./prepare.ts";
import { buildTarget, fitOf } from "./target.ts";

/** Classes that pictures show at most. */
const mostClasses = 100;
/** Higher samples are drawn smaller. */
const mostHeight = 64;
/** Room for the pictures in a report. */
const mostBytes = 140_000;

/** Samples of each class of a training set, as WebP small enough for a report or as PNG without loss. */
export async function samplesReport(train: Dataset, encoding: "small" | "lossless"): Promise<SamplesReport> {
  const { kind, width, height } = pictureSize(train);
  const shrink = Math.min(1, mostHeight / height);
  const [sampleWidth, sampleHeight] = [Math.max(1, Math.round(width * shrink)), Math.max(1, Math.round(height * shrink))];
  const classes = Math.min(mostClasses, train.classNames.length);
  const samples = openSamples(train);
  try {
    let perClass = samplesPerClass(classes, sampleWidth);
    // Fewer colours first, then fewer samples.
    for (let quality = 85; ; ) {
      const pictures = samplePictures(samples, { perClass, classes });
      const strips = await Promise.all(
        pictures.strips.map(async (strip) => ({
          classId: strip.classId,
          count: strip.count,
          image: await pictureDataUrl(strip, encoding === "small" ? { format: "webp", quality } : { format: "png" }, mostHeight),
        })),
      );
      const bytes = strips.reduce((sum, { image }) => sum + image.length, 0);
      if (encoding === "lossless" || bytes <= mostBytes || perClass === 1) {
        return { kind, sampleWidth, sampleHeight, gap: Math.max(1, Math.round(pictures.gap * shrink)), strips };
      }
      if (quality > 45) quality -= 20;
      else perClass = Math.max(1, Math.min(perClass - 1, Math.floor((perClass * mostBytes) / bytes)));
    }
  } finally {
    samples.close();
  }
}

const countsOf = ({ labels, classNames }: Dataset): number[] => {
  const counts = classNames.map(() => 0);
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
};

/** What a report says of a data set. */
export async function dataSetReport(data: LoadedData, encoding: "small" | "lossless" = "small"): Promise<DataSetReport> {
  const { train, test, validation, note } = data;
  const { channels, height, width } = train.shape;
  return {
    name: train.name,
    classes: train.classNames,
    trainCount: train.labels.length,
    testCount: test.labels.length,
    source: train.provenance.source,
    ...(note === undefined ? {} : { note }),
    shape: [channels, height, width],
    mean: train.mean,
    std: train.std,
    counts: {
      train: countsOf(train),
      ...(data.evaluatedOn === "validation"
        ? { validation: countsOf(test) }
        : { ...(validation ? { validation: countsOf(validation) } : {}), test: countsOf(test) }),
    },
    samples: await samplesReport(train, encoding),
  };
}

/** What a device holds, by class. */
export function holdingsOf(
  { labels, classNames }: Dataset,
  { own, background }: Pick<PreparedDevice, "own" | "background">,
): HoldingsReport {
  return { own: classCountsOf(labels, classNames.length, own), background: classCountsOf(labels, classNames.length, background) };
}

/** What the preparation of own data leaves beside the samples. */
type Told = Partial<Pick<PreparedSplits, "skipped">>;

/** Skipped files that are named. */
const named = 5;

/**
 * A look into a configured data set, with lossless pictures: what it is, and what each device of the configured fleet holds under the
 * configured partition. Where there is no plan for the fleet, or the target does not fit the data, `noPlan` says why.
 * Throws `data` when samples cannot be read.
 */
export async function inspectData(config: RunConfig, data: LoadedData): Promise<InspectData> {
  const { skipped = [] } = data as LoadedData & Told;
  const dataSet = await dataSetReport(data, "lossless");
  let devices: InspectData["devices"] = [];
  let noPlan: string | undefined;
  try {
    const prepared = prepareRun(config, await buildTarget(config, fitOf(data.train)), data.train);
    devices = prepared.devices.map((device) => ({
      id: device.planned.id,
      profile: device.planned.profile.name,
      holdings: holdingsOf(data.train, device),
    }));
  } catch (error) {
    if (!(error instanceof SheafError) || error.code === "internal") throw error;
    noPlan = error.message.replace(/\.$/, "");
  }
  const { type, ...settings } = config.partition;
  const details = Object.entries(settings).map(([key, value]) => `${key} ${value}`);
  return {
    sheafVersion,
    dataSet,
    sha256: data.train.provenance.sha256,
    skipped: { count: skipped.length, first: skipped.slice(0, named) },
    partition: [type, ...details].join(", "),
    devices,
    ...(noPlan === undefined ? {} : { noPlan }),
  };
}
