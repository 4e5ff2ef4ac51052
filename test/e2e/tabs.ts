/** Tabs of a browser as devices of a fleet, the coordinator's page by which they come, and what they keep. */
import type { Page } from "playwright-core";
import { decodeCheckpoint } from "../../src/train/checkpoint.ts";
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

/** A file in the private file system of a tab's origin. */
export async function privateFileOf(page: Page, folder: string, name: string): Promise<Buffer> {
  const text = (await page.evaluate(`(async () => {
    const root = await navigator.storage.getDirectory();
    const folder = await (await root.getDirectoryHandle("sheaf")).getDirectoryHandle(${JSON.stringify(folder)});
    const file = await (await folder.getFileHandle(${JSON.stringify(name)})).getFile();
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  })()`)) as string;
  return Buffer.from(text, "base64");
}

/** A checkpoint's file begins with its number and hash. */
const checkpointStart = 8 + 64;

/** Steps done by the latest checkpoint that a tab's origin keeps; 0 where it keeps none. A tab that was closed while it wrote leaves one that does not count. */
export async function checkpointStepOf(page: Page): Promise<number> {
  const steps = (await checkpointsOf(page)).map(async (name) => {
    const bytes = (await privateFileOf(page, "checkpoints", name)).subarray(checkpointStart);
    return decodeCheckpoint(new Uint8Array(bytes), name).then(
      ({ step }) => step,
      () => 0,
    );
  });
  return Math.max(0, ...(await Promise.all(steps)));
}

/** Brings a folder and starts. */
export async function joinWith(page: Page, samples: string, name: string): Promise<void> {
  await page.getByRole("heading", { name: "Your samples" }).waitFor();
  await page.getByLabel("Folder with a folder for each class").setInputFiles(samples);
  await page.getByLabel("Name of this device").fill(name);
  await page.getByRole("button", { name: "Join and train" }).click();
}
