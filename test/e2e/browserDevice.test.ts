/** Browser tabs as devices: a real coordinator, a Node device and tabs of Chromium in one run, on folders of pictures. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { drawGlyphs, glyphClassNames, glyphShape } from "../../src/data/glyphs.ts";
import { hasChromium, openChromium, openRecordingLine, openSampleSearch, type RecordingLine, writePictures } from "./browser.ts";
import { killAll, type Running, start } from "./processes.ts";
import { built, type Scratch, scratch } from "./sheaf.ts";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
/** A loaded machine trains in WebAssembly slowly. */
const patienceMs = 400_000;

const serve = (folder: Scratch, name: string, ...more: readonly string[]): Running =>
  start(
    [
      ..."serve --data-set glyphs --train-count 200 --test-count 100 --network tiny --sub-width 0.5 --batch 10 --port 0 --until-finished".split(
        " ",
      ),
      ..."--set serve.heartbeatSeconds=1 --set serve.leaseSeconds=30".split(" "),
      ...["--store", folder.at(name, "store"), "--out", folder.at(name)],
      ...more,
    ],
    folder.path,
  );

/** Address of the page to join by, its origin replaced where there is a line between. */
async function joinPageOf(coordinator: Running): Promise<URL> {
  const [, address = ""] = await coordinator.until(/^In a browser (\S+)$/m);
  return new URL(address);
}

/** What a page complained of: errors, and whatever its content-security-policy refused. */
function listenFor(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/i.test(message.text())) complaints.push(message.text());
  });
  return complaints;
}

async function accessibilityOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(await readFile(axe, "utf8"));
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } }).axe.run(),
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

/** Names of the checkpoints in a tab's private file system. */
function checkpointsOf(page: Page): Promise<readonly string[]> {
  const script = `(async () => {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle("sheaf").then((sheaf) => sheaf.getDirectoryHandle("checkpoints")).catch(() => undefined);
    const names = [];
    if (folder) for await (const name of folder.keys()) names.push(name);
    return names;
  })()`;
  return page.evaluate(script);
}

/** Brings a folder and starts. */
async function joinWith(page: Page, pictures: string, name: string): Promise<void> {
  await page.getByRole("heading", { name: "Your samples" }).waitFor({ timeout: patienceMs });
  await page.getByLabel("Folder with a folder for each class").setInputFiles(pictures);
  await page.getByLabel("Name of this device").fill(name);
  await page.getByRole("button", { name: "Join and train" }).click();
}

const glyphs = (count: number, seed: number) => ({
  classNames: glyphClassNames,
  shape: glyphShape,
  ...drawGlyphs(count, { seed, split: "train" }),
});

describe.skipIf(!built || !hasChromium)("a tab of a browser", () => {
  let folder: Scratch;
  let browser: Browser;
  const contexts: BrowserContext[] = [];
  const openTab = async (options: Parameters<Browser["newContext"]>[0] = {}): Promise<Page> => {
    const context = await browser.newContext(options);
    contexts.push(context);
    return context.newPage();
  };
  beforeAll(async () => {
    folder = await scratch("browser");
    browser = await openChromium();
  });
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
    await killAll();
  });
  afterAll(async () => {
    await browser.close();
    await folder.remove();
  });

  it("trains beside a Node device and another tab, goes on after it was closed in mid-epoch, and sends no sample", async () => {
    const own = glyphs(60, 3);
    const files = await writePictures(folder.at("one"), own);
    await writePictures(folder.at("two"), glyphs(60, 4));
    const coordinator = serve(folder, "fleet", ..."--epochs 300 --set serve.minimumDevices=3 --set serve.stragglerFactor=1000".split(" "));
    const page = await joinPageOf(coordinator);
    await using line: RecordingLine = await openRecordingLine(page.origin);
    const [, address = ""] = await coordinator.until(/^To join +sheaf join (\S+)$/m);
    start(
      [..."join --data-set glyphs --train-count 60 --profile raspberry-pi-4 --name node --state".split(" "), folder.at("node"), address],
      folder.path,
    );

    const first = await openTab();
    const complaints = listenFor(first);
    const asked: string[] = [];
    first.context().on("request", (request) => asked.push(request.url()));
    await first.goto(`${line.url}/join${page.hash}`);
    expect(first.url()).toBe(`${line.url}/join`);
    await joinWith(first, folder.at("one"), "tab one");
    const second = await openTab();
    await second.goto(page.href);
    await joinWith(second, folder.at("two"), "tab two");

    // Closed while it trains, past its first checkpoint; slowly, so that it is not done before.
    await second
      .getByLabel("A fifth")
      .check({ timeout: patienceMs })
      .catch(async (error: unknown) => {
        throw new Error(`${await second.locator("main").textContent()}\n${coordinator.said()}`, { cause: error });
      });
    await second.getByText(/^([4-9]|\d\d+) of 300$/).waitFor({ timeout: patienceMs });
    // One is written every ten seconds.
    await second.waitForTimeout(11_000);
    expect(await checkpointsOf(second)).not.toEqual([]);
    const context = second.context();
    expect(coordinator.said()).not.toMatch(/tab two has done train/);
    await second.close();
    const again = await context.newPage();
    await again.goto(`${page.origin}/join`);
    await again.getByRole("heading", { name: "This browser trains" }).waitFor({ timeout: patienceMs });
    const epoch = again.getByText(/^\d+ of 300$/);
    await epoch.waitFor({ timeout: patienceMs });
    expect(Number.parseInt((await epoch.textContent()) ?? "", 10)).toBeGreaterThan(3);

    expect(await coordinator.ended, coordinator.said()).toBe(0);
    expect(coordinator.said()).toMatch(/tab two has done train/);
    expect(coordinator.said()).toMatch(/Model +\S+model\.onnx/);
    expect(coordinator.said()).not.toMatch(/refused|lost|given up|Missing/);

    // What the first tab sent in its whole life.
    const hasSample = openSampleSearch([own.pixels, ...files]);
    expect(hasSample(Buffer.concat([Buffer.from("{"), own.pixels.subarray(5000, 5030)]))).toBe(true);
    const sent = line.requests.filter(({ method }) => method !== "GET");
    expect(sent.some(({ url }) => url === "/v1/enrol")).toBe(true);
    expect(sent.some(({ method }) => method === "PATCH")).toBe(true);
    for (const { method, url, headers, body } of line.requests) {
      expect(hasSample(body), `${method} ${url}`).toBe(false);
      expect(hasSample(Buffer.from(body.toString("latin1"), "base64")), `${method} ${url}`).toBe(false);
      expect(hasSample(Buffer.from(JSON.stringify(headers) + decodeURIComponent(url)))).toBe(false);
    }
    // Where the token went: into bodies, and into no address.
    const token = page.hash.slice(1);
    expect(line.requests.filter(({ body }) => body.includes(token)).map(({ url }) => url)).toEqual(
      expect.arrayContaining(["/v1/invitation", "/v1/enrol"]),
    );
    for (const { url, headers } of line.requests) expect(url + JSON.stringify(headers)).not.toContain(token);
    expect(asked.filter((url) => !url.startsWith(`${line.url}/`) && !url.startsWith("blob:"))).toEqual([]);
    expect(complaints).toEqual([]);
    const document = line.requests.find(({ url }) => url === "/join");
    expect(document?.answerHeaders["content-security-policy"]).not.toMatch(/unsafe-inline|'unsafe-eval'/);

    const scripts = line.requests.filter(({ answerHeaders }) => answerHeaders["content-type"]?.startsWith("text/javascript"));
    const ours = scripts.filter(({ url }) => !url.includes("/ort"));
    const bytes = new Map(ours.map(({ url, answerBytes }) => [url, answerBytes]));
    const total = [...bytes.values()].reduce((sum, each) => sum + each, 0);
    console.log(`JavaScript of the join page: ${total} bytes compressed, in ${bytes.size} files`);
    expect(total).toBeGreaterThan(30_000);
    expect(total).toBeLessThan(300_000);
  }, 900_000);

  it("pauses at once, goes on, and can forget", async () => {
    await writePictures(folder.at("small"), glyphs(30, 5));
    const coordinator = serve(folder, "paused", ..."--epochs 2000 --set serve.minimumDevices=1".split(" "));
    const page = await joinPageOf(coordinator);
    const tab = await openTab();
    await tab.goto(page.href);
    await joinWith(tab, folder.at("small"), "tab");
    const epoch = tab.getByText(/^\d+ of 2000$/);
    await epoch.waitFor({ timeout: patienceMs });
    await tab.getByRole("button", { name: "Pause" }).click();
    await tab.getByRole("heading", { name: "Paused" }).waitFor({ timeout: patienceMs });
    await tab.waitForTimeout(1500);
    const before = await epoch.textContent();
    await tab.waitForTimeout(3000);
    expect(await epoch.textContent()).toBe(before);
    expect(await accessibilityOf(tab)).toEqual([]);
    await tab.getByRole("button", { name: "Go on" }).click();
    await expect.poll(async () => (await epoch.isVisible()) && (await epoch.textContent()) !== before, { timeout: patienceMs }).toBe(true);
    // A second tab of the same browser is not a second device.
    const other = await tab.context().newPage();
    await other.goto(page.href);
    await other.getByText("Another tab of this browser is this device already").waitFor({ timeout: patienceMs });
    await other.close();
    tab.on("dialog", (dialog) => void dialog.accept());
    await tab.getByRole("button", { name: "Forget samples and device" }).click();
    await tab.getByText("This page is opened by the link").waitFor({ timeout: patienceMs });
  }, 900_000);

  it("is readable by everybody, on a phone and in the dark too", async () => {
    await writePictures(folder.at("look"), glyphs(20, 6));
    const coordinator = serve(folder, "looks", ..."--epochs 5".split(" "));
    const page = await joinPageOf(coordinator);
    for (const colorScheme of ["light", "dark"] as const) {
      for (const viewport of [
        { width: 1280, height: 900 },
        { width: 390, height: 800 },
      ]) {
        const tab = await openTab({ colorScheme, viewport });
        await tab.goto(page.href);
        await tab.getByRole("heading", { name: "Your samples" }).waitFor({ timeout: patienceMs });
        await tab.getByLabel("Folder with a folder for each class").setInputFiles(folder.at("look"));
        expect(await accessibilityOf(tab)).toEqual([]);
        await tab.getByLabel("Camera").check();
        expect(await accessibilityOf(tab)).toEqual([]);
        expect(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      }
    }
    const tab = await openTab();
    await tab.goto(`${page.origin}/join#sheafjoin-${"x".repeat(40)}`);
    await tab.getByText("The join token is not known or has expired").waitFor({ timeout: patienceMs });
    expect(await accessibilityOf(tab)).toEqual([]);
  });
});
