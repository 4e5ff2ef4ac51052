/** The load test of a fleet in its smallest form: that it runs, not what it measures. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { built } from "./sheaf.ts";

it.skipIf(!built)("measures what a coordinator of a few devices costs", async () => {
  const script = fileURLToPath(new URL("../../bench/fleet.mjs", import.meta.url));
  const args = [script, "--agents", "3,6", "--seconds", "0.1", "--clients", "1", "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { results } = JSON.parse(stdout) as { results: { devices: number; requests: number }[] };
  expect(results.map(({ devices }) => devices)).toEqual([3, 6]);
  for (const { devices, requests } of results) expect(requests).toBeGreaterThan(devices);
});
