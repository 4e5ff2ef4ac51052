// A data set in one file. Any command takes it by its path:
//   sheaf data inspect examples/dataSet.ts --out look
//   sheaf run --data-set examples/dataSet.ts --network tiny --epochs 3
import { defineDataset } from "sheaf/data";
import { random } from "sheaf/util";

const classNames = ["level", "upright", "rising", "falling"];
const shape = { channels: 1, height: 16, width: 16 };

/** Stripes in one of four directions, at any offset, with noise: samples one after another, each [channels, height, width]. */
function draw(count: number, seed: number, part: string): { labels: Uint16Array; values: Uint8Array } {
  const source = random(seed, part);
  const labels = Uint16Array.from({ length: count }, (_, i) => i % classNames.length);
  const values = new Uint8Array(count * shape.height * shape.width);
  let at = 0;
  for (const label of labels) {
    const offset = source.below(6);
    for (let y = 0; y < shape.height; y++) {
      for (let x = 0; x < shape.width; x++) {
        const place = [y, x, y + x, y - x + 16][label] ?? 0;
        values[at++] = ((place + offset) % 6 < 3 ? 90 : 40) + source.below(120);
      }
    }
  }
  return { labels, values };
}

export default defineDataset({
  name: "stripes",
  title: "Stripes in four directions, made in code",
  // What it gives is checked: numbers of values, labels, names. `load` may be async, and read files or fetch them.
  load: ({ seed, trainCount = 1200, testCount = 400 }) => ({
    classNames,
    shape,
    train: draw(trainCount, seed, "train"),
    test: draw(testCount, seed, "test"),
  }),
});
