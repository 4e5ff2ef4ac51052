/** The person's samples as a data set: prepared from files in this browser, kept in its storage, found again when the tab comes back. */
import { audioSourceOf } from "../../src/agent/offered.ts";
import { openClipDecoder } from "../../src/data/clipDecoder.ts";
import { type Dataset, sharedBytes, sharedLabels } from "../../src/data/dataset.ts";
import { sampleStatistics } from "../../src/data/sampleStatistics.ts";
import { openMemorySamples } from "../../src/data/samples.ts";
import type { InvitedRun } from "../../src/protocol/invitation.ts";
import { sha256 } from "../../src/train/fingerprint.ts";
import { SheafError } from "../../src/util/errors.ts";
import { openPictureDecoder } from "./decodePicture.ts";
import type { Brought, Held } from "./messages.ts";
import type { PrivateFiles } from "./privateFiles.ts";
import { openSlots } from "./slots.ts";

const valuesFile = "samples/values";

/** What is written down beside the values. */
interface Kept {
  readonly run: InvitedRun;
  readonly labels: readonly number[];
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly sha256: string;
}

/** Prepared samples. */
export interface OwnSamples {
  readonly run: InvitedRun;
  readonly dataset: Dataset;
}

/** How many there are of each class. */
export function heldOf({ dataset, run }: OwnSamples): Held {
  const counts = Array.from({ length: run.classNames.length }, () => 0);
  for (const label of dataset.labels) counts[label] = (counts[label] as number) + 1;
  return { counts, bytes: dataset.store.type === "memory" ? dataset.store.values.byteLength : 0 };
}

type Decode = (brought: Brought) => Promise<Uint8Array>;

/** Decodes a file to the bytes of one record. */
function openDecoder(run: InvitedRun): { readonly recordBytes: number; readonly decode: Decode; close(): Promise<void> } {
  const { preparation, sampleShape } = run;
  const { channels, height, width } = sampleShape;
  if (preparation?.audio) {
    const { features, samples } = preparation.audio;
    const clips = openClipDecoder(features.sampleRate);
    return {
      recordBytes: 2 * samples,
      async decode({ file, name }) {
        const clip = await clips.clip(new Uint8Array(await file.arrayBuffer()), name, samples);
        return new Uint8Array(clip.buffer, clip.byteOffset, clip.byteLength);
      },
      close: () => clips.close(),
    };
  }
  if (channels !== 1 && channels !== 3)
    throw new SheafError("data", `Run "${run.name}" trains on arrays of ${channels} channels, which a browser cannot make of pictures.`);
  const decode = openPictureDecoder(sampleShape, preparation?.resize ?? "cover");
  return { recordBytes: channels * height * width, decode: ({ file, name }) => decode(file, name), close: async () => undefined };
}

function datasetOf({ run, labels, mean, std, sha256: hash }: Kept, bytes: Uint8Array): Dataset {
  const shared = sharedBytes(bytes.length);
  shared.set(bytes);
  const audio = run.preparation && audioSourceOf(run.preparation);
  const ids = sharedLabels(labels.length);
  ids.set(labels);
  return {
    name: "own samples",
    classNames: run.classNames,
    shape: run.sampleShape,
    labels: ids,
    store: { type: "memory", values: audio ? new Int16Array(shared.buffer) : shared },
    ...(audio ? { audio } : {}),
    mean,
    std,
    provenance: { source: "prepared in a browser", sha256: hash },
    ...(run.otherClass === undefined ? {} : { otherClass: run.otherClass }),
  };
}

/** By class and then by name, as Node reads folders: what is learned follows from the samples, whatever order a browser lists them in. */
function inOrder(brought: readonly Brought[], { classNames }: InvitedRun): readonly Brought[] {
  const labels = new Map(classNames.map((name, label) => [name, label]));
  const labelOf = ({ className }: Brought): number => labels.get(className) ?? 0;
  return [...brought].sort((a, b) => labelOf(a) - labelOf(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** Longest list of files that could not be read. */
const mostProblems = 20;

/**
 * Prepares samples and keeps them. What cannot be read is left out and told of. Throws `data` where nothing can be read, `storage` where it cannot be kept.
 */
export async function prepareSamples(
  files: PrivateFiles,
  run: InvitedRun,
  brought: readonly Brought[],
  onProgress: (done: number) => void,
): Promise<OwnSamples & { readonly problems: readonly string[] }> {
  const decoder = openDecoder(run);
  const all = new Uint8Array(decoder.recordBytes * brought.length);
  const labels: number[] = [];
  const problems: string[] = [];
  try {
    for (const [i, each] of inOrder(brought, run).entries()) {
      try {
        const record = await decoder.decode(each);
        all.set(record, labels.length * decoder.recordBytes);
        labels.push(run.classNames.indexOf(each.className));
      } catch (error) {
        if (!(error instanceof SheafError && error.code === "data")) throw error;
        if (problems.length < mostProblems) problems.push(error.message);
      }
      onProgress(i + 1);
    }
  } finally {
    await decoder.close();
  }
  if (labels.length === 0) throw new SheafError("data", `None of the ${brought.length} files could be read. ${problems[0] ?? ""}`);
  const values = all.slice(0, labels.length * decoder.recordBytes);
  const raw: Kept = { run, labels, mean: run.sampleShape.channels === 1 ? [0] : [0, 0, 0], std: [1, 1, 1], sha256: await sha256(values) };
  using samples = openMemorySamples(datasetOf(raw, values));
  const kept: Kept = { ...raw, ...(await sampleStatistics(samples, 0)) };
  await write(files, kept, values);
  return { run, dataset: datasetOf(kept, values), problems };
}

/** The list counts only with the values in place, whose hash it has. */
async function write(files: PrivateFiles, kept: Kept, values: Uint8Array<ArrayBuffer>): Promise<void> {
  await files.write(valuesFile, values);
  await openSlots(files, "samples/list").write(new TextEncoder().encode(JSON.stringify(kept)));
}

/** Keeps samples that the run gave as those of this browser. Throws `storage` where they cannot be kept. */
export async function keepGiven(files: PrivateFiles, run: InvitedRun, { labels, mean, std, store }: Dataset): Promise<OwnSamples> {
  if (store.type !== "memory") throw new SheafError("internal", "Samples that were given to a browser lie in its memory.");
  const { buffer, byteOffset, byteLength } = store.values;
  const values = new Uint8Array(buffer, byteOffset, byteLength).slice();
  const kept: Kept = { run, labels: [...labels], mean, std, sha256: await sha256(values) };
  await write(files, kept, values);
  return { run, dataset: datasetOf(kept, values) };
}

/** The samples that were kept; undefined where there are none, or not whole. */
export async function readSamples(files: PrivateFiles): Promise<OwnSamples | undefined> {
  const list = await openSlots(files, "samples/list").read();
  const values = await files.read(valuesFile);
  if (!list || !values) return undefined;
  const kept = JSON.parse(new TextDecoder().decode(list)) as Kept;
  if ((await sha256(values)) !== kept.sha256) return undefined;
  return { run: kept.run, dataset: datasetOf(kept, values) };
}

/** Forgets the samples. */
export async function forgetSamples(files: PrivateFiles): Promise<void> {
  await files.remove("samples");
}
