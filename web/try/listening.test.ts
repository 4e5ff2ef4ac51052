import { describe, expect, it } from "vitest";
import { openLastStretch, openWordDetector } from "./listening.ts";

describe("the last stretch", () => {
  it("is the newest values in order, with zeros before the first", () => {
    const stretch = openLastStretch(5);
    stretch.push(Float32Array.of(1, 2));
    expect([...stretch.read()]).toEqual([0, 0, 0, 1, 2]);
    stretch.push(Float32Array.of(3, 4, 5, 6));
    expect([...stretch.read()]).toEqual([2, 3, 4, 5, 6]);
    stretch.push(Float32Array.of(7, 8, 9, 10, 11, 12, 13));
    expect([...stretch.read()]).toEqual([9, 10, 11, 12, 13]);
  });
});

describe("the word detector", () => {
  const answer = (yes: number, silence = 1 - yes) => [
    { class: "silence", probability: silence },
    { class: "yes", probability: yes },
  ];
  const heard = (...values: readonly number[]): (string | undefined)[] => {
    const detector = openWordDetector();
    return values.map((yes, at) => detector.hear(answer(yes), at)?.word);
  };

  it("hears a word once for as long as it lasts, and again when it comes again", () => {
    expect(heard(0, 0.9, 0.9, 0.9, 0.9, 0, 0, 0, 0.9, 0.9, 0.9).filter((word) => word !== undefined)).toEqual(["yes", "yes"]);
  });

  it("does not hear what flickers, nor silence", () => {
    expect(heard(0, 1, 0, 0, 1, 0, 0, 0.5, 0.5, 0.5).every((word) => word === undefined)).toBe(true);
  });
});
