import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contactSheet, encodePng, readImage, writePng } from "./images.node.ts";
import { openMemorySamples } from "./samples.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sheaf-images-"));
});
afterAll(() => rm(folder, { recursive: true }));

const rgb = { channels: 3, height: 2, width: 2 };
const picture = Uint8Array.of(255, 0, 0, 10, 0, 255, 0, 20, 0, 0, 255, 30);

describe("readImage", () => {
  test("gives back the exact pixels that writePng wrote", async () => {
    const path = join(folder, "small.png");
    await writePng(path, picture, rgb);
    expect(await readImage(path, rgb)).toEqual(picture);
  });

  test("grey samples have one channel", async () => {
    const path = join(folder, "grey.png");
    const grey = { channels: 1, height: 1, width: 3 };
    await writePng(path, Uint8Array.of(0, 100, 200), grey);
    expect(await readImage(path, grey)).toEqual(Uint8Array.of(0, 100, 200));
    expect(await readImage(path, { ...grey, channels: 3 })).toEqual(Uint8Array.of(0, 100, 200, 0, 100, 200, 0, 100, 200));
  });

  test.each(["png", "jpeg", "webp"] as const)("covers the shape from the centre of a wide %s", async (format) => {
    // Blue, red, blue thirds: the square at the centre is red.
    const wide = sharp({ create: { width: 96, height: 32, channels: 3, background: "blue" } });
    const red = { create: { width: 32, height: 32, channels: 3, background: "red" } } as const;
    const path = join(folder, `wide.${format}`);
    await wide
      .composite([{ input: red, left: 32, top: 0 }])
      .toFormat(format, { quality: 100 })
      .toFile(path);
    const pixels = await readImage(path, { channels: 3, height: 8, width: 8 });
    const center = 4 * 8 + 4;
    expect(pixels[center]).toBeGreaterThan(245);
    expect(pixels[64 + center]).toBeLessThan(10);
    expect(pixels[128 + center]).toBeLessThan(10);
  });

  test("transparent pixels become black", async () => {
    const path = join(folder, "clear.png");
    await sharp({ create: { width: 2, height: 2, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } } })
      .png()
      .toFile(path);
    expect(await readImage(path, rgb)).toEqual(new Uint8Array(12));
  });

  test("names the path of a file that is no image, is missing, is cut short or of another format", async () => {
    const text = join(folder, "note.png");
    await writeFile(text, "not an image");
    await expect(readImage(text, rgb)).rejects.toMatchObject({ code: "data", message: expect.stringContaining(text) });
    const missing = join(folder, "missing.png");
    await expect(readImage(missing, rgb)).rejects.toMatchObject({ code: "data", message: expect.stringContaining(missing) });
    const short = join(folder, "short.jpg");
    const noise = Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => (i * 7919) % 251);
    const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .jpeg()
      .toBuffer();
    await writeFile(short, whole.subarray(0, whole.length / 2));
    await expect(readImage(short, rgb)).rejects.toMatchObject({ code: "data", message: expect.stringContaining(short) });
    const drawing = join(folder, "drawing.svg");
    await writeFile(drawing, '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>');
    await expect(readImage(drawing, rgb)).rejects.toThrow(/drawing\.svg: expected a JPEG, PNG or WebP image, got svg/);
  });
});

test("writePng names the path that it cannot write", async () => {
  const path = join(folder, "nowhere", "x.png");
  await expect(writePng(path, picture, rgb)).rejects.toMatchObject({ code: "storage", message: expect.stringContaining(path) });
});

test("encodePng refuses channels that are no picture", async () => {
  await expect(encodePng(new Uint8Array(8), { channels: 2, height: 2, width: 2 })).rejects.toMatchObject({ code: "config" });
});

test("a contact sheet sets samples row by row on white", () => {
  const shape = { channels: 1, height: 1, width: 2 };
  const store = { type: "memory", values: Uint8Array.of(1, 2, 3, 4) } as const;
  const provenance = { source: "made up", sha256: "0" };
  const set = { name: "two", classNames: ["a"], shape, labels: new Uint16Array(2), store, mean: [0], std: [1], provenance };
  const sheet = contactSheet(openMemorySamples(set), [1, 0], 1, 1);
  expect(sheet.shape).toEqual({ channels: 1, height: 5, width: 4 });
  expect([...sheet.pixels.subarray(4, 8)]).toEqual([255, 3, 4, 255]);
  expect([...sheet.pixels.subarray(12, 16)]).toEqual([255, 1, 2, 255]);
  expect(sheet.pixels.filter((value) => value === 255)).toHaveLength(16);
});
