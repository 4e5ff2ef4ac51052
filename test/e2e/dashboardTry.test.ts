/** The page to try a model, in Chromium: what it answers is what `sheaf predict` answers, for files, a camera and a microphone that are fed from files. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../../src/data/images.node.ts";
import { encodeWav } from "../../src/data/wav.ts";
import { random } from "../../src/util/random.ts";
import { checkAccessible } from "./accessible.ts";
import { hasChromium, openChromium, openPage, patienceMs, shoot } from "./browser.ts";
import { filmOf } from "./film.ts";
import { recordings } from "./material.ts";
import { killAll, start } from "./processes.ts";
import { built, json, type Scratch, scratch, succeed } from "./sheaf.ts";

const side = 16;
const colours = ["blue", "green", "red"] as const;
const planeOf: Readonly<Record<(typeof colours)[number], number>> = { red: 0, green: 1, blue: 2 };

/** A picture of one colour in noise. */
function colourful(colour: (typeof colours)[number], i: number): Uint8Array {
  const source = random(i, "colour", planeOf[colour]);
  return Uint8Array.from(
    { length: 3 * side * side },
    (_, at) => (Math.floor(at / (side * side)) === planeOf[colour] ? 170 : 40) + source.below(60),
  );
}

const pitches = { high: 2600, low: 350 } as const;
/** A tone of so many seconds. */
function tone(pitch: keyof typeof pitches, i: number, seconds = 1): Int16Array {
  const source = random(i, "tone", pitches[pitch]);
  const step = (2 * Math.PI * pitches[pitch] * (0.95 + source.below(100) / 1000)) / 16_000;
  return Int16Array.from({ length: 16_000 * seconds }, (_, t) => Math.round(9000 * Math.sin(step * t)) + source.below(500));
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

describe.skipIf(!built || !hasChromium)("trying a model", () => {
  let folder: Scratch;
  let url: string;
  let page: Page;
  const problems: string[] = [];
  const requests: string[] = [];

  beforeAll(async () => {
    folder = await scratch("try");
    for (const colour of colours)
      for (let i = 0; i < 30; i++)
        await write(
          folder.at("pictures", colour, `${i}.png`),
          await encodePng(colourful(colour, i), { channels: 3, height: side, width: side }),
        );
    for (const pitch of ["high", "low"] as const)
      for (let i = 0; i < 24; i++) await write(folder.at("tones", pitch, `${i}.wav`), encodeWav(tone(pitch, i), 16_000));
    await write(folder.at("microphone.wav"), encodeWav(tone("high", 99, 5), 16_000));
    await write(folder.at("camera.y4m"), filmOf(colourful("green", 40), side));
    const train = "train --network tiny --epochs 8 --batch 8 --set training.augmentation.flip=false".split(" ");
    const size = ["--set", `data.imageSize.height=${side}`, "--set", `data.imageSize.width=${side}`];
    await succeed([...train, ...size, "--data-set", folder.at("pictures"), "--out", folder.at("seen")], { cwd: folder.path });
    await succeed([...train, "--data-set", folder.at("tones"), "--out", folder.at("heard")], { cwd: folder.path });
    // Any coordinator serves the page.
    const coordinator = start(
      ["serve", "--data-set", "glyphs", "--network", "tiny", "--port", "0", "--store", folder.at("store")],
      folder.path,
    );
    [, url = ""] = await coordinator.until(/^Coordinator +(\S+)/m);
  });
  afterAll(async () => {
    await killAll();
    await folder.remove();
  });

  const open = async (model: string, ...args: readonly string[]): Promise<AsyncDisposable> => {
    const browser = await openChromium(...args);
    page = await openPage(browser, { viewport: { width: 1200, height: 900 } });
    problems.length = 0;
    requests.length = 0;
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(`${url}/try`);
    await page.setInputFiles("[data-test=model-file]", folder.at(model, "model.onnx"));
    await page.getByRole("heading", { name: "Model card" }).waitFor();
    return { [Symbol.asyncDispose]: () => browser.close() };
  };
  /** What the command says of files: the likeliest class and its probability. */
  const predicted = async (model: string, files: readonly string[]) =>
    (
      (await json(["predict", folder.at(model), ...files])) as {
        predictions: { class: string; classes: { class: string; probability: number }[] }[];
      }
    ).predictions;
  const shown = async (rows: string): Promise<readonly (readonly string[])[]> =>
    page
      .locator(rows)
      .evaluateAll((items) =>
        items.map((item) => [...item.querySelectorAll("tr.best th, tr.best td.n")].map((cell) => cell.textContent ?? "")),
      );
  afterEach(() => {
    expect(problems).toEqual([]);
    expect(requests.filter((each) => !each.startsWith(url) && !each.startsWith("blob:"))).toEqual([]);
  });

  it("answers for pictures what sheaf predict answers, and says what the model costs", async () => {
    await using _ = await open("seen");
    const files = colours.map((colour) => folder.at("pictures", colour, "7.png"));
    await page.setInputFiles("[data-test=pictures]", files);
    await expect.poll(async () => (await shown(".looked li")).length).toBe(3);
    const expected = await predicted("seen", files);
    expect(expected.map((each) => each.class)).toEqual([...colours]);
    // The newest stands first.
    expect((await shown(".looked li")).toReversed()).toEqual(
      expected.map((each) => [each.class, `${(100 * (each.classes[0]?.probability ?? 0)).toFixed(1)}\u00a0%`]),
    );
    const bytes = (await readFile(folder.at("seen", "model.onnx"))).length;
    expect(await page.textContent("[data-test=size]")).toBe(`${(bytes / 1000).toPrecision(3)}\u00a0kB`);
    expect(await page.textContent("[data-test=latency]")).toMatch(/^\d+\.\d\u00a0ms$/);
    expect(await page.textContent(".card")).toContain("blue, green, red");
    await checkAccessible(page);
    await shoot(page, "try-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await checkAccessible(page);
    await shoot(page, "try-dark");
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(390);
    await checkAccessible(page);
    await shoot(page, "try-phone");
  });

  it("says what a file is not", async () => {
    await using _ = await open("seen");
    await page.setInputFiles("[data-test=pictures]", { name: "note.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
    await page.getByText("note.png is no picture that this browser can read").waitFor();
    await page.setInputFiles("[data-test=model-file]", { name: "bad.onnx", mimeType: "", buffer: Buffer.from("no model") });
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("alert").textContent()).toContain("bad.onnx");
  });

  it("sees what the camera sees", async () => {
    await using _ = await open(
      "seen",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-video-capture=${folder.at("camera.y4m")}`,
    );
    await page.getByRole("button", { name: "Use the camera" }).click();
    await expect.poll(() => page.locator("[data-test=live] .word").textContent(), { timeout: patienceMs }).toBe("green");
    await shoot(page, "try-camera");
    await page.getByRole("button", { name: "Turn the camera off" }).click();
    await expect.poll(() => page.locator("[data-test=live]").count()).toBe(0);
  });

  it("answers for recordings what sheaf predict answers", async () => {
    await using _ = await open("heard");
    const files = ["high", "low"].map((pitch) => folder.at("tones", pitch, "5.wav"));
    await page.setInputFiles("[data-test=recordings]", files);
    await expect.poll(async () => (await shown(".looked li")).length).toBe(2);
    const expected = await predicted("heard", files);
    expect(expected.map((each) => each.class)).toEqual(["high", "low"]);
    expect((await shown(".looked li")).toReversed().map(([name]) => name)).toEqual(["high", "low"]);
    await checkAccessible(page);
    await shoot(page, "try-sounds");
  });

  it("hears what the microphone hears, and tells each word once", async () => {
    await using _ = await open(
      "heard",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${folder.at("microphone.wav")}`,
    );
    await page.getByRole("button", { name: "Listen" }).click();
    await page.locator(".heard li").first().waitFor({ timeout: patienceMs });
    expect(await page.locator(".heard li strong").last().textContent()).toBe("high");
    await shoot(page, "try-microphone");
    await checkAccessible(page);
    await page.getByRole("button", { name: "Stop listening" }).click();
    await expect.poll(() => page.locator("[data-test=live]").count()).toBe(0);
  });

  it("names the word of a real recording that is played to it", async ({ skip }) => {
    if (!recordings) return skip("SHEAF_DATA has no speech_commands.");
    await succeed(
      [
        ..."train --network ds-cnn --width 0.5 --epochs 6 --batch 16 --test-count 20".split(" "),
        ...[...recordings.dataSet, "--out", folder.at("words")],
      ],
      { cwd: folder.path },
    );
    // A recording that the model knows well, so that what is looked at is how the page listens.
    await recordings.write(folder.at("spoken"), 40, 0);
    const spoken = folder.at("spoken", "train");
    const files = (await readdir(spoken, { recursive: true })).filter((name) => name.endsWith(".wav")).map((name) => join(spoken, name));
    const known = (await predicted("words", files))
      .map((each, i) => ({ file: files[i] as string, word: each.class, probability: each.classes[0]?.probability ?? 0 }))
      .filter(({ file, word }) => basename(dirname(file)) === word)
      .sort((a, b) => b.probability - a.probability);
    const { file = "", word = "" } = known[0] ?? {};
    await using _ = await open(
      "words",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${file}`,
    );
    await page.getByRole("button", { name: "Listen" }).click();
    await page.locator(".heard li").first().waitFor({ timeout: patienceMs });
    expect(await page.locator(".heard li strong").last().textContent()).toBe(word);
    await shoot(page, "try-words");
  });
});
