/** What a person does on the join page, in a real tab with a real coordinator: bring, pause, go on, forget; readable by everybody. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { drawGlyphs, glyphClassNames, glyphShape } from "../../src/data/glyphs.ts";
import { checkAccessible } from "./accessible.ts";
import { hasChromium, openChromium, writePictures } from "./browser.ts";
import { killAll, type Running, start } from "./processes.ts";
import { built, type Scratch, scratch } from "./sheaf.ts";
import { joinPageOf, joinWith, patienceMs } from "./tabs.ts";

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
    await checkAccessible(tab);
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
        await checkAccessible(tab);
        await tab.getByLabel("Camera").check();
        await checkAccessible(tab);
        expect(await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
      }
    }
    const tab = await openTab();
    await tab.goto(`${page.origin}/join#sheafjoin-${"x".repeat(40)}`);
    await tab.getByText("The join token is not known or has expired").waitFor({ timeout: patienceMs });
    await checkAccessible(tab);
  });
});
