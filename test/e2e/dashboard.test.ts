/** The dashboard in Chromium on a real coordinator and real devices: signing in, a run live, what an administrator can do, and what came out. */
import { readFile } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openClient } from "../../src/protocol/client.ts";
import { sha256Hex } from "../../src/util/hash.node.ts";
import { checkAccessible } from "./accessible.ts";
import { hasChromium, openChromium, openPage, patienceMs, shoot } from "./browser.ts";
import { enter, tabTo } from "./keyboard.ts";
import { killAll, start } from "./processes.ts";
import { built, type Scratch, scratch } from "./sheaf.ts";

const data = "--data-set glyphs --train-count 300 --test-count 60".split(" ");
const devices = ["ann", "bob", "cat"] as const;

describe.skipIf(!built || !hasChromium)("the dashboard", () => {
  let folder: Scratch;
  let browser: Browser;
  let page: Page;
  let origin: string;
  let address: string;
  let joinAddress: string;
  let runId: string;
  const problems: string[] = [];
  const requests: string[] = [];

  beforeAll(async () => {
    folder = await scratch("dashboard");
    const coordinator = start(
      [
        ..."serve --network tiny --epochs 150 --batch 8 --sub-width 0.5 --set serve.minimumDevices=3 --set serve.heartbeatSeconds=1 --set serve.leaseSeconds=10".split(
          " ",
        ),
        ..."--set settle.passes=1 --set settle.epochs=1 --set serve.stragglerFactor=1000 --port 0".split(" "),
        ...data,
        ...["--store", folder.at("store")],
      ],
      folder.path,
    );
    [, address = ""] = await coordinator.until(/^Dashboard +(\S+)/m);
    [, joinAddress = ""] = await coordinator.until(/^To join +sheaf join (\S+)/m);
    [, runId = ""] = await coordinator.until(/^Run +fleet +(\S+)/m);
    origin = new URL(address).origin;
    browser = await openChromium();
    page = await openPage(browser, { viewport: { width: 1360, height: 900 }, acceptDownloads: true });
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("request", (request) => requests.push(request.url()));
  }, patienceMs);
  afterAll(async () => {
    await browser?.close();
    await killAll();
    await folder?.remove();
  });

  const join = (name: string): void => {
    start(["join", joinAddress, ...data, "--state", folder.at(name), "--name", name, "--profile", "raspberry-pi-4"], folder.path);
  };
  const tokenOf = async (): Promise<string> =>
    (JSON.parse(await page.evaluate<string>("sessionStorage.getItem('sheaf-session')")) as { accessToken: string }).accessToken;
  const api = async () => openClient({ url: origin, credentials: { type: "token", token: await tokenOf() } });
  const state = (): Promise<string | null> => page.locator(".head .status").textContent();
  const untilState = (word: string): Promise<void> => expect.poll(state, { timeout: patienceMs, interval: 200 }).toContain(word);

  it("lets in by the printed address, once, and takes the token out of the address", async () => {
    await page.goto(address);
    await page.getByRole("link", { name: "fleet" }).waitFor();
    expect(page.url()).toBe(`${origin}/`);
    expect(await page.evaluate<number>("history.length")).toBeLessThanOrEqual(2);
    expect(requests.some((url) => url.includes("sheafsignin"))).toBe(false);
    await checkAccessible(page);
    await shoot(page, "runs-light");
    const other = await openPage(browser);
    await other.goto(address);
    await other.getByRole("alert").waitFor();
    expect(await other.getByRole("alert").textContent()).toContain("was used");
    await checkAccessible(other);
    await shoot(other, "sign-in-light");
    await other.emulateMedia({ colorScheme: "dark" });
    await other.setViewportSize({ width: 390, height: 844 });
    await checkAccessible(other);
    await shoot(other, "sign-in-dark-phone");
    await other.context().close();
    // A reload stays signed in: the token is this tab's.
    await page.reload();
    await page.getByRole("link", { name: "fleet" }).waitFor();
  });

  it("lets a viewer in by an access token, who sees and may not act", async () => {
    const { token } = await (await api()).call("createJoinToken", { body: { role: "viewer", uses: 1, expiresInSeconds: 600 } });
    const viewer = await openPage(browser);
    await viewer.goto(`${origin}/#/runs/${runId}`);
    await tabTo(viewer, viewer.getByLabel("Address or token"));
    await viewer.keyboard.insertText(token);
    await viewer.keyboard.press("Enter");
    await viewer.getByRole("heading", { name: "fleet" }).waitFor();
    expect(await viewer.getByRole("button", { name: "Cancel" }).count()).toBe(0);
    expect(await viewer.getByRole("button", { name: "Pause" }).count()).toBe(0);
    await viewer.context().close();
  });

  it("shows devices as they come, the plan, and learning curves while they train", async () => {
    await enter(page, page.getByRole("link", { name: "fleet" }));
    await untilState("waiting");
    for (const name of devices) join(name);
    await untilState("training");
    await page.getByRole("img", { name: "Which device owns which class" }).waitFor();
    await page.getByRole("img", { name: "Learning curves" }).waitFor();
    await page.getByRole("img", { name: "Timeline of the devices" }).waitFor();
    // What is shown is what the interface says.
    const { owners, classNames } = await (await api()).call("getRun", { runId });
    const shown = await page.getByRole("img", { name: "Which device owns which class" }).innerHTML();
    for (const [classId, names] of owners.entries())
      for (const name of names) expect(shown).toContain(`${name} (${name}) owns ${classNames[classId]}`);
    expect(await page.locator("table tbody tr").count()).toBe(devices.length);
    await checkAccessible(page);
    await shoot(page, "run-training-light");
  });

  it("pauses, excuses a device and resumes, by keyboard", async () => {
    await enter(page, page.getByRole("button", { name: "Pause" }));
    await untilState("paused");
    expect((await (await api()).call("getRun", { runId })).status).toBe("paused");
    // A device that nobody waits for any more works on if it is there.
    await enter(page, page.getByRole("button", { name: "Excuse cat" }));
    await page.getByRole("heading", { name: "Go on without cat?" }).waitFor();
    await checkAccessible(page);
    await enter(page, page.getByRole("button", { name: "Excuse", exact: true }));
    await page.getByText("does not wait for cat any more").waitFor();
    const { devices: all } = await (await api()).call("listDevices", {});
    expect((await (await api()).call("getRun", { runId })).excused).toEqual([all.find(({ name }) => name === "cat")?.deviceId]);
    await enter(page, page.getByRole("button", { name: "Resume" }));
    await untilState("training");
    expect((await (await api()).call("getRun", { runId })).status).toBe("training");
  });

  it("turns a device away, after a question, by keyboard", async () => {
    join("dan");
    const revoke = page.getByRole("button", { name: "Revoke dan" });
    await enter(page, revoke);
    await page.getByRole("heading", { name: "Turn dan away?" }).waitFor();
    await checkAccessible(page);
    await page.keyboard.press("Escape");
    await page.getByRole("heading", { name: "Turn dan away?" }).waitFor({ state: "hidden" });
    expect((await (await api()).call("listDevices", {})).devices.some(({ status }) => status === "revoked")).toBe(false);
    await enter(page, revoke);
    await enter(page, page.getByRole("button", { name: "Revoke", exact: true }));
    await page.getByText("dan was turned away.").waitFor();
    const { devices: all } = await (await api()).call("listDevices", {});
    expect(all.filter(({ status }) => status === "revoked").map(({ name }) => name)).toEqual(["dan"]);
  });

  it("harvests what is there", async () => {
    const button = page.getByRole("button", { name: "Harvest now" });
    await expect.poll(() => button.isEnabled(), { timeout: patienceMs, interval: 500 }).toBe(true);
    const download = page.waitForEvent("download");
    await button.click();
    const model = await readFile(await (await download).path());
    await page.getByText(/A model of \d branch(es)? with head H[02] was saved/).waitFor();
    expect(model.length).toBeGreaterThan(1000);
  });

  it("shows what came out: heads, classes, confusion, settle passes", async () => {
    await untilState("finished");
    for (const name of [
      "Validation accuracy of every head",
      "Validation accuracy by class",
      "Confusion matrix",
      "Accuracy after each settle pass",
      "Compute ratio",
      "Bytes moved",
    ])
      await page.getByRole("img", { name }).waitFor();
    const { model } = await (await api()).call("getRun", { runId });
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: /Download model/ }).click();
    expect(sha256Hex(await readFile(await (await download).path()))).toBe(model?.sha256);
    await checkAccessible(page);
    await shoot(page, "run-finished-light");
    const scripts = await page.evaluate<[string, number][]>(
      "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('.js')).map(({ name, encodedBodySize }) => [name, encodedBodySize])",
    );
    const scriptBytes = [...new Map(scripts).values()].reduce((sum, bytes) => sum + bytes, 0);
    console.log(`JavaScript of the dashboard: ${scriptBytes} bytes compressed`);
    expect(scriptBytes).toBeGreaterThan(30_000);
    expect(scriptBytes).toBeLessThan(300_000);
    await page.getByLabel("Theme").selectOption("dark");
    await expect.poll(() => page.evaluate<string>("getComputedStyle(document.body).backgroundColor")).toBe("rgb(20, 23, 26)");
    await checkAccessible(page);
    await shoot(page, "run-finished-dark");
    await page.setViewportSize({ width: 390, height: 844 });
    await page.waitForTimeout(500);
    expect(await page.evaluate<number>("document.documentElement.scrollWidth")).toBe(390);
    await checkAccessible(page);
    await shoot(page, "run-finished-phone");
  });

  it("opens the run's model on the page to try it", async () => {
    await page.getByRole("link", { name: "Try the model" }).click();
    await page.getByRole("heading", { name: "Model card" }).waitFor();
    expect(await page.textContent(".card")).toContain("glyphs");
  });

  it("asked nobody else, kept tokens out of addresses, and had no trouble", () => {
    expect(requests.filter((url) => !url.startsWith(origin) && !url.startsWith("blob:"))).toEqual([]);
    expect(requests.filter((url) => /sheaf1\.|sheafsignin|sheafjoin/.test(url))).toEqual([]);
    expect(problems).toEqual([]);
  });
});
