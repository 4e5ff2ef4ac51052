/** Samples from a camera and a microphone: Chromium's fake devices, fed from files, through the join page to a model. */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { drawGlyphs } from "../../src/data/glyphs.ts";
import { encodeWav } from "../../src/data/wav.ts";
import { random } from "../../src/util/random.ts";
import { hasChromium, openChromium } from "./browser.ts";
import { killAll, type Running, start } from "./processes.ts";
import { built, type Scratch, scratch } from "./sheaf.ts";

const patienceMs = 400_000;
const rate = 16_000;
const side = 128;

/** A picture, four times enlarged and in grey, as a film of two images that a fake camera shows over and over (YUV4MPEG2). */
function filmOf(picture: Uint8Array): Buffer {
  const luma = Buffer.alloc(side * side);
  for (let i = 0; i < luma.length; i++) {
    const from = 32 * Math.floor(i / side / 4) + Math.floor((i % side) / 4);
    luma[i] = Math.round(((picture[from] ?? 0) + (picture[1024 + from] ?? 0) + (picture[2048 + from] ?? 0)) / 3);
  }
  const frame = Buffer.concat([Buffer.from("FRAME\n"), luma, Buffer.alloc((side * side) / 2, 128)]);
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${side} H${side} F10:1 Ip A1:1 C420jpeg\n`), frame, frame]);
}

/** A tone with noise, of so many seconds. */
function tone(hertz: number, seconds: number, seed: number, sampleRate: number = rate): Int16Array {
  const source = random(seed, "tone");
  return Int16Array.from(
    { length: seconds * sampleRate },
    (_, i) => 9000 * Math.sin((2 * Math.PI * hertz * i) / sampleRate) + 600 * (source.uniform() - 0.5),
  );
}

/** Prepared samples as they lie in a tab's private file system. */
async function valuesOf(page: Page): Promise<Buffer> {
  const text = (await page.evaluate(`(async () => {
    const root = await navigator.storage.getDirectory();
    const samples = await (await root.getDirectoryHandle("sheaf")).getDirectoryHandle("samples");
    const file = await (await samples.getFileHandle("values")).getFile();
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  })()`)) as string;
  return Buffer.from(text, "base64");
}

describe.skipIf(!built || !hasChromium)("a tab with a camera and a microphone", () => {
  let folder: Scratch;
  let browser: Browser;
  const picture = drawGlyphs(1, { seed: 3, split: "train" }).pixels;
  beforeAll(async () => {
    folder = await scratch("capture");
    await writeFile(folder.at("film.y4m"), filmOf(picture));
    // A real recording where there is one, and otherwise a tone.
    const recording = join(process.env.SHEAF_DATA ?? "", "speech_commands", "cat", "0447d7c1_nohash_0.wav");
    const heard = process.env.SHEAF_DATA && existsSync(recording) ? await readFile(recording) : encodeWav(tone(500, 5, 1, 48_000), 48_000);
    await writeFile(folder.at("heard.wav"), heard);
    for (const [name, hertz] of [
      ["low", 500],
      ["high", 2000],
    ] as const) {
      await mkdir(folder.at("sounds", name), { recursive: true });
      for (let i = 0; i < 12; i++) await writeFile(folder.at("sounds", name, `${i}.wav`), encodeWav(tone(hertz, 1, i), rate));
    }
    browser = await openChromium(
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-video-capture=${folder.at("film.y4m")}`,
      `--use-file-for-fake-audio-capture=${folder.at("heard.wav")}`,
    );
  });
  afterEach(killAll);
  afterAll(async () => {
    await browser?.close();
    await folder?.remove();
  });

  const serve = (name: string, ...more: readonly string[]): Running =>
    start(
      [
        ..."serve --network tiny --sub-width 0.5 --batch 4 --epochs 3 --port 0 --until-finished".split(" "),
        ..."--set serve.minimumDevices=1 --set serve.startBySeconds=3".split(" "),
        ...["--store", folder.at(name, "store"), "--out", folder.at(name)],
        ...more,
      ],
      folder.path,
    );
  const open = async (coordinator: Running): Promise<Page> => {
    const [, address = ""] = await coordinator.until(/^In a browser (\S+)$/m);
    const page = await (await browser.newContext({ permissions: ["camera", "microphone"] })).newPage();
    await page.goto(address);
    await page.getByRole("heading", { name: "Your samples" }).waitFor({ timeout: patienceMs });
    return page;
  };

  it("trains on snapshots", async () => {
    const coordinator = serve("pictures", ..."--data-set glyphs --train-count 60 --test-count 30".split(" "));
    const page = await open(coordinator);
    await page.getByLabel("Camera").check();
    await page.getByRole("button", { name: "Camera on" }).click();
    for (const name of ["heart", "star"]) {
      await page.getByLabel("Class", { exact: true }).selectOption(name);
      const take = page.getByRole("button", { name: `Take a picture of ${name}` });
      await take.waitFor();
      await expect.poll(() => page.evaluate("document.querySelector('video').videoWidth"), { timeout: patienceMs }).toBeGreaterThan(0);
      for (let i = 0; i < 4; i++) await take.click();
    }
    await page.getByText("8 samples").waitFor();
    await page.getByRole("button", { name: "Remove star 8" }).click();
    await page.getByText("7 samples").waitFor();
    await page.getByRole("button", { name: "Join and train" }).click();
    expect(await coordinator.ended, coordinator.said()).toBe(0);
    expect(coordinator.said()).toMatch(/Model +\S+model\.onnx/);
    // What was learned from is what the camera saw, scaled back.
    const grey = (values: Uint8Array, i: number): number => ((values[i] ?? 0) + (values[1024 + i] ?? 0) + (values[2048 + i] ?? 0)) / 3;
    const seen = await valuesOf(page);
    expect(seen.length).toBe(7 * 3072);
    let difference = 0;
    for (let i = 0; i < 1024; i++) difference += Math.abs(grey(seen, i) - grey(picture, i)) / 1024;
    expect(difference).toBeLessThan(12);
    await page.context().close();
  }, 900_000);

  it("trains on clips from the microphone, labelled on the spot", async () => {
    const coordinator = serve("clips", "--data-set", folder.at("sounds"), "--set", "data.testShare=0.3");
    const page = await open(coordinator);
    await page.getByLabel("Microphone").check();
    await page.getByLabel("Class", { exact: true }).selectOption("low");
    await page.getByRole("button", { name: "Record clips of low" }).click();
    await page.getByText("3 samples").waitFor({ timeout: patienceMs });
    await page.getByRole("button", { name: "Stop recording" }).click();
    await page.getByRole("button", { name: "Play low 2" }).click();
    const count = await page.getByRole("list", { name: "Recorded clips" }).getByRole("listitem").count();
    await page.getByRole("button", { name: "Join and train" }).click();
    expect(await coordinator.ended, coordinator.said()).toBe(0);
    expect(coordinator.said()).toMatch(/Model +\S+model\.onnx/);
    const bytes = await valuesOf(page);
    expect(bytes.length).toBe(2 * rate * count);
    const clip = new Int16Array(new Uint8Array(bytes.subarray(0, 2 * rate)).buffer);
    const power = Math.sqrt(clip.reduce((sum, value) => sum + value ** 2, 0) / clip.length);
    expect(power).toBeGreaterThan(50);
    await page.context().close();
  }, 900_000);
});
