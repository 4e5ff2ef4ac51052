/** Samples of each class as one picture, for files; a page sets the same strips as text flows (`dataSection.ts`). */
import { el, type Markup } from "../markup.ts";
import type { SamplesReport } from "../reportData.ts";
import { figure, label, wideWidth } from "./frame.ts";

/** How many strips stand side by side, by the number of classes, and how much room their names get. */
export function samplesLayout(classCount: number): { readonly columns: number; readonly labelWidth: number } {
  if (classCount <= 20) return { columns: 1, labelWidth: 120 };
  return classCount <= 40 ? { columns: 2, labelWidth: 92 } : { columns: 4, labelWidth: 84 };
}

const spacing = 12;

/** Samples of one class that fit a strip at a size at which they can be seen. */
export function samplesPerClass(classCount: number, sampleWidth: number): number {
  const { columns, labelWidth } = samplesLayout(classCount);
  const space = wideWidth / columns - labelWidth - spacing;
  const shownWidth = columns === 4 ? Math.max(sampleWidth, 32) : Math.max(Math.min(2 * sampleWidth, 96), 48);
  return Math.max(2, Math.min(10, Math.floor(space / (shownWidth + 2))));
}

/**
 * A strip of samples for each class beside its name.
 * @returns an `svg` element; the empty string when there is no strip
 */
export function samplesChart(classes: readonly string[], samples: SamplesReport): string {
  const { strips, sampleWidth, sampleHeight, gap } = samples;
  if (strips.length === 0) return "";
  const { columns, labelWidth } = samplesLayout(strips.length);
  const columnWidth = wideWidth / columns;
  const widest = Math.max(...strips.map(({ count }) => count)) * (sampleWidth + gap) - gap;
  const space = columnWidth - labelWidth - spacing;
  // Whole multiples keep small pictures sharp.
  const scale = widest > space ? space / widest : Math.min(6, Math.floor(space / widest));
  const rowHeight = Math.max(16, sampleHeight * scale) + 6;
  const rowCount = Math.ceil(strips.length / columns);
  const body = strips.flatMap(({ classId, count, image }, i): Markup[] => {
    const x = Math.floor(i / rowCount) * columnWidth + labelWidth;
    const y = 3 + (i % rowCount) * rowHeight;
    const name = classes[classId] ?? String(classId);
    return [
      label(x - 8, y + (rowHeight - 6) / 2 + 4, name, { anchor: "end", fit: labelWidth - 10 }),
      el("image", {
        x,
        y: y + (rowHeight - 6 - sampleHeight * scale) / 2,
        width: (count * (sampleWidth + gap) - gap) * scale,
        height: sampleHeight * scale,
        preserveAspectRatio: "none",
        style: scale >= 1 ? "image-rendering:pixelated" : undefined,
        href: image,
      }),
    ];
  });
  return figure(
    {
      id: "samples",
      title: "Samples of each class",
      description: samplesCaption(samples),
      width: wideWidth,
      height: rowCount * rowHeight + 6,
    },
    body,
  );
}

/** What the pictures are, in a sentence. */
export function samplesCaption({ kind }: Pick<SamplesReport, "kind">): string {
  switch (kind) {
    case "spectrogram":
      return "Log-mel spectrograms of training clips: time runs to the right, low frequencies are at the bottom, the lighter the louder.";
    case "image":
      return "Training samples as the network is given them.";
    case "array":
      return "Training samples, the first channels of each side by side in grey.";
  }
}
