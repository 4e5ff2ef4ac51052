/**
 * A fleet of real processes to which, from a seed, everything is done that can happen to one: reduced from what `npm run chaos` does in full. After each the
 * model has the bytes of an undisturbed run, the log verifies, each task was accepted once and nothing is left behind; a fault that did not take place fails.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type DisturbanceName, type Disturbed, disturb } from "../../scripts/chaos/disturb.mjs";
import { killAll } from "../../scripts/chaos/processes.mjs";
import { built, type Scratch, scratch } from "./sheaf.ts";

/** Many processes take long on a machine with other work; alone it is seconds. */
const longestMs = 900_000;

describe.skipIf(!built)("a fleet of processes", () => {
  let folder: Scratch;
  let expectedSha256: string | undefined;
  const fleet = (names: readonly DisturbanceName[], kills = 0): Promise<Disturbed> =>
    disturb(names, { folder: folder.at(names.join("-")), epochs: 4, seed: 1, kills, expectedSha256 });

  beforeAll(async () => {
    folder = await scratch("chaos");
    ({ sha256: expectedSha256 } = await fleet(["peace"]));
  }, longestMs);
  afterEach(killAll);
  afterAll(() => folder.remove());

  it.each<readonly [string, readonly DisturbanceName[], number]>([
    ["killed with -9, coordinator and devices", ["kills"], 3],
    ["on a line that cuts, delays, truncates, repeats and reorders, with clocks that jump", ["line", "clock"], 0],
    [
      "with a coordinator killed as it puts models together, two agents of one identity, an old copy of a state and a device's disk full",
      ["assembly", "twins", "staleCopy", "deviceDisk"],
      0,
    ],
    ["with the coordinator's disk full", ["coordinatorDisk"], 0],
  ])("%s makes the same model", { timeout: longestMs }, async (_, names, kills) => {
    const { sha256, skipped } = await fleet(names, kills);
    for (const { name, reason } of skipped) console.log(`${name} was skipped: ${reason}.`);
    expect(sha256).toBe(expectedSha256);
  });
});
