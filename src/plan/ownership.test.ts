import { describe, expect, it } from "vitest";
import { addOwner, emptyOwnership, type Ownership, owns, setOwned } from "./ownership.ts";

/** Rows of classes, columns of devices: 1 owned, 2 owned and preferred. */
function ownership(sizes: readonly number[], rows: readonly (readonly number[])[]): Ownership {
  const o = emptyOwnership(rows.length, sizes);
  for (const [classId, row] of rows.entries()) {
    for (const [device, cell] of row.entries()) {
      if (cell > 0) setOwned(o, device, classId, true);
      o.preferred[classId * sizes.length + device] = cell === 2 ? 1 : 0;
    }
  }
  return o;
}

const matrix = (o: Ownership): number[][] =>
  Array.from({ length: o.classCount }, (_, c) => Array.from({ length: o.deviceCount }, (_, d) => Number(owns(o, d, c))));

describe("addOwner", () => {
  it("takes a device with room", () => {
    const o = ownership(
      [1, 2],
      [
        [0, 0],
        [1, 0],
      ],
    );
    expect(addOwner(o, 0, 1)).toBe(true);
    expect(matrix(o)).toEqual([
      [0, 1],
      [1, 0],
    ]);
    expect([...o.free]).toEqual([0, 1]);
    expect([...o.owners]).toEqual([1, 1]);
  });

  it("goes a longer way round rather than break a preference", () => {
    // Class 0 wants a second owner. Device 0 could give up class 1, which has three owners, but prefers it.
    // Device 1 gives up class 2 instead, which device 2 has room for; it owns class 0 already.
    const rows = [
      [0, 0, 1, 0],
      [2, 0, 1, 1],
      [0, 1, 0, 1],
    ];
    const o = ownership([1, 1, 3, 2], rows);
    expect(addOwner(o, 0, 2)).toBe(true);
    expect(matrix(o)).toEqual([
      [0, 1, 1, 0],
      [1, 0, 1, 1],
      [0, 0, 1, 1],
    ]);
  });

  it("breaks a preference where nothing else helps, and forgets it", () => {
    const o = ownership(
      [1, 1],
      [
        [0, 0],
        [2, 2],
      ],
    );
    expect(addOwner(o, 0, 1)).toBe(true);
    expect([...o.owners]).toEqual([1, 1]);
    expect([...o.preferred].reduce((a, b) => a + b)).toBe(1);
  });

  it("says when there is no way", () => {
    const o = ownership(
      [1, 1],
      [
        [0, 0],
        [1, 0],
        [0, 1],
      ],
    );
    expect(addOwner(o, 0, 1)).toBe(false);
    expect(matrix(o)).toEqual([
      [0, 0],
      [1, 0],
      [0, 1],
    ]);
  });
});
