import { describe, expect, it } from "vitest";
import { defaultAudioFeatures } from "../features/features.ts";
import type { Dataset, SampleValues } from "./dataset.ts";
import { pictureDataUrl } from "./images.node.ts";
import { pictureSize, samplePictures } from "./pictures.ts";
import { openMemorySamples } from "./samples.ts";

const make = (values: SampleValues, shape: Dataset["shape"], labels: number[], more: Partial<Dataset> = {}): Dataset => ({
  name: "made",
  classNames: ["a", "b", "c"],
  shape,
  labels: Uint16Array.from(labels),
  store: { type: "memory", values },
  mean: [0],
  std: [1],
  provenance: { source: "made", sha256: "" },
  ...more,
});

/** Red, green, blue and opacity of a pixel. */
const at = ({ rgba, width }: { rgba: Uint8Array; width: number }, x: number, y: number): number[] => [
  ...rgba.subarray(4 * (y * width + x), 4 * (y * width + x) + 4),
];

describe("samplePictures", () => {
  it("shows colours as they are, spread over each class, with clear gaps; a class without samples has no strip", () => {
    const count = 9;
    const values = new Uint8Array(count * 3);
    for (let i = 0; i < count; i++) values.set([10 * i, 100 + i, 200 + i], 3 * i);
    const data = make(values, { channels: 3, height: 1, width: 1 }, [0, 0, 0, 0, 0, 0, 2, 2, 2]);
    const { kind, strips } = samplePictures(openMemorySamples(data), { perClass: 2 });
    expect(kind).toBe("image");
    expect(strips.map(({ classId, count: shown, width }) => [classId, shown, width])).toEqual([
      [0, 2, 4],
      [2, 2, 4],
    ]);
    expect([0, 1, 2, 3].map((x) => at(strips[0]!, x, 0))).toEqual([
      [0, 100, 200, 255],
      [0, 0, 0, 0],
      [0, 0, 0, 0],
      [30, 103, 203, 255],
    ]);
  });

  it("stretches floats over the greys, alike in all samples", () => {
    const values = Float32Array.from({ length: 400 }, (_, i) => i / 100);
    const { strips } = samplePictures(openMemorySamples(make(values, { channels: 1, height: 2, width: 100 }, [0, 1])), { perClass: 1 });
    const greys = strips.map((strip) => at(strip, 50, 0)[0]!);
    expect(greys[0]).toBeLessThan(40);
    expect(greys[1]! - greys[0]!).toBeGreaterThan(110);
    expect(at(strips[0]!, 50, 0)).toEqual([greys[0], greys[0], greys[0], 255]);
    // All alike is no reason to fail.
    const flat = samplePictures(openMemorySamples(make(new Float32Array(4), { channels: 1, height: 2, width: 2 }, [0])), { perClass: 1 });
    expect(at(flat.strips[0]!, 0, 0)).toEqual([128, 128, 128, 255]);
  });

  it("sets up to four channels side by side when they are no colours", () => {
    const data = make(Uint8Array.of(0, 10, 20, 30, 40, 50), { channels: 6, height: 1, width: 1 }, [0]);
    const { kind, width, strips } = samplePictures(openMemorySamples(data), { perClass: 3 });
    expect([kind, width]).toEqual(["array", 4]);
    expect([0, 1, 2, 3].map((x) => at(strips[0]!, x, 0)[0])).toEqual([0, 10, 20, 30]);
    expect(pictureSize(data)).toEqual({ kind: "array", width: 4, height: 1 });
  });

  it.each(["logMel", "mfcc"] as const)("draws %s clips as spectrograms: time to the right, low frequencies at the bottom", (type) => {
    const clipSamples = 16_000;
    const values = new Int16Array(2 * clipSamples);
    // Low in the first half of one clip, high in the second half of the other.
    for (let i = 0; i < clipSamples / 2; i++) {
      values[i] = 20_000 * Math.sin((2 * Math.PI * 300 * i) / 16_000);
      values[clipSamples + clipSamples / 2 + i] = 20_000 * Math.sin((2 * Math.PI * 5000 * i) / 16_000);
    }
    const features = { ...defaultAudioFeatures, type };
    const data = make(values, { channels: 1, height: 49, width: 40 }, [0, 1], {
      audio: { features, clipSamples, noise: new Int16Array(clipSamples) },
    });
    const { kind, width, height, strips } = samplePictures(openMemorySamples(data), { perClass: 1 });
    expect([kind, width, height]).toEqual(["spectrogram", 49, 40]);
    expect(pictureSize(data)).toEqual({ kind, width, height });
    const brightest = (strip: (typeof strips)[number]): { x: number; y: number } => {
      let best = { x: 0, y: 0, light: -1 };
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++) {
          const light = at(strip, x, y)
            .slice(0, 3)
            .reduce((a, b) => a + b, 0);
          if (light > best.light) best = { x, y, light };
        }
      return best;
    };
    const [low, high] = strips.map(brightest);
    expect(low!.x).toBeLessThan(24);
    expect(low!.y).toBeGreaterThan(20);
    expect(high!.x).toBeGreaterThan(24);
    expect(high!.y).toBeLessThan(20);
  });
});

describe("pictureDataUrl", () => {
  it("gives PNG and WebP that fit a page, shrunk when asked", async () => {
    const { default: sharp } = await import("sharp");
    const picture = { rgba: new Uint8Array(4 * 20 * 10).fill(200), width: 20, height: 10 };
    for (const encoding of [{ format: "png" }, { format: "webp", quality: 60 }] as const) {
      const url = await pictureDataUrl(picture, encoding, 5);
      expect(url.startsWith(`data:image/${encoding.format};base64,`)).toBe(true);
      const { format, width, height } = await sharp(Buffer.from(url.split(",")[1]!, "base64")).metadata();
      expect([format, width, height]).toEqual([encoding.format, 10, 5]);
    }
  });
});
