/** The class "silence": stretches of background noise at drawn volumes, from recordings when there are some, else made by code. */
import { random } from "../../util/random.ts";
import { readNoise } from "../noise.node.ts";
import { generateNoise } from "../noise.ts";
import { encodeWav } from "../wav.ts";
import type { SourceEntry, Split } from "./source.ts";

const sampleRate = 16_000;
/** One second, as the set's own clips. */
const clipSamples = 16_000;
/** Raised when the clips change, since they are made from fixed seeds. */
export const silenceVersion = 1;

/** Shares of a recording from which the parts' stretches come, so that no test stretch was trained on. */
const sections: Readonly<Record<Split, readonly [number, number]>> = { train: [0, 0.8], validation: [0.8, 0.9], test: [0.9, 1] };

/** A clip's worth of a recording out of the part's section; a recording too short for sections is used from anywhere, repeated when need be. */
function stretch(recording: Int16Array, split: Split, place: number): Int16Array {
  const [from, to] = sections[split].map((share) => Math.floor(share * recording.length)) as [number, number];
  const room = to - from - clipSamples;
  const start = room >= 0 ? from + Math.floor(place * (room + 1)) : Math.floor(place * recording.length);
  return Int16Array.from({ length: clipSamples }, (_, i) => recording[(start + i) % recording.length]!);
}

/**
 * `counts` entries of class `label` for each part. Clip number i of a part is always the same: a stretch of a drawn recording (or of generated noise
 * when there are none), scaled by a volume drawn uniformly from 0 to 1. The recordings are read when the first entry is.
 */
export function silenceEntries(noise: readonly string[], label: number, counts: Readonly<Record<Split, number>>): SourceEntry[] {
  let recordings: Promise<Int16Array[]> | undefined;
  const read = async (split: Split, index: number): Promise<Uint8Array> => {
    const source = random(silenceVersion, "silence", split, index);
    recordings ??= readNoise(noise, sampleRate);
    const all = await recordings;
    const recording = all[source.below(all.length)];
    const place = source.uniform();
    const volume = source.uniform();
    const samples = recording ? stretch(recording, split, place) : generateNoise(clipSamples, source);
    return encodeWav(
      samples.map((value) => Math.round(volume * value)),
      sampleRate,
    );
  };
  return (Object.keys(sections) as Split[]).flatMap((split) =>
    Array.from({ length: counts[split] }, (_, index) => ({
      where: `silence clip ${index} of the ${split} part`,
      label,
      split,
      read: () => read(split, index),
    })),
  );
}
