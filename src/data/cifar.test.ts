import { describe, expect, test } from "vitest";
import { parseCifar, parseClassNames } from "./cifar.ts";

const classes = { fine: ["cat", "dog", "eel"] };

/** Records whose every pixel byte is the record's `fill`. */
function records(...entries: readonly { labels: readonly number[]; fill: number }[]): Uint8Array {
  return Uint8Array.from(entries.flatMap(({ labels, fill }) => [...labels, ...new Array<number>(3072).fill(fill)]));
}

describe("parseCifar", () => {
  test("takes record counts from sizes and joins files in order", () => {
    const second = records({ labels: [1], fill: 9 });
    second[1 + 1024] = 77; // first green pixel
    const parsed = parseCifar(
      [
        { name: "a.bin", bytes: records({ labels: [2], fill: 7 }, { labels: [0], fill: 8 }) },
        { name: "b.bin", bytes: second },
      ],
      classes,
    );
    expect([...parsed.labels]).toEqual([2, 0, 1]);
    expect(parsed.pixels.length).toBe(3 * 3072);
    expect([parsed.pixels[0], parsed.pixels[3072], parsed.pixels[6144], parsed.pixels[6144 + 1024]]).toEqual([7, 8, 9, 77]);
    expect(parsed.pixels.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(parsed.coarse).toBeUndefined();
  });

  test("reads coarse before fine labels when there are coarse names", () => {
    const parsed = parseCifar([{ name: "train.bin", bytes: records({ labels: [1, 2], fill: 3 }) }], {
      ...classes,
      coarse: ["pet", "fish"],
    });
    expect([...parsed.labels]).toEqual([2]);
    expect([...(parsed.coarse?.labels ?? [])]).toEqual([1]);
    expect(parsed.pixels[0]).toBe(3);
  });

  test("a file cut short is refused with file, expected and actual size", () => {
    const bytes = records({ labels: [0], fill: 0 }).subarray(0, 3000);
    expect(() => parseCifar([{ name: "x/data_batch_2.bin", bytes }], classes)).toThrow(
      /x\/data_batch_2\.bin: expected a multiple of 3073 bytes.*got 3000 bytes, so the last record is cut short; fetch the file again/,
    );
  });

  test("an empty file is refused", () => {
    expect(() => parseCifar([{ name: "x.bin", bytes: new Uint8Array() }], classes)).toThrow(/x\.bin is empty/);
  });

  test("a label out of range is refused with its record", () => {
    const bytes = records({ labels: [0], fill: 0 }, { labels: [3], fill: 0 });
    expect(() => parseCifar([{ name: "x.bin", bytes }], classes)).toThrow(/x\.bin: record 1 .*label 3, expected 0 to 2/);
  });
});

describe("parseClassNames", () => {
  const bytes = new TextEncoder().encode("cat\r\ndog\n\n");
  test("skips empty lines and line ends of any kind", () => {
    expect(parseClassNames({ name: "names", bytes }, 2)).toEqual(["cat", "dog"]);
  });
  test("refuses another number of names", () => {
    expect(() => parseClassNames({ name: "names", bytes }, 3)).toThrow(/names: expected 3 class names.*got 2/);
  });
});
