/** Two browsers without data of their own take what the run offers, on the join page, and finish it; a tab that is closed keeps its data. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningCoordinator, startCoordinator } from "../../src/fleet/coordinator.ts";
import { hasChromium, openChromium } from "./browser.ts";

const config = {
  data: { name: "glyphs", trainCount: 120, testCount: 40 },
  target: { network: "tiny" },
  training: { epochs: 1, batchSize: 16 },
  fleet: { width: 0.5 },
  serve: { minimumDevices: 2, offeredShards: 2 },
};

describe.skipIf(!hasChromium)("data that a run offers, in a browser", () => {
  let folder: string;
  let coordinator: RunningCoordinator;
  let browser: Browser;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sheaf-offered-"));
    coordinator = await startCoordinator({ store: folder, host: "127.0.0.1", port: 0, log: () => undefined });
    browser = await openChromium();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await coordinator?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("is all that two tabs need", async () => {
    const { runId } = await coordinator.ensureRun("offered", config);
    const { page: address } = await coordinator.joinLine(2, 1);
    const volunteer = async (): Promise<Page> => {
      const page = await (await browser.newContext()).newPage();
      await page.goto(address);
      await page.getByLabel(/Data that the run offers \(\d/).check();
      await page.getByText(/fetches up to 60 samples/).waitFor();
      await page.getByRole("button", { name: "Join and train" }).click();
      return page;
    };
    const first = await volunteer();
    await first.getByText("Waiting for work").waitFor({ timeout: 120_000 });
    const run = () => coordinator.live.state.runs.get(runId);
    expect(run()?.takers).toHaveLength(1);
    // Closed and opened again, without the token: the same device with the same data.
    await first.goto("about:blank");
    await first.goto(address.split("#")[0] as string);
    await first.getByText("Waiting for work").waitFor({ timeout: 60_000 });
    const second = await volunteer();
    const end = new AbortController();
    const giveUp = setTimeout(() => end.abort(), 240_000);
    const over = await coordinator.untilOver(runId, end.signal);
    clearTimeout(giveUp);
    expect([over.phase, over.reason]).toEqual(["finished", undefined]);
    expect(over.takers).toHaveLength(2);
    expect(new Set(over.takers).size).toBe(2);
    await second.close();
  }, 480_000);
});
