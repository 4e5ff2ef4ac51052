/** The user's own data and a network made elsewhere, through the command line: from files to a model that is used. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sampleSize } from "../../src/data/dataset.ts";
import { encodePng } from "../../src/data/images.node.ts";
import { encodeWav } from "../../src/data/wav.ts";
import { random } from "../../src/util/random.ts";
import { built, json, type Scratch, scratch, sheaf, succeed } from "./sheaf.ts";

interface Result {
  readonly accuracy: Readonly<Record<string, number>>;
  readonly balancedAccuracy: Readonly<Record<string, number>>;
  readonly evaluatedOn: string;
  readonly dataSet: { readonly name: string; readonly train: number; readonly test: number };
  readonly compute: {
    readonly byDevice: readonly { readonly warmStartMacs: number; readonly fullTargetMacs: number; readonly ratio: number }[];
  };
}

const quick =
  "--network tiny --batch 16 --set fleet.width=0.5 --set rho=0.5 --set controls.slim=false --set training.augmentation.flip=false".split(
    " ",
  );

let folder: Scratch;
beforeAll(async () => {
  folder = await scratch("own");
});
afterAll(() => folder.remove());

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

const shape = { channels: 3, height: 24, width: 24 };
const classes = ["across", "chequered", "down"];

/** Stripes across, stripes down and a chequered pattern, shifted and in noise. */
async function writeImages(root: string, perClass: number): Promise<void> {
  const bright = [
    (y: number, _x: number) => y % 8 < 4,
    (y: number, x: number) => (Math.floor(y / 4) + Math.floor(x / 4)) % 2 === 0,
    (_y: number, x: number) => x % 8 < 4,
  ];
  for (const [label, name] of classes.entries()) {
    for (let i = 0; i < perClass; i++) {
      const source = random(label, "own image", i);
      const [dy, dx] = [source.below(8), source.below(8)];
      const pixels = Uint8Array.from({ length: sampleSize(shape) }, (_, at) => {
        const pixel = at % (24 * 24);
        return (bright[label]?.(Math.floor(pixel / 24) + dy, (pixel % 24) + dx) ? 130 : 60) + source.below(60);
      });
      await write(`${root}/${name}/${i}.png`, await encodePng(pixels, shape));
    }
  }
}

/** A tone that rises, one that falls, and one that stays, of 0.7 to 1.1 seconds. */
function sweep(label: number, i: number): Int16Array {
  const source = random(label, "own clip", i);
  const length = 11_000 + source.below(6_000);
  const from = 500 + source.below(300);
  const slope = [1500, -1500, 0][label] ?? 0;
  const base = slope < 0 ? from + 1500 : from;
  let phase = 0;
  return Int16Array.from({ length }, (_, t) => {
    phase += (2 * Math.PI * (base + (slope * t) / length)) / 16_000;
    return 7000 * Math.sin(phase) + source.below(600);
  });
}

async function writeClips(root: string, perClass: number): Promise<void> {
  for (const [label, name] of ["rise", "fall", "stay"].entries()) {
    for (let i = 0; i < perClass; i++) await write(`${root}/${name}/${i}.wav`, encodeWav(sweep(label, i), 16_000));
  }
}

describe.skipIf(!built)("a folder of images per class", () => {
  const args = (): string[] => [
    "--data-set",
    folder.at("images"),
    ...quick,
    "--set",
    "data.imageSize.height=16",
    "--set",
    "data.imageSize.width=16",
  ];
  beforeAll(() => writeImages(folder.at("images"), 40));

  it("trains, is evaluated on a part split off, and its model answers for files", async () => {
    const result = (await json(["run", ...args(), "--epochs", "6", "--out", folder.at("run")], { cwd: folder.path })) as Result;
    expect(result.dataSet).toEqual({ name: "images", train: 96, test: 24 });
    expect(result.accuracy.central).toBeGreaterThan(0.7);
    expect(result.accuracy.H2).toBeGreaterThan(0.7);
    const evaluated = (await json(["eval", folder.at("run"), ...args().slice(0, 2), ...args().slice(-4)], { cwd: folder.path })) as Result;
    expect(evaluated.accuracy).toBe(result.accuracy.H2);
    const answer = (await json(["predict", folder.at("run"), folder.at("images", "down", "3.png")])) as {
      predictions: { class: string }[];
    };
    expect(classes).toContain(answer.predictions[0]?.class);
  });

  it("can be evaluated on validation samples without a look at the test samples", async () => {
    const flags = [
      "--epochs",
      "1",
      "--set",
      "data.evaluateOn=validation",
      "--set",
      "data.validationShare=0.25",
      "--out",
      folder.at("validated"),
    ];
    const result = (await json(["run", ...args(), ...flags], { cwd: folder.path })) as Result;
    expect(result.evaluatedOn).toBe("validation");
    expect(result.dataSet).toEqual({ name: "images", train: 72, test: 24 });
  });

  it("refuses a cut image by its path, and leaves it out when asked", async () => {
    const image = await encodePng(new Uint8Array(sampleSize(shape)).fill(9), shape);
    await writeImages(folder.at("spoilt"), 10);
    await write(folder.at("spoilt", "down", "cut.png"), image.subarray(0, image.length - 30));
    const run = ["run", "--data-set", folder.at("spoilt"), ...quick, "--epochs", "1"];
    const refused = await sheaf([...run, "--out", folder.at("refused")], { cwd: folder.path });
    expect(refused.code).toBe(4);
    expect(refused.stderr).toContain(folder.at("spoilt", "down", "cut.png"));
    expect(refused.stderr).toContain("data.skipBadFiles");
    expect(refused.stderr).not.toMatch(/\n\s+at /);
    const passed = await succeed([...run, "--set", "data.skipBadFiles=true", "--out", folder.at("passed")], { cwd: folder.path });
    expect(passed.stderr).toMatch(/1 sample left out, the first: .*cut\.png/);
  });
});

describe.skipIf(!built)("a folder of WAVs per class", () => {
  it("gives a model that takes waves of any length", async () => {
    await writeClips(folder.at("clips"), 40);
    const options = { cwd: folder.path };
    const args = ["--data-set", folder.at("clips"), ...quick, "--epochs", "12", "--set", "data.features.melBands=20"];
    const result = (await json(["run", ...args, "--out", folder.at("sounds")], options)) as Result;
    expect(result.dataSet).toEqual({ name: "clips", train: 96, test: 24 });
    expect(result.accuracy.H2).toBeGreaterThan(0.6);
    expect(result.accuracy.central).toBeGreaterThan(0.6);
    // A long recording at another rate: quiet, then a rising tone.
    const rise = sweep(0, 99);
    const long = new Int16Array(3 * 48_000);
    for (let t = 0; t < 48_000; t++) long[60_000 + t] = rise[Math.min(rise.length - 1, Math.floor(t / 3))] ?? 0;
    await write(folder.at("long.wav"), encodeWav(long, 48_000));
    const { predictions } = (await json(["predict", folder.at("sounds"), folder.at("long.wav"), folder.at("clips", "rise", "0.wav")])) as {
      predictions: { class: string; startMs?: number }[];
    };
    expect(predictions[0]?.startMs).toBeGreaterThanOrEqual(0);
    expect(predictions[1]?.startMs).toBeUndefined();
    const wrong = await sheaf(["predict", folder.at("sounds"), folder.at("images", "down", "3.png")]);
    expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringMatching(/3\.png: expected .*RIFF|3\.png/)]);
  });
});

describe.skipIf(!built)("a trained network made elsewhere", () => {
  const patterns = (): string[] => ["--data-set", folder.at("patterns"), ...quick];
  beforeAll(async () => {
    await writeImages(folder.at("patterns"), 60);
    await succeed(["train", ...patterns(), "--epochs", "12", "--out", folder.at("trained")]);
    await succeed(["import", folder.at("trained", "model.onnx"), "--out", folder.at("imported")]);
  });

  it("starts devices ahead of where they start from scratch", async () => {
    // One epoch at a rate too low to learn much in it.
    const fleet = [...patterns(), "--epochs", "1", "--set", "fleet.learningRate=0.001", "--set", "controls.central=false"];
    const scratchRun = (await json(["run", ...fleet, "--out", folder.at("scratch")])) as Result;
    const weights = ["--set", `target.weights=${folder.at("imported", "weights.safetensors")}`];
    const network = ["--network", folder.at("imported", "network.json")];
    const warm = (await json(["run", ...fleet, ...network, ...weights, "--out", folder.at("warm")])) as Result;
    expect(warm.accuracy.H0).toBeGreaterThan((scratchRun.accuracy.H0 ?? 1) + 0.1);
    for (const device of warm.compute.byDevice) {
      expect(device.warmStartMacs).toBeGreaterThan(0);
      // The activation pass is charged: some forward passes of the target.
      expect(device.warmStartMacs).toBeLessThan(device.fullTargetMacs);
    }
    expect(scratchRun.compute.byDevice.every((device) => device.warmStartMacs === 0)).toBe(true);
    const resumed = (await json(["run", ...fleet, ...network, ...weights, "--out", folder.at("warm"), "--resume"])) as Result;
    expect(resumed.accuracy).toEqual(warm.accuracy);
  });

  it("takes another task with a new head, straight from the model file", async () => {
    await writeImages(folder.at("other"), 20);
    const args = ["run", "--data-set", folder.at("other"), ...quick, "--network", folder.at("trained", "model.onnx"), "--epochs", "2"];
    const result = (await json([...args, "--out", folder.at("transferred")], { cwd: folder.path })) as Result;
    expect(Object.keys(result.accuracy)).toContain("central");
    const { stderr, code } = await sheaf([...args, "--set", "data.imageSize.height=16", "--out", folder.at("unfit")], { cwd: folder.path });
    expect([code, stderr]).toEqual([
      5,
      expect.stringMatching(/model\.onnx takes 3x32x32 inputs, but the data has 3x16x32.*data\.imageSize/),
    ]);
  });
});
