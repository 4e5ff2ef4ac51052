import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeWav, encodeWav, fitLength, toInt16 } from "./wav.ts";

interface Made {
  readonly tag?: number;
  readonly bits?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly extensible?: boolean;
  /** Bytes of the "data" chunk. */
  readonly data: Uint8Array;
  /** What the "data" chunk says of its length. */
  readonly told?: number;
  /** A chunk before "fmt " and one before "data". */
  readonly extra?: Uint8Array;
}

/** Writes a WAV file from its parts, so that the decoder is not held against its own encoder. */
function make({ tag = 1, bits = 16, channels = 1, rate = 16000, extensible = false, data, told = data.length, extra }: Made): Uint8Array {
  const chunk = (name: string, body: Uint8Array, length = body.length): number[] => {
    const size = [length & 255, (length >>> 8) & 255, (length >>> 16) & 255, length >>> 24];
    return [...Buffer.from(name), ...size, ...body, ...(body.length % 2 ? [0] : [])];
  };
  const format = new DataView(new ArrayBuffer(extensible ? 40 : 16));
  format.setUint16(0, extensible ? 0xfffe : tag, true);
  format.setUint16(2, channels, true);
  format.setUint32(4, rate, true);
  format.setUint32(8, (rate * channels * bits) / 8, true);
  format.setUint16(12, (channels * bits) / 8, true);
  format.setUint16(14, bits, true);
  if (extensible) {
    format.setUint16(16, 22, true);
    format.setUint16(18, bits, true);
    format.setUint16(24, tag, true);
  }
  const body = [
    ...(extra ? chunk("LIST", extra) : []),
    ...chunk("fmt ", new Uint8Array(format.buffer)),
    ...(extra ? chunk("odd!", extra) : []),
    ...chunk("data", data, told),
  ];
  return Uint8Array.from([...chunk("RIFF", new Uint8Array(0), body.length + 4), ...Buffer.from("WAVE"), ...body]);
}

const bytesOf = (count: number, write: (view: DataView) => void): Uint8Array => {
  const view = new DataView(new ArrayBuffer(count));
  write(view);
  return new Uint8Array(view.buffer);
};

const decoded = (made: Made): number[] => [...decodeWav(make(made), "a.wav").samples];

describe("decodeWav", () => {
  test("each sample format has its extremes, its zero and a value between", () => {
    expect(decoded({ bits: 8, data: Uint8Array.of(0, 128, 192, 255) })).toEqual([-1, 0, 0.5, 127 / 128]);
    const sixteen = Int16Array.of(-32768, 0, 16384, 32767);
    expect(decoded({ data: new Uint8Array(sixteen.buffer) })).toEqual([-1, 0, 0.5, 32767 / 32768]);
    const twentyFour = Uint8Array.of(0, 0, 0x80, 0, 0, 0, 0, 0, 0x40, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff);
    expect(decoded({ bits: 24, data: twentyFour })).toEqual([-1, 0, 0.5, Math.fround(1 - 2 ** -23), -(2 ** -23)]);
    const thirtyTwo = Int32Array.of(-(2 ** 31), 0, 2 ** 30, -1);
    expect(decoded({ bits: 32, data: new Uint8Array(thirtyTwo.buffer) })).toEqual([-1, 0, 0.5, Math.fround(-(2 ** -31))]);
    expect(decoded({ tag: 3, bits: 32, data: new Uint8Array(Float32Array.of(-1, 0.25, 1.5).buffer) })).toEqual([-1, 0.25, 1.5]);
    expect(decoded({ tag: 3, bits: 64, data: new Uint8Array(Float64Array.of(-1, 0.25).buffer) })).toEqual([-1, 0.25]);
  });

  test("extensible files are what their sub-format says", () => {
    const data = new Uint8Array(Int16Array.of(8192, -8192).buffer);
    expect(decoded({ data, extensible: true })).toEqual([0.25, -0.25]);
    expect(decoded({ tag: 3, bits: 32, extensible: true, data: new Uint8Array(Float32Array.of(0.75).buffer) })).toEqual([0.75]);
  });

  test("channels are mixed to their mean, other chunks (odd ones too) passed over", () => {
    const data = new Uint8Array(Int16Array.of(300, 600, 900, -300, -300, -300).buffer);
    expect(decoded({ data, channels: 3, extra: Uint8Array.of(1, 2, 3) }).map((value) => value * 32768)).toEqual([600, -300]);
  });

  test("gives the rate, and no more than the seconds asked for", () => {
    const wave = decodeWav(make({ data: new Uint8Array(2 * 8000), rate: 8000 }), "a.wav", 0.25);
    expect(wave.sampleRate).toBe(8000);
    expect(wave.samples).toHaveLength(2000);
  });

  test("data of untold length reach to the end of the file", () => {
    expect(decoded({ data: new Uint8Array(6), told: 0xffffffff })).toHaveLength(3);
  });

  test("the file may begin anywhere in its buffer", () => {
    const file = make({ data: new Uint8Array(Int16Array.of(16384).buffer) });
    const shifted = new Uint8Array(file.length + 1);
    shifted.set(file, 1);
    expect([...decodeWav(shifted.subarray(1), "a.wav").samples]).toEqual([0.5]);
  });

  const whole = make({ data: new Uint8Array(3200) });
  const refusals: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ["cut data", whole.subarray(0, 1044), /^clips\/a\.wav is cut short: expected 3200 bytes in its "data" chunk, got 1000;/],
    ["cut header", whole.subarray(0, 30), /is cut short: expected 16 bytes in its "fmt " chunk, got 10/],
    ["cut before the data", whole.subarray(0, 36), /expected a "data" chunk, got none in 36 bytes/],
    [
      "other content",
      Buffer.from("ID3 and then music"),
      /is no WAV file: expected "RIFF" and "WAVE" in its first 12 bytes, got "ID3 " and "then"/,
    ],
    ["an empty file", new Uint8Array(0), /got 0 bytes/],
    ["no samples", make({ data: new Uint8Array(0) }), /expected one sample or more, got 0 bytes of data/],
    ["ADPCM", make({ tag: 17, bits: 4, data: new Uint8Array(8) }), /expected PCM of 8, 16, 24 or 32 bits.*got IMA ADPCM/],
    ["odd bits", make({ bits: 12, data: new Uint8Array(8) }), /got PCM of 12 bits/],
    ["no channels", make({ channels: 0, data: new Uint8Array(8) }), /got 0 channels/],
    [
      "not a number",
      make({ tag: 3, bits: 32, data: bytesOf(8, (view) => view.setFloat32(4, Number.NaN, true)) }),
      /finite numbers, got NaN at sample 1/,
    ],
  ];
  test.each(refusals)("refuses %s, naming the path, what was expected and what it got", (_, bytes, message) => {
    const read = (): unknown => decodeWav(bytes, "clips/a.wav");
    expect(read).toThrow(message);
    expect(read).toThrow(/clips\/a\.wav/);
    expect(read).toThrow(expect.objectContaining({ code: "data" }));
  });

  test("however a file is cut, it is refused", () => {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), (length) => void expect(() => decodeWav(whole.subarray(0, length), "a.wav")).toThrow(/a\.wav/)),
    );
  });
});

test("16-bit samples survive writing and reading exactly", () => {
  fc.assert(
    fc.property(fc.int16Array({ minLength: 1, maxLength: 200 }), fc.integer({ min: 1, max: 96000 }), (samples, rate) => {
      const wave = decodeWav(encodeWav(samples, rate), "a.wav");
      expect(wave.sampleRate).toBe(rate);
      expect(toInt16(wave.samples)).toEqual(samples);
    }),
  );
});

test("toInt16 clips, fitLength pads with zeros at the end and cuts", () => {
  expect([...toInt16(Float32Array.of(-2, -1, 0.5, 1, 7))]).toEqual([-32768, -32768, 16384, 32767, 32767]);
  expect([...fitLength(Int16Array.of(1, 2), 4)]).toEqual([1, 2, 0, 0]);
  expect([...fitLength(Int16Array.of(1, 2, 3), 2)]).toEqual([1, 2]);
});
