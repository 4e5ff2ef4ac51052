import { describe, expect, test } from "vitest";
import { recentBlocks } from "./blocks.ts";

describe("recentBlocks", () => {
  test("loads a block once while it is among the last ones, and again when it was dropped", async () => {
    const loaded: number[] = [];
    const block = recentBlocks(2, async (number) => {
      loaded.push(number);
      return number * 10;
    });
    expect(await Promise.all([block(1), block(1), block(2), block(1)])).toEqual([10, 10, 20, 10]);
    expect(loaded).toEqual([1, 2]);
    await block(3); // drops 2, which was asked for longest ago
    await block(1);
    expect(loaded).toEqual([1, 2, 3]);
    await block(2);
    expect(loaded).toEqual([1, 2, 3, 2]);
  });

  test("tries a block that failed again", async () => {
    let tries = 0;
    const block = recentBlocks(2, async () => {
      if (++tries === 1) throw new Error("not yet");
      return "there";
    });
    await expect(block(0)).rejects.toThrow("not yet");
    expect(await block(0)).toBe("there");
  });
});
