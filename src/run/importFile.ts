/** Imports an ONNX file and shows, by running both, that the network gives what the original gives. */
import { compileInference } from "../compile/deploy.ts";
import { type ImportedNetwork, type ImportOptions, importNetwork } from "../import/importNetwork.ts";
import { outputShape } from "../network/shapes.ts";
import { writeOnnx } from "../onnx/write.ts";
import { openSession } from "../runtime/session.node.ts";
import { readFileChecked } from "../util/files.node.ts";
import { random } from "../util/random.ts";
import { type Tensor, zeros } from "../util/tensor.ts";

/** How far an imported network is from its original, on random input. */
export interface ImportCheck {
  readonly samples: number;
  /** Largest difference between two outputs; of probabilities or log-probabilities where the original gives those. */
  readonly maxDifference: number;
  /** Largest output of the original, by magnitude: what the difference is to be held against. */
  readonly maxOutput: number;
}

/** Differences above this share of the largest output are no rounding. */
export const importTolerance = 1e-3;

/** Softmax of each row, and its logarithm on demand. */
function softmaxRows(values: ArrayLike<number>, width: number, logarithm: boolean): Float64Array {
  const result = new Float64Array(values.length);
  for (let row = 0; row < values.length; row += width) {
    let most = -Infinity;
    for (let i = 0; i < width; i++) most = Math.max(most, values[row + i] as number);
    let sum = 0;
    for (let i = 0; i < width; i++) sum += Math.exp((values[row + i] as number) - most);
    for (let i = 0; i < width; i++) {
      const log = (values[row + i] as number) - most - Math.log(sum);
      result[row + i] = logarithm ? log : Math.exp(log);
    }
  }
  return result;
}

/** The same images with channels last. */
function channelsLast(image: Tensor<"float32">): Tensor<"float32"> {
  const [batch = 0, channels = 0, height = 0, width = 0] = image.shape;
  const pixels = height * width;
  const result = zeros("float32", [batch, height, width, channels]);
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      for (let p = 0; p < pixels; p++) result.data[(n * pixels + p) * channels + c] = image.data[(n * channels + c) * pixels + p] as number;
    }
  }
  return result;
}

/**
 * Runs original and import on the same random values and compares. `mean` and `std` are those that the import was given: the original gets
 * values prepared with them, the import prepares them itself.
 */
export async function checkImport(
  bytes: Uint8Array,
  imported: ImportedNetwork,
  { mean, std }: Pick<ImportOptions, "mean" | "std"> = {},
  seed = 0,
): Promise<ImportCheck> {
  const { network, parameters, source, audio } = imported;
  const { channels, height, width } = network.input;
  // One where the file leaves it open: some exports say that any number goes, and yet reshape to one.
  const samples = source.batch ?? 1;
  const classes = outputShape(network).channels;
  const raw = zeros("float32", audio ? [samples, audio.samples] : [samples, channels, height, width]);
  const prepared = zeros("float32", raw.shape);
  const pixels = height * width;
  const generator = random(seed, "checkImport");
  for (let i = 0; i < raw.data.length; i++) {
    if (audio) {
      prepared.data[i] = 2 * generator.uniform() - 1;
      raw.data[i] = prepared.data[i] as number;
      continue;
    }
    const c = Math.floor(i / pixels) % channels;
    // As the network itself will see them: spread like normalized images.
    const value = generator.normal();
    raw.data[i] = (network.input.mean[c] as number) + (network.input.std[c] as number) * value;
    prepared.data[i] = ((raw.data[i] as number) - (mean?.[c] ?? 0)) / (std?.[c] ?? 1);
  }
  const run = async (model: Uint8Array, name: string, feeds: Readonly<Record<string, Tensor>>, output: string): Promise<Float32Array> => {
    const session = await openSession(model, { name });
    try {
      return (await session.run(feeds))[output]?.data as Float32Array;
    } finally {
      await session.dispose();
    }
  };
  const fed: Tensor = source.channelsLast ? channelsLast(prepared) : prepared;
  const shape = audio ? fed.shape : [samples, ...source.inputShape.slice(1)];
  const expected = await run(bytes, "the original model", { [source.inputName]: { ...fed, shape } }, source.outputName);
  const classNames = Array.from({ length: classes }, (_, i) => `class ${i}`);
  const own = writeOnnx(compileInference(network, parameters, { classNames, ...(audio ? { audio } : {}) }), { batchAxis: "N" });
  const logits = await run(own, "the imported network", { [audio ? "audio" : "image"]: raw }, "logits");
  const got = source.ending === "logits" ? logits : softmaxRows(logits, classes, source.ending === "logSoftmax");
  let maxDifference = 0;
  let maxOutput = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((expected[i] as number) - (got[i] as number));
    // NaN on one side alone is the largest difference there is; on both it says nothing, and is none.
    const bothNaN = Number.isNaN(expected[i]) && Number.isNaN(got[i]);
    maxDifference = Number.isNaN(difference) ? (bothNaN ? maxDifference : Infinity) : Math.max(maxDifference, difference);
    if (Number.isFinite(expected[i])) maxOutput = Math.max(maxOutput, Math.abs(expected[i] as number));
  }
  return { samples, maxDifference, maxOutput };
}

/** Whether the difference is no more than rounding makes. */
export const agrees = ({ maxDifference, maxOutput }: ImportCheck): boolean => maxDifference <= importTolerance * maxOutput + 1e-9;

/** Reads and imports a file. Throws `data` when there is no such file, and what `importNetwork` throws. */
export async function importFile(
  path: string,
  options: Omit<ImportOptions, "what"> = {},
): Promise<{ readonly bytes: Uint8Array; readonly imported: ImportedNetwork }> {
  const bytes = await readFileChecked(path, "model");
  return { bytes, imported: importNetwork(bytes, { ...options, what: path }) };
}
