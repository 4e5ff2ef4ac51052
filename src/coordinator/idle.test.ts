import { expect, it } from "vitest";
import { retryAfterMs } from "./idle.ts";
import { awayMs } from "./liveness.ts";

it("lets small fleets ask again at once, and large ones no oftener than a coordinator can answer", () => {
  const waitMs = 25_000;
  for (const count of [0, 1, 1000, 5000]) expect(retryAfterMs(count, waitMs)).toBe(0);
  for (const count of [6000, 10_000, 20_000]) expect((1000 * count) / (waitMs + retryAfterMs(count, waitMs))).toBeCloseTo(200);
  // Nobody is taken for away because it was told to wait.
  expect(waitMs + retryAfterMs(1e9, waitMs)).toBeLessThan(0.9 * awayMs);
});
