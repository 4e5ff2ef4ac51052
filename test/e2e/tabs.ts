/** Tabs of a browser as devices of a fleet, and the coordinator's page by which they come. */
import type { Page } from "playwright-core";
import type { Running } from "./processes.ts";

/** Address of the page to join by. */
export async function joinPageOf(coordinator: Running): Promise<URL> {
  const [, address = ""] = await coordinator.until(/^In a browser (\S+)$/m);
  return new URL(address);
}

/** What a page complained of: errors, and whatever its content-security-policy refused. */
export function listenFor(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/i.test(message.text())) complaints.push(message.text());
  });
  return complaints;
}

/** Names of the checkpoints in a tab's private file system. */
export function checkpointsOf(page: Page): Promise<readonly string[]> {
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
export async function joinWith(page: Page, samples: string, name: string): Promise<void> {
  await page.getByRole("heading", { name: "Your samples" }).waitFor();
  await page.getByLabel("Folder with a folder for each class").setInputFiles(samples);
  await page.getByLabel("Name of this device").fill(name);
  await page.getByRole("button", { name: "Join and train" }).click();
}
