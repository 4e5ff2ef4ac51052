/** What a person does on the join page, in a real tab with a real coordinator: bring, join, pause, go on, forget; by keyboard, and readable by everybody. */
import { mkdir, writeFile } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { drawGlyphs, glyphClassNames, glyphShape } from "../../src/data/glyphs.ts";
import { checkAccessible } from "./accessible.ts";
import { hasChromium, openChromium, openPage, patienceMs, shoot, writePictures } from "./browser.ts";
import { enter, tabTo } from "./keyboard.ts";
import { killAll, type Running, start } from "./processes.ts";
import { built, type Scratch, scratch } from "./sheaf.ts";
import { joinPageOf } from "./tabs.ts";

const serve = (folder: Scratch, name: string, ...more: readonly string[]): Running =>
  start(
    [
      ..."serve --data-set glyphs --train-count 200 --test-count 100 --network tiny --sub-width 0.5 --batch 10 --port 0".split(" "),
      ..."--set serve.heartbeatSeconds=1 --set serve.leaseSeconds=30".split(" "),
      ...["--store", folder.at(name, "store"), "--out", folder.at(name)],
      ...more,
    ],
    folder.path,
  );

const glyphs = (count: number, seed: number) => ({
  classNames: glyphClassNames,
  shape: glyphShape,
  ...drawGlyphs(count, { seed, split: "train" }),
});

/** Drops what lies at `path` onto the middle of what is found, as the desktop would. */
async function drop(page: Page, selector: string, path: string): Promise<void> {
  await page.locator(selector).scrollIntoViewIfNeeded();
  const box = await page.locator(selector).boundingBox();
  if (!box) throw new Error(`${selector} is not seen`);
  const debugging = await page.context().newCDPSession(page);
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await debugging.send("Input.dispatchDragEvent", { type, x, y, data: { items: [], files: [path], dragOperationsMask: 1 } });
}

describe.skipIf(!built || !hasChromium)("the join page", () => {
  let folder: Scratch;
  let browser: Browser;
  beforeAll(async () => {
    folder = await scratch("browser");
    browser = await openChromium();
  });
  afterEach(async () => {
    for (const context of browser?.contexts() ?? []) await context.close();
    await killAll();
  });
  afterAll(async () => {
    await browser?.close();
    await folder?.remove();
  });

  it("is gone through with the keyboard alone: brings a folder, joins, pauses at once, goes on, and forgets", async () => {
    await writePictures(folder.at("small"), glyphs(30, 5));
    const coordinator = serve(folder, "paused", ..."--epochs 2000 --set serve.minimumDevices=1".split(" "));
    const page = await joinPageOf(coordinator);
    const tab = await openPage(browser);
    await tab.goto(page.href);
    const button = (name: string) => tab.getByRole("button", { name, exact: true });
    // There and back among the ways to bring samples.
    await tabTo(tab, tab.getByLabel("A folder for each class", { exact: true }));
    await tab.keyboard.press("ArrowDown");
    await tab.getByRole("button", { name: /^Choose pictures of/ }).waitFor();
    await tab.keyboard.press("ArrowUp");
    const chooser = tab.waitForEvent("filechooser");
    await enter(tab, button("or choose it"));
    await (await chooser).setFiles(folder.at("small"));
    await tab.getByText("30 samples").waitFor();
    await tabTo(tab, tab.getByLabel("Name of this device"));
    await tab.keyboard.press("ControlOrMeta+a");
    await tab.keyboard.type("tab");
    await enter(tab, button("Join and train"));
    const epoch = tab.getByText(/^\d+ of 2000$/);
    await epoch.waitFor();
    for (const [colorScheme, width] of [
      ["light", 1280],
      ["dark", 1280],
      ["light", 390],
    ] as const) {
      await tab.emulateMedia({ colorScheme });
      await tab.setViewportSize({ width, height: 850 });
      await checkAccessible(tab);
      expect(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      await shoot(tab, `join-training-${colorScheme}-${width}`);
    }
    await enter(tab, button("Pause"));
    await tab.getByRole("heading", { name: "Paused" }).waitFor();
    await tab.waitForTimeout(1500);
    const before = await epoch.textContent();
    await tab.waitForTimeout(3000);
    expect(await epoch.textContent()).toBe(before);
    await checkAccessible(tab);
    await enter(tab, button("Go on"));
    await expect.poll(async () => (await epoch.isVisible()) && (await epoch.textContent()) !== before, { timeout: patienceMs }).toBe(true);
    await tabTo(tab, tab.getByLabel("Full speed"));
    await tab.keyboard.press("ArrowRight");
    expect(await tab.getByLabel("Half").isChecked()).toBe(true);
    // A second tab of the same browser is not a second device.
    const other = await tab.context().newPage();
    await other.goto(page.href);
    await other.getByText("Another tab of this browser is this device already").waitFor();
    await other.close();
    tab.on("dialog", (dialog) => void dialog.accept());
    await enter(tab, button("Forget samples and device"));
    await tab.getByText("This page is opened by the link").waitFor();
    await shoot(tab, "join-refused");
  }, 900_000);

  it("is readable by everybody, on a phone and in the dark too, and takes folders that are dropped", async () => {
    await writePictures(folder.at("look"), glyphs(20, 6));
    await mkdir(folder.at("look", "unicorn"));
    await writeFile(folder.at("look", "unicorn", "1.png"), "no class of the run");
    const page = await joinPageOf(serve(folder, "looks", ..."--epochs 5".split(" ")));
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [1280, 390]) {
        const tab = await openPage(browser, { colorScheme, viewport: { width, height: 850 } });
        await tab.goto(page.href);
        await tab.getByText("None yet.").waitFor();
        await shoot(tab, `join-idle-${colorScheme}-${width}`);
        await drop(tab, ".drop", folder.at("look"));
        await tab.getByText("20 samples").waitFor();
        await tab.getByText("Left out, since the run has no such class: unicorn (1)").waitFor();
        await checkAccessible(tab);
        await shoot(tab, `join-brought-${colorScheme}-${width}`);
        await tab.getByLabel("Camera").check();
        await checkAccessible(tab);
        expect(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
        await tab.context().close();
      }
    }
    const tab = await openPage(browser);
    await tab.goto(`${page.origin}/join#sheafjoin-${"x".repeat(40)}`);
    await tab.getByText("The join token is not known or has expired").waitFor();
    await checkAccessible(tab);
    // Nothing fitting in a folder is said.
    await tab.goto("about:blank");
    await tab.goto(page.href);
    await tab.getByText("None yet.").waitFor();
    await drop(tab, ".drop", folder.at("look", "unicorn"));
    await tab.getByRole("alert").getByText("No pictures were found in folders named like the classes").waitFor();
  }, 900_000);
});
