/** Samples from a camera and a microphone: Chromium's fake devices, fed from real pictures and recordings where there are some, through the join page to a model. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { decodeWav, encodeWav, fitLength, toInt16 } from "../../src/data/wav.ts";
import { random } from "../../src/util/random.ts";
import { hasChromium, openChromium } from "./browser.ts";
import { filmOf } from "./film.ts";
import { pictures } from "./material.ts";
import { killAll, type Running, start } from "./processes.ts";
import { built, type Scratch, scratch } from "./sheaf.ts";
import { joinPageOf, privateFileOf } from "./tabs.ts";

const patienceMs = 400_000;
const rate = 16_000;

/** A tone with noise, of so many seconds. */
function tone(hertz: number, seconds: number, seed: number, sampleRate: number = rate): Int16Array {
  const source = random(seed, "tone");
  return Int16Array.from(
    { length: seconds * sampleRate },
    (_, i) => 9000 * Math.sin((2 * Math.PI * hertz * i) / sampleRate) + 600 * (source.uniform() - 0.5),
  );
}

/** How alike two sounds are that are played over and over, wherever either begins: 1 for the same sound, at whatever loudness. */
function likeness(one: Int16Array, other: Int16Array): number {
  const energy = (sound: Int16Array): number => Math.sqrt(sound.reduce((sum, value) => sum + value ** 2, 0));
  let most = 0;
  for (let shift = 0; shift < one.length; shift++) {
    let sum = 0;
    for (let i = 0; i < one.length; i++) sum += (one[i] as number) * (other[(i + shift) % one.length] as number);
    most = Math.max(most, sum);
  }
  return most / (energy(one) * energy(other));
}

/** Samples by class, as the page tells them. */
async function countsOf(page: Page): Promise<ReadonlySet<string>> {
  return new Set(await page.getByRole("list", { name: "Samples by class" }).getByRole("listitem").allTextContents());
}

describe.skipIf(!built || !hasChromium)("a tab with a camera and a microphone", () => {
  let folder: Scratch;
  let browser: Browser;
  /** What the camera sees, and its class. */
  let picture: Uint8Array;
  let className: string;
  /** What the microphone hears: a second, over and over. */
  let heard: Uint8Array;
  beforeAll(async () => {
    folder = await scratch("capture");
    [picture = new Uint8Array()] = await pictures.write(folder.at("seen"), 1, 0);
    [className = ""] = await readdir(folder.at("seen", "train"));
    await writeFile(folder.at("film.y4m"), filmOf(picture, 32));
    // A real recording where there is one, and otherwise a tone.
    const recording = join(process.env.SHEAF_DATA ?? "", "speech_commands", "cat", "0447d7c1_nohash_0.wav");
    heard = process.env.SHEAF_DATA && existsSync(recording) ? await readFile(recording) : encodeWav(tone(500, 1, 1), rate);
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
    const { href } = await joinPageOf(coordinator);
    const page = await (await browser.newContext({ permissions: ["camera", "microphone"] })).newPage();
    await page.goto(href);
    await page.getByRole("heading", { name: "Your samples" }).waitFor({ timeout: patienceMs });
    return page;
  };

  it(`trains on snapshots of ${pictures.name}`, async () => {
    const coordinator = serve("pictures", ...pictures.dataSet, ..."--train-count 60 --test-count 30".split(" "));
    const page = await open(coordinator);
    // A slow machine: another class is chosen while a picture of the last is being put together.
    await page.evaluate(`{
      const { prototype } = OffscreenCanvas;
      const encode = prototype.convertToBlob;
      prototype.convertToBlob = async function (...given) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        return await encode.apply(this, given);
      };
    }`);
    const other =
      (await page.getByRole("list", { name: "Classes" }).getByRole("listitem").allTextContents()).find((name) => name !== className) ?? "";
    await page.getByLabel("Camera").check();
    await page.getByRole("button", { name: "Camera on" }).click();
    for (const name of [className, other]) {
      await page.getByLabel("Class", { exact: true }).selectOption(name);
      const take = page.getByRole("button", { name: `Take a picture of ${name}` });
      // Not before the camera's first frame.
      await expect.poll(() => take.isEnabled(), { timeout: patienceMs }).toBe(true);
      for (let i = 0; i < 4; i++) await take.click();
    }
    await page.getByText("8 samples").waitFor();
    await page.getByRole("button", { name: `Remove ${other} 8` }).click();
    await page.getByText("7 samples").waitFor();
    expect(await countsOf(page)).toEqual(new Set([`${className}4`, `${other}3`]));
    await page.getByRole("button", { name: "Join and train" }).click();
    expect(await coordinator.ended, coordinator.said()).toBe(0);
    expect(coordinator.said()).toMatch(/Model +\S+model\.onnx/);
    expect(await countsOf(page)).toEqual(new Set([`${className}4`, `${other}3`]));
    // What was learned from is what the camera saw, scaled back.
    const seen = await privateFileOf(page, "samples", "values");
    expect(seen.length).toBe(7 * 3072);
    const difference = picture.reduce((sum, value, i) => sum + Math.abs(value - (seen[i] ?? 0)), 0) / picture.length;
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
    const bytes = await privateFileOf(page, "samples", "values");
    expect(bytes.length).toBe(2 * rate * count);
    const clip = new Int16Array(new Uint8Array(bytes.subarray(0, 2 * rate)).buffer);
    const alike = likeness(clip, fitLength(toInt16(decodeWav(heard, "heard.wav").samples), rate));
    // A busy machine leaves gaps in what it plays; other sounds are below a tenth.
    expect(alike).toBeGreaterThan(0.5);
    await page.context().close();
  }, 900_000);
});
