/** Before the tests: provides what they need beyond npm where it may, and says once which of them this machine cannot run and why. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { provideChromium } from "./support/chromium.ts";

const realData = [
  { name: "CIFAR-10", folder: "cifar-10-batches-bin" },
  { name: "CIFAR-100", folder: "cifar-100-binary" },
];

/** The lines to print, given the environment's `SHEAF_DATA`. */
function skippedTests(dataFolder: string | undefined): string[] {
  if (!dataFolder) return ["SHEAF_DATA not set: tests on real CIFAR-10 and CIFAR-100 are skipped."];
  return realData
    .filter(({ folder }) => !existsSync(join(dataFolder, folder)))
    .map(({ name, folder }) => `No ${folder} in SHEAF_DATA (${dataFolder}): tests on real ${name} are skipped.`);
}

export function setup(): void {
  for (const line of skippedTests(process.env.SHEAF_DATA)) console.log(line);
  const missing = provideChromium((line) => console.log(line));
  if (missing !== undefined) console.log(`No Chromium: tests of pages are skipped, because ${missing}.`);
}
