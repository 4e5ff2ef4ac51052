/**
 * WAV files to mono samples and back. Reads uncompressed files only, and refuses cut ones: the decoders to be had on npm read
 * what is left of a cut file without a word, and scale the positive half otherwise than the rest of the field (by 32767).
 */
import { SheafError } from "../util/errors.ts";

/** A mono wave; samples are in [-1, 1]. */
export interface Wave {
  readonly sampleRate: number;
  readonly samples: Float32Array;
}

interface Format {
  readonly float: boolean;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bits: number;
}

const pcm = 1;
const ieeeFloat = 3;
const extensible = 0xfffe;
/** Formats that people meet, by their tag, to name them. */
const compressed: Readonly<Record<number, string>> = {
  2: "Microsoft ADPCM",
  6: "A-law",
  7: "mu-law",
  17: "IMA ADPCM",
  49: "GSM 6.10",
  85: "MP3",
  255: "AAC",
};
const supported = "PCM of 8, 16, 24 or 32 bits, or float of 32 or 64 bits";

function tagAt(view: DataView, offset: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(offset + i)));
}

/** A tag as text, with what cannot be printed left out of sight. */
const printable = (tag: string): string => JSON.stringify(tag.replace(/[^ -~]/g, "?"));

function parseFormat(view: DataView, where: string): Format {
  if (view.byteLength < 16) {
    throw new SheafError(
      "data",
      `${where}: expected a "fmt " chunk of 16 bytes or more, got ${view.byteLength}; record or export it again.`,
    );
  }
  const outer = view.getUint16(0, true);
  // WAVE_FORMAT_EXTENSIBLE: the format proper is the first field of its SubFormat.
  const tag = outer === extensible && view.byteLength >= 26 ? view.getUint16(24, true) : outer;
  const format = {
    float: tag === ieeeFloat,
    channels: view.getUint16(2, true),
    sampleRate: view.getUint32(4, true),
    bits: view.getUint16(14, true),
  };
  const { float, channels, sampleRate, bits } = format;
  if ((tag !== pcm && tag !== ieeeFloat) || !(float ? [32, 64] : [8, 16, 24, 32]).includes(bits)) {
    const got = tag === pcm ? `PCM of ${bits} bits` : tag === ieeeFloat ? `float of ${bits} bits` : (compressed[tag] ?? `format ${tag}`);
    throw new SheafError("data", `${where}: expected ${supported}, got ${got}; convert it, for instance to 16-bit PCM.`);
  }
  const blockBytes = view.getUint16(12, true);
  if (channels < 1 || sampleRate < 1 || blockBytes !== (channels * bits) / 8) {
    throw new SheafError(
      "data",
      `${where}: expected a format that agrees with itself, got ${channels} channels of ${bits} bits in blocks of ${blockBytes} bytes ` +
        `at ${sampleRate} Hz; the file is damaged.`,
    );
  }
  return format;
}

/** Finds the two chunks that matter; all others are passed over. */
function findChunks(view: DataView, where: string): { readonly format: Format; readonly data: DataView } {
  const length = view.byteLength;
  if (length < 12 || tagAt(view, 0) !== "RIFF" || tagAt(view, 8) !== "WAVE") {
    const got = length < 12 ? `${length} bytes` : `${printable(tagAt(view, 0))} and ${printable(tagAt(view, 8))}`;
    throw new SheafError("data", `${where} is no WAV file: expected "RIFF" and "WAVE" in its first 12 bytes, got ${got}.`);
  }
  let format: Format | undefined;
  for (let offset = 12; offset + 8 <= length; ) {
    const tag = tagAt(view, offset);
    const bytes = view.getUint32(offset + 4, true);
    const start = offset + 8;
    const left = length - start;
    // Programs that write to a pipe do not know the length beforehand and put this instead; the data then reach to the end.
    const untold = tag === "data" && bytes === 0xffffffff;
    if ((tag === "data" || tag === "fmt ") && !untold && bytes > left) {
      throw new SheafError(
        "data",
        `${where} is cut short: expected ${bytes} bytes in its ${printable(tag)} chunk, got ${left}; fetch or copy it again.`,
      );
    }
    if (tag === "fmt ") format = parseFormat(new DataView(view.buffer, view.byteOffset + start, bytes), where);
    if (tag === "data") {
      if (!format)
        throw new SheafError("data", `${where}: expected a "fmt " chunk before the "data" chunk, got none; the file is damaged.`);
      return { format, data: new DataView(view.buffer, view.byteOffset + start, untold ? left : bytes) };
    }
    // Chunks begin at even places.
    offset = start + bytes + (bytes % 2);
  }
  throw new SheafError(
    "data",
    `${where} is cut short or damaged: expected a "data" chunk, got none in ${length} bytes; fetch or copy it again.`,
  );
}

/** Reads one value as a number in [-1, 1] by its place in bytes. */
function valueReader({ float, bits }: Format, data: DataView): (at: number) => number {
  if (float) return bits === 32 ? (at) => data.getFloat32(at, true) : (at) => data.getFloat64(at, true);
  if (bits === 8) return (at) => (data.getUint8(at) - 128) / 128;
  if (bits === 16) return (at) => data.getInt16(at, true) / 2 ** 15;
  if (bits === 24) return (at) => (data.getUint16(at, true) + data.getInt8(at + 2) * 2 ** 16) / 2 ** 23;
  return (at) => data.getInt32(at, true) / 2 ** 31;
}

/**
 * Decodes a WAV file: PCM of 8, 16, 24 or 32 bits or float of 32 or 64, also as WAVE_FORMAT_EXTENSIBLE, any number of channels
 * (mixed down to their mean) at any rate; chunks beside "fmt " and "data" are passed over. `where` names the file in errors.
 * With `seconds`, no more than the first so many are decoded. Throws `data`, saying what was expected and what was found, for a file that is
 * no WAV, cut short, empty, compressed or not finite.
 * @example const { sampleRate, samples } = decodeWav(bytes, "yes/1.wav");
 */
export function decodeWav(bytes: Uint8Array, where: string, seconds: number = Number.POSITIVE_INFINITY): Wave {
  const { format, data } = findChunks(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), where);
  const { channels, sampleRate, bits } = format;
  const valueBytes = bits / 8;
  const frameBytes = valueBytes * channels;
  const frames = Math.floor(data.byteLength / frameBytes);
  if (frames === 0) {
    throw new SheafError("data", `${where}: expected one sample or more, got ${data.byteLength} bytes of data; the recording is empty.`);
  }
  const valueAt = valueReader(format, data);
  const samples = new Float32Array(Math.min(frames, Math.ceil(seconds * sampleRate)));
  for (let frame = 0; frame < samples.length; frame++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) sum += valueAt(frame * frameBytes + channel * valueBytes);
    if (!Number.isFinite(sum)) throw new SheafError("data", `${where}: expected finite numbers, got ${sum} at sample ${frame}.`);
    samples[frame] = sum / channels;
  }
  return { sampleRate, samples };
}

/** Samples in [-1, 1] as 16-bit numbers; what lies beyond is clipped. 16-bit samples that were decoded come back exactly. */
export function toInt16(samples: Float32Array): Int16Array {
  const values = new Int16Array(samples.length);
  // A plain loop: `from` with a function takes far longer.
  for (let i = 0; i < samples.length; i++) values[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i]! * 32768)));
  return values;
}

/** `samples` cut, or padded with zeros at the end, to `length`. */
export function fitLength(samples: Int16Array, length: number): Int16Array {
  if (samples.length >= length) return samples.subarray(0, length);
  const fitted = new Int16Array(length);
  fitted.set(samples);
  return fitted;
}

/** The bytes of a mono 16-bit PCM WAV file. */
export function encodeWav(samples: Int16Array, sampleRate: number): Uint8Array {
  const bytes = new Uint8Array(44 + 2 * samples.length);
  const view = new DataView(bytes.buffer);
  const header = "RIFF....WAVEfmt ....................data....";
  for (let i = 0; i < header.length; i++) bytes[i] = header.charCodeAt(i);
  view.setUint32(4, bytes.length - 8, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, pcm, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  view.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) view.setInt16(44 + 2 * i, samples[i]!, true);
  return bytes;
}
