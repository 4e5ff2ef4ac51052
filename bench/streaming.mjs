#!/usr/bin/env node
/**
 * Memory and speed on a data set larger than memory should hold: makes a folder of WAVs or JPEGs of the size asked for, prepares it and
 * trains a small network on it, each in a process of its own, and prints the most memory that each had resident (VmHWM).
 *
 *   npm run build
 *   node bench/streaming.mjs [--kind wav|jpeg] [--gigabytes 1] [--epochs 1] [--network tiny] [--image-size 96] [--limit 1] [--folder PATH] [--keep] [--json]
 *
 * `--gigabytes 5` is what Sheaf's promise is about. Exit code 1 when a process had more than `--limit` gigabytes (10^9 bytes) resident.
 * The files are made in `--folder` (a temporary one unless given), and removed unless --keep; needs about twice the size on that disk.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const { values } = parseArgs({
  options: {
    kind: { type: "string", default: "wav" },
    gigabytes: { type: "string", default: "1" },
    epochs: { type: "string", default: "1" },
    network: { type: "string", default: "tiny" },
    "image-size": { type: "string", default: "96" },
    limit: { type: "string", default: "1" },
    folder: { type: "string" },
    keep: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    /** Set for the processes that are measured. */
    step: { type: "string" },
  },
});
if (!["wav", "jpeg"].includes(values.kind) || !(Number(values.gigabytes) > 0)) {
  process.stderr.write("streaming: --kind is wav or jpeg and --gigabytes above 0; see the head of bench/streaming.mjs.\n");
  process.exit(2);
}

const classes = 10;
/** Different contents of each class; files beyond repeat them, since making gigabytes of different ones takes longer than reading them. */
const variants = 8;

/** Encoded files by class: tones (WAV) or gratings (JPEG) in noise, of a pitch that tells the class. */
async function contents(kind, random) {
  if (kind === "wav") {
    const { encodeWav } = await import("../dist/data/wav.js");
    return Array.from({ length: classes * variants }, (_, i) => {
      const pitch = 200 * 1.4 ** (i % classes);
      const wave = Int16Array.from(
        { length: 16_000 },
        (_, t) => 6000 * Math.sin((2 * Math.PI * pitch * t) / 16_000) + 2000 * random.normal(),
      );
      return encodeWav(wave, 16_000);
    });
  }
  const { default: sharp } = await import("sharp");
  const [width, height] = [640, 480];
  const pictures = Array.from({ length: classes * variants }, (_, i) => {
    const angle = (Math.PI * (i % classes)) / classes;
    const pixels = Uint8Array.from({ length: 3 * width * height }, (_, place) => {
      const [x, y] = [Math.floor(place / 3) % width, Math.floor(place / 3 / width)];
      return Math.max(0, Math.min(255, 128 + 60 * Math.sin((x * Math.cos(angle) + y * Math.sin(angle)) / 8) + 20 * random.normal()));
    });
    return sharp(pixels, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 90 })
      .toBuffer();
  });
  return Promise.all(pictures);
}

async function makeFolder(folder, kind, bytes) {
  const { random } = await import("../dist/util/random.js");
  const files = await contents(kind, random(1, "streaming"));
  for (let label = 0; label < classes; label++) mkdirSync(join(folder, `class${label}`), { recursive: true });
  let written = 0;
  let count = 0;
  for (; written < bytes; count++) {
    const content = files[count % files.length];
    const name = `${String(count).padStart(7, "0")}.${kind === "wav" ? "wav" : "jpg"}`;
    writeFileSync(join(folder, `class${count % classes}`, name), content);
    written += content.length;
  }
  return { files: count, bytes: written };
}

function peakBytes() {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}

/** What a measured process does: prepares the set, or finds it prepared and trains. */
async function step(folder) {
  const { loadOwnData, defaultPreparation } = await import("../dist/data.node.js");
  const side = Number(values["image-size"]);
  const preparation = { ...defaultPreparation, imageSize: { height: side, width: side, channels: 3 } };
  const started = performance.now();
  const options = { preparation, env: { XDG_CACHE_HOME: join(folder, "cache") } };
  const { train, test } = await loadOwnData("streaming", join(folder, "set"), options);
  const loadSeconds = (performance.now() - started) / 1000;
  const samples = train.labels.length + test.labels.length;
  if (values.step === "prepare") return { samples, seconds: loadSeconds, perSecond: samples / loadSeconds, store: train.store.type };

  const { buildModel } = await import("../dist/models.js");
  const { trainHere } = await import("../dist/train.node.js");
  const network = buildModel(values.network, { ...train.shape, mean: train.mean, std: train.std }, classes);
  const job = {
    id: "streaming",
    network,
    dataset: train,
    samples: Uint32Array.from(train.labels.keys()),
    labels: train.labels,
    seed: 1,
    settings: {
      epochs: Number(values.epochs),
      batchSize: 64,
      optimizer: { type: "sgd", momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
      schedule: { type: "cosine", learningRate: 0.05, warmup: 0.05 },
      labelSmoothing: 0,
      emaDecay: 0,
      augmentation: defaultAugmentation(train),
    },
  };
  const trainingStarted = performance.now();
  let last;
  for await (const progress of trainHere(job)) last = progress;
  const seconds = (performance.now() - trainingStarted) / 1000;
  const seen = Number(values.epochs) * train.labels.length;
  return {
    samples: train.labels.length,
    loadSeconds,
    seconds,
    perSecond: seen / seconds,
    accuracy: last.accuracy,
    store: train.store.type,
  };
}

/** Every kind of augmentation that reads the set or its noise. */
function defaultAugmentation({ audio }) {
  const images = { crop: audio ? 0 : 4, flip: !audio, cutout: 0 };
  const off = { timeShiftMs: 0, noiseProbability: 0, noiseVolume: 0, timeMaskFrames: 0, frequencyMaskBands: 0, masks: 0 };
  return { ...images, audio: audio ? { ...off, timeShiftMs: 100, noiseProbability: 0.8, noiseVolume: 0.1 } : off };
}

async function measured(name, folder) {
  const carried = Object.entries(values).flatMap(([key, value]) =>
    typeof value === "string" && key !== "step" && key !== "folder" ? [`--${key}`, value] : [],
  );
  const script = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...carried, "--folder", folder, "--step", name], {
    maxBuffer: 2 ** 24,
  });
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

if (values.step) {
  const outcome = await step(values.folder);
  process.stdout.write(`${JSON.stringify({ ...outcome, peakBytes: peakBytes() })}\n`);
} else {
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), "sheaf-streaming-"));
  const log = (text) => values.json || process.stdout.write(`${text}\n`);
  try {
    const made = await makeFolder(join(folder, "set"), values.kind, Number(values.gigabytes) * 1e9);
    log(`${made.files} ${values.kind} files, ${(made.bytes / 1e9).toFixed(2)} GB`);
    const prepare = await measured("prepare", folder);
    const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`;
    log(`prepare  ${prepare.seconds.toFixed(1)} s, ${Math.round(prepare.perSecond)} samples/s, peak ${megabytes(prepare.peakBytes)}`);
    const train = await measured("train", folder);
    log(
      `train    ${train.seconds.toFixed(1)} s, ${Math.round(train.perSecond)} samples/s, peak ${megabytes(train.peakBytes)}; records in ${train.store}; ` +
        `found prepared in ${train.loadSeconds.toFixed(1)} s; accuracy of the last epoch ${(100 * train.accuracy).toFixed(1)} %`,
    );
    const limitBytes = Number(values.limit) * 1e9;
    const isHeld = Math.max(prepare.peakBytes, train.peakBytes) <= limitBytes;
    log(`The limit of ${values.limit} GB resident was ${isHeld ? "held" : "broken"}.`);
    if (values.json) process.stdout.write(`${JSON.stringify({ kind: values.kind, ...made, prepare, train, limitBytes, isHeld })}\n`);
    process.exitCode = isHeld ? 0 : 1;
  } finally {
    if (!values.keep) {
      rmSync(join(folder, "set"), { recursive: true, force: true });
      rmSync(join(folder, "cache"), { recursive: true, force: true });
      if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
    }
  }
}
