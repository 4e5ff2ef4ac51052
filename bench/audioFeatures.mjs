#!/usr/bin/env node
/**
 * Audio features on this machine: milliseconds of processor time for a second of audio by the extractor and by the graph (native, WebAssembly), one
 * thread each, and how far the graph's float32 features are from the extractor's float64 ones. With --before, also by the extractor of another build.
 *
 *   npm run build
 *   node bench/audioFeatures.mjs SPEECH_COMMANDS_FOLDER [--clips 2000] [--rounds 7] [--before OTHER/dist] [--json]
 *
 * The clips are the first of each word by name, cut or padded with zeros to a second. Ways take turns within a round; the median over rounds counts.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { defaultAudioFeatures, featureGraph, featureMacs, featureShape, openExtractor } from "../dist/features.js";
import { GraphBuilder, writeOnnx } from "../dist/onnx.js";
import { openSession as openNative } from "../dist/runtime.node.js";
import { openSession as openWeb } from "../dist/runtime.web.js";

const samples = 16_000;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clips: { type: "string", default: "2000" },
    rounds: { type: "string", default: "7" },
    before: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const [folder] = positionals;
if (!folder) {
  process.stderr.write("audioFeatures: name the folder of Speech Commands; see the head of bench/audioFeatures.mjs.\n");
  process.exit(2);
}

/** 16-bit mono after a header of 44 bytes, as all clips of Speech Commands are. */
function readClip(path) {
  const bytes = readFileSync(path);
  return Float32Array.from({ length: samples }, (_, i) => (46 + 2 * i <= bytes.length ? bytes.readInt16LE(44 + 2 * i) / 32_768 : 0));
}

function readClips(count) {
  const words = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !entry.name.startsWith("_"));
  return words.flatMap(({ name }) => {
    const files = readdirSync(join(folder, name)).filter((file) => file.endsWith(".wav"));
    return files
      .sort()
      .slice(0, Math.ceil(count / words.length))
      .map((file) => readClip(join(folder, name, file)));
  });
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const before = values.before && (await import(pathToFileURL(resolve(values.before, "features.js")).href));
const clips = readClips(Number(values.clips));
const results = {};
for (const type of ["logMel", "mfcc"]) {
  const features = { ...defaultAudioFeatures, type };
  const { height, width } = featureShape(features, samples);
  const into = new Float32Array(height * width);
  const extractor = openExtractor(features, samples);
  const builder = new GraphBuilder();
  builder.output("features", featureGraph(builder, builder.input("audio", "float32", [1, samples]), features));
  const model = writeOnnx(builder.build("features"), { batchAxis: "N" });
  const sessions = { native: await openNative(model), wasm: await openWeb(model, { threads: 1 }) };
  const hear = async (session, clip) => (await session.run({ audio: { dtype: "float32", shape: [1, samples], data: clip } })).features.data;

  let largest = 0;
  let above = 0;
  for (const clip of clips) {
    extractor.extract(clip, into);
    const heard = await hear(sessions.native, clip);
    for (let i = 0; i < into.length; i++) {
      const difference = Math.abs(heard[i] - into[i]);
      largest = Math.max(largest, difference);
      if (difference > 1e-4) above++;
    }
  }

  const earlier = before?.openExtractor(features, samples);
  const ways = {
    ...(earlier && { before: (clip) => earlier.extract(clip, into) }),
    extractor: (clip) => extractor.extract(clip, into),
    native: (clip) => hear(sessions.native, clip),
    wasm: (clip) => hear(sessions.wasm, clip),
  };
  const times = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
  const timed = clips.slice(0, 300);
  // The first round warms up and is not counted.
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const [way, run] of Object.entries(ways)) {
      const start = process.cpuUsage();
      for (const clip of timed) await run(clip);
      const { user, system } = process.cpuUsage(start);
      if (round > 0) times[way].push((user + system) / 1000 / timed.length);
    }
  }
  for (const session of Object.values(sessions)) await session.dispose();
  results[type] = {
    clips: clips.length,
    macs: featureMacs(features, samples),
    modelBytes: model.length,
    milliseconds: Object.fromEntries(Object.entries(times).map(([way, list]) => [way, Number(median(list).toFixed(3))])),
    largestDifference: largest,
    shareAbove1e4: above / (clips.length * into.length),
  };
}
if (values.json) console.log(JSON.stringify(results));
else console.dir(results, { depth: null });
