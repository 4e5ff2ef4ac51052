import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodeImage } from "./decodeImage.node.ts";

describe("decodeImage", () => {
  const shape = { channels: 3, height: 2, width: 4 };

  test("turns upright by EXIF, flattens on black, and gives grey or RGB as asked", async () => {
    // 2 high and 4 wide when upright: the left half red. Stored turned by 90 degrees.
    const upright = sharp({ create: { width: 4, height: 2, channels: 3, background: "blue" } });
    const red = { create: { width: 2, height: 2, channels: 3, background: "red" } } as const;
    const flat = await upright
      .composite([{ input: red, left: 0, top: 0 }])
      .png()
      .toBuffer();
    const turned = await sharp(flat).rotate(270).withMetadata({ orientation: 6 }).png().toBuffer();
    const pixels = await decodeImage(turned, "turned", shape, "stretch");
    expect([...pixels]).toEqual([...[255, 255, 0, 0, 255, 255, 0, 0], ...Array(8).fill(0), ...[0, 0, 255, 255, 0, 0, 255, 255]]);
    const clear = await sharp({ create: { width: 4, height: 2, channels: 4, background: { r: 255, g: 255, b: 255, alpha: 0 } } })
      .png()
      .toBuffer();
    expect([...(await decodeImage(clear, "clear", shape, "cover"))]).toEqual(Array(24).fill(0));
    expect(await decodeImage(turned, "turned", { ...shape, channels: 1 }, "stretch")).toHaveLength(8);
    const grey = await sharp(Uint8Array.of(0, 50, 100, 200, 0, 50, 100, 200), { raw: { width: 4, height: 2, channels: 1 } })
      .png()
      .toBuffer();
    expect([...(await decodeImage(grey, "grey", { ...shape, channels: 1 }, "cover"))]).toEqual([0, 50, 100, 200, 0, 50, 100, 200]);
    expect([...(await decodeImage(grey, "grey", shape, "cover"))].slice(8, 12)).toEqual([0, 50, 100, 200]);
  });

  test("cover cuts the sides, contain sets between bars, stretch pulls", async () => {
    const wide = sharp({ create: { width: 24, height: 4, channels: 3, background: "blue" } });
    const red = { create: { width: 8, height: 4, channels: 3, background: "red" } } as const;
    const image = await wide
      .composite([{ input: red, left: 8, top: 0 }])
      .png()
      .toBuffer();
    const redOf = async (resize: "cover" | "contain" | "stretch"): Promise<number[]> =>
      [...(await decodeImage(image, "wide", { channels: 3, height: 12, width: 12 }, resize))].slice(0, 144);
    expect(Math.min(...(await redOf("cover")).filter((_, i) => i % 12 > 1 && i % 12 < 10))).toBeGreaterThan(250);
    const contained = await redOf("contain");
    expect(contained.slice(0, 48).every((value) => value === 0)).toBe(true);
    expect(contained[6 * 12 + 6]).toBeGreaterThan(250);
    const stretched = await redOf("stretch");
    expect([stretched[0], stretched[6], stretched[11]].map((value = -1) => Math.round(value / 25.5))).toEqual([0, 10, 0]);
  });
});
