/** A model in the browser: from bytes to answers, with the time that each takes. What goes in is prepared as `sheaf predict` prepares it. */
import { type ClassProbability, type DeployedModel, rankClasses, readDeployedModel, stretchesOf } from "../../src/harvest/deployedModel.ts";
import { openSession } from "../../src/runtime/session.web.ts";
import { floats } from "../../src/util/tensor.ts";

export interface Answer {
  /** All classes, likeliest first. */
  readonly classes: readonly ClassProbability[];
  readonly milliseconds: number;
  /** Of a sound longer than the model hears at once: where the stretch begins that it is surest of. */
  readonly startMs?: number;
}

export interface Classifier extends DeployedModel, AsyncDisposable {
  readonly name: string;
  readonly bytes: number;
  readonly threads: number;
  /** From bytes to a session. */
  readonly openMilliseconds: number;
  /** Of the last answers, the middle one; 0 before the first. */
  readonly latencyMs: () => number;
  /** Of pixels, [channels, height, width], 0 to 255. */
  image(planes: Uint8Array): Promise<Answer>;
  /** Of a wave at the model's rate, of any length. */
  sound(wave: Float32Array): Promise<Answer>;
}

/** Answers that the latency is the middle of. */
const timed = 15;
/** More threads help no model of this size. */
const mostThreads = 4;

/** Opens a model. Throws `corrupt` for what is no model of Sheaf. */
export async function openClassifier(bytes: Uint8Array, name: string): Promise<Classifier> {
  const described = readDeployedModel(bytes, name);
  const threads = globalThis.crossOriginIsolated ? Math.min(mostThreads, navigator.hardwareConcurrency || 1) : 1;
  const began = performance.now();
  const session = await openSession(bytes, { name, threads });
  const openMilliseconds = performance.now() - began;
  const { classNames, input } = described;
  const times: number[] = [];

  const run = async (
    feeds: Parameters<typeof session.run>[0],
  ): Promise<{ readonly probabilities: Float32Array; readonly milliseconds: number }> => {
    const start = performance.now();
    const { probabilities } = await session.run(feeds);
    const milliseconds = performance.now() - start;
    times.push(milliseconds);
    if (times.length > timed) times.shift();
    return { probabilities: probabilities?.data as Float32Array, milliseconds };
  };
  const ranked = (probabilities: ArrayLike<number>): readonly ClassProbability[] =>
    rankClasses(probabilities, classNames, classNames.length);
  return {
    ...described,
    name,
    bytes: bytes.length,
    threads,
    openMilliseconds,
    latencyMs: () => [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0,
    async image(planes) {
      if (input.type !== "image") throw new Error(`${name} takes sounds.`);
      const { channels, height, width } = input.shape;
      const { probabilities, milliseconds } = await run({ image: floats("float32", [1, channels, height, width], planes) });
      return { classes: ranked(probabilities), milliseconds };
    },
    async sound(wave) {
      if (input.type !== "audio") throw new Error(`${name} takes images.`);
      const { starts, values } = stretchesOf(wave, input.samples);
      const { probabilities, milliseconds } = await run({ audio: floats("float32", [starts.length, input.samples], values) });
      const rows = starts.map((start, i) => ({
        start,
        classes: ranked(probabilities.subarray(i * classNames.length, (i + 1) * classNames.length)),
      }));
      const surest = rows.reduce((best, row) => ((row.classes[0]?.probability ?? 0) > (best.classes[0]?.probability ?? 0) ? row : best));
      return {
        classes: surest.classes,
        milliseconds,
        ...(starts.length > 1 ? { startMs: Math.round((1000 * surest.start) / input.sampleRate) } : {}),
      };
    },
    [Symbol.asyncDispose]: () => session.dispose(),
  };
}
