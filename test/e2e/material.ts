/** Real pictures and real recordings, where SHEAF_DATA has them, as folders for devices: a folder for each class below `train`, and one sample below `test`. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { cifarShape, parseCifar, parseClassNames } from "../../src/data/cifar.ts";
import { drawGlyphs, glyphClassNames, glyphShape } from "../../src/data/glyphs.ts";
import { type Pictures, writePictures } from "./browser.ts";

const data = process.env.SHEAF_DATA ? resolve(process.env.SHEAF_DATA) : undefined;

/** Something to learn from, on the coordinator and on devices. */
export interface Material {
  /** For the names of tests. */
  readonly name: string;
  /** The data set on the coordinator and for the model's evaluation. */
  readonly dataSet: readonly string[];
  /** Writes `count` samples of the device `index` below `folder`; the samples of two devices differ. Gives the training samples' bytes, as files and as values. */
  readonly write: (folder: string, count: number, index: number) => Promise<readonly Uint8Array[]>;
}

async function writeParts(folder: string, pictures: Pictures): Promise<readonly Uint8Array[]> {
  const { labels, pixels } = pictures;
  await writePictures(join(folder, "test"), { ...pictures, labels: Array.from(labels).slice(0, 1) });
  return [pixels, ...(await writePictures(join(folder, "train"), pictures))];
}

const glyphs: Material = {
  name: "drawn pictures",
  dataSet: "--data-set glyphs --train-count 200 --test-count 100".split(" "),
  write: (folder, count, index) =>
    writeParts(folder, { classNames: glyphClassNames, shape: glyphShape, ...drawGlyphs(count, { seed: 3 + index, split: "train" }) }),
};

const cifar = (from: string): Material => ({
  name: "real CIFAR-10 pictures",
  dataSet: ["--data-set", "cifar10", "--data", from],
  async write(folder, count, index) {
    const path = join(from, "cifar-10-batches-bin");
    const meta = await readFile(join(path, "batches.meta.txt"));
    const classNames = parseClassNames({ name: "batches.meta.txt", bytes: meta }, 10);
    const recordBytes = 1 + 3072;
    const bytes = (await readFile(join(path, "data_batch_1.bin"))).subarray(index * count * recordBytes, (index + 1) * count * recordBytes);
    return writeParts(folder, {
      classNames,
      shape: cifarShape,
      ...parseCifar([{ name: "data_batch_1.bin", bytes }], { fine: classNames }),
    });
  },
});

const speech = (from: string): Material => ({
  name: "real recordings of words",
  dataSet: ["--data-set", "speech-commands", "--data", from],
  async write(folder, count, index) {
    const path = join(from, "speech_commands");
    const lines = async (name: string): Promise<readonly string[]> => (await readFile(join(path, name), "utf8")).trim().split("\n");
    const testing = await lines("testing_list.txt");
    const others = new Set([...testing, ...(await lines("validation_list.txt"))]);
    const copy = async (part: string, clip: string): Promise<void> => {
      const to = join(folder, part, clip);
      await mkdir(join(to, ".."), { recursive: true });
      await copyFile(join(path, clip), to);
    };
    await copy("test", testing[0] as string);
    const words = (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name);
    const each = Math.ceil(count / words.length);
    const written: Uint8Array[] = [];
    for (const word of words.sort()) {
      const clips = (await readdir(join(path, word))).map((file) => `${word}/${file}`).filter((clip) => !others.has(clip));
      for (const clip of clips.sort().slice(index * each, (index + 1) * each)) {
        await copy("train", clip);
        written.push(await readFile(join(path, clip)));
      }
    }
    return written;
  },
});

const has = (name: string): boolean => data !== undefined && existsSync(join(data, name));

/** Real pictures, or drawn ones where there are none. */
export const pictures: Material = data !== undefined && has("cifar-10-batches-bin") ? cifar(data) : glyphs;

/** Real recordings; undefined where there are none. */
export const recordings: Material | undefined = data !== undefined && has("speech_commands") ? speech(data) : undefined;
