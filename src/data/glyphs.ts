/**
 * An embedded set of 32x32 RGB images of ten symbols, drawn by code: any number of samples, no file, no network.
 * Colour, brightness, size, place and orientation say nothing about the class; only the shape does.
 */

import type { Random } from "../util/random.ts";
import { random } from "../util/random.ts";
import type { SampleShape } from "./dataset.ts";
import { sampleSize, sharedBytes, sharedLabels } from "./dataset.ts";
import type { Canvas, Color, Point } from "./glyphCanvas.ts";
import { createCanvas, paintBackground, paintGrain, paintPath } from "./glyphCanvas.ts";
import type { Path } from "./glyphSymbols.ts";
import { symbolNames, symbols } from "./glyphSymbols.ts";

/** Class names in label order. */
export const glyphClassNames: readonly string[] = symbolNames;
export const glyphShape: SampleShape = { channels: 3, height: 32, width: 32 };
/** Raised when the drawing changes, since the same seed then gives other images. */
export const glyphVersion = 1;

export type GlyphSplit = "train" | "test";

const side = glyphShape.width;
const between = (source: Random, low: number, high: number): number => low + (high - low) * source.uniform();
const anyColor = (source: Random): Color => [between(source, 15, 240), between(source, 15, 240), between(source, 15, 240)];

/** Weighted distance of two colours; green counts most, as it does to the eye. */
function contrast(a: Color, b: Color): number {
  return Math.sqrt(0.6 * (a[0] - b[0]) ** 2 + 1.6 * (a[1] - b[1]) ** 2 + 0.4 * (a[2] - b[2]) ** 2);
}

/** A random colour at least `least` away from all of `others`; the farthest of 24 tries when none is. */
function colorAwayFrom(others: readonly Color[], least: number, source: Random): Color {
  let best = anyColor(source);
  let bestDistance = -1;
  for (let attempt = 0; attempt < 24 && bestDistance < least; attempt++) {
    const color = anyColor(source);
    const distance = Math.min(...others.map((other) => contrast(color, other)));
    if (distance > bestDistance) {
      best = color;
      bestDistance = distance;
    }
  }
  return best;
}

const near = (color: Color, spread: number, source: Random): Color => [
  color[0] + between(source, -spread, spread),
  color[1] + between(source, -spread, spread),
  color[2] + between(source, -spread, spread),
];

/** Places a symbol's points on the image: wobble, then rotation, stretch, shear, size and shift, all drawn from `source`. */
function distort(path: Path, source: Random): Point[] {
  const radius = between(source, 10, 13);
  // Up to 40 degrees either way: a turned square is still a square, and a narrow network still learns it in a few passes.
  const angle = between(source, -0.7, 0.7);
  const stretch = Math.exp(between(source, -0.2, 0.2));
  const shear = between(source, -0.22, 0.22);
  const centerX = side / 2 + between(source, -1, 1) * Math.max(1.5, 14 - radius);
  const centerY = side / 2 + between(source, -1, 1) * Math.max(1.5, 14 - radius);
  // A smooth displacement field: one sine wave for each coordinate, along a random direction.
  const waves = [0, 1].map(() => ({
    amplitude: between(source, 0.02, 0.085),
    direction: between(source, 0, 2 * Math.PI),
    frequency: between(source, 1.8, 4),
    phase: between(source, 0, 2 * Math.PI),
  }));
  const wave = (which: number, x: number, y: number): number => {
    const { amplitude, direction, frequency, phase } = waves[which] ?? { amplitude: 0, direction: 0, frequency: 0, phase: 0 };
    return amplitude * Math.sin(frequency * (x * Math.cos(direction) + y * Math.sin(direction)) + phase);
  };
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  return path.points.map(([x, y]) => {
    const sx = (x + wave(0, x, y)) * stretch + shear * y;
    const sy = (y + wave(1, x, y)) / stretch;
    return [centerX + radius * (cos * sx - sin * sy), centerY + radius * (sin * sx + cos * sy)];
  });
}

/** A short bent line somewhere on the image. */
function scrap(source: Random): Point[] {
  const length = between(source, 3, 8);
  const bend = between(source, -0.35, 0.35);
  let x = between(source, 0, side);
  let y = between(source, 0, side);
  let angle = between(source, 0, 2 * Math.PI);
  const points: Point[] = [[x, y]];
  for (let i = 0; i < 3; i++) {
    x += (Math.cos(angle) * length) / 3;
    y += (Math.sin(angle) * length) / 3;
    angle += bend;
    points.push([x, y]);
  }
  return points;
}

/** A straight bar from one edge of the image to another. */
function bar(source: Random): Point[] {
  const angle = between(source, 0, Math.PI);
  const x = between(source, 6, side - 6);
  const y = between(source, 6, side - 6);
  const dx = Math.cos(angle) * 48;
  const dy = Math.sin(angle) * 48;
  return [
    [x - dx, y - dy],
    [x + dx, y + dy],
  ];
}

function paintClutter(canvas: Canvas, source: Random): void {
  for (let i = source.below(3); i > 0; i--) {
    paintPath(canvas, scrap(source), { closed: false, strokeWidth: between(source, 0.8, 1.8), stroke: anyColor(source) });
  }
  for (let i = source.below(5); i > 0; i--) {
    const x = between(source, 0, side);
    const y = between(source, 0, side);
    paintPath(
      canvas,
      [
        [x, y],
        [x + 0.01, y],
      ],
      { closed: false, strokeWidth: between(source, 1, 2.6), stroke: anyColor(source) },
    );
  }
}

function paintSymbol(canvas: Canvas, path: Path, ground: readonly Color[], source: Random): void {
  const points = distort(path, source);
  const color = colorAwayFrom(ground, 95, source);
  const look = source.uniform();
  if (!path.closed) {
    paintPath(canvas, points, { closed: false, strokeWidth: between(source, 1.9, 3), stroke: color });
  } else if (look < 0.4) {
    paintPath(canvas, points, { closed: true, strokeWidth: between(source, 1.6, 2.7), stroke: color });
  } else if (look < 0.8) {
    paintPath(canvas, points, { closed: true, strokeWidth: 0, fill: color, fillEnd: near(color, 30, source) });
  } else {
    const inside = colorAwayFrom([color], 60, source);
    paintPath(canvas, points, { closed: true, strokeWidth: between(source, 1.4, 2.2), stroke: color, fill: inside });
  }
}

/**
 * Draws sample `index` of a split into `into` (3072 bytes, [3, 32, 32]) and returns its label, `index` modulo 10.
 * The image depends on seed, split and index alone.
 */
export function drawGlyph(into: Uint8Array, seed: number, split: GlyphSplit, index: number, canvas: Canvas = createCanvas(side)): number {
  const source = random(seed, "glyphs", split, index);
  const label = index % symbols.length;
  const path = symbols[label];
  const ground = anyColor(source);
  const groundEnd = near(ground, 45, source);
  paintBackground(canvas, ground, groundEnd, source);
  paintClutter(canvas, source);
  if (path) paintSymbol(canvas, path, [ground, groundEnd], source);
  for (let i = source.below(3); i > 0; i--) {
    paintPath(canvas, bar(source), { closed: false, strokeWidth: between(source, 0.7, 1.5), stroke: anyColor(source) });
  }
  paintGrain(canvas, into, between(source, 4, 20), source);
  return label;
}

/**
 * The first `count` samples of a split over shared memory; classes take turns, so every ten samples hold each class once.
 * @example const { labels, pixels } = drawGlyphs(1000, { seed: 1, split: "train" });
 */
export function drawGlyphs(
  count: number,
  { seed, split }: { readonly seed: number; readonly split: GlyphSplit },
): { readonly labels: Uint16Array; readonly pixels: Uint8Array } {
  const size = sampleSize(glyphShape);
  const pixels = sharedBytes(count * size);
  const labels = sharedLabels(count);
  const canvas = createCanvas(side);
  for (let index = 0; index < count; index++) {
    labels[index] = drawGlyph(pixels.subarray(index * size, (index + 1) * size), seed, split, index, canvas);
  }
  return { labels, pixels };
}
