/** A small antialiased painter for `glyphs`: square RGB canvas, gradient and stripe background, filled and stroked paths, grain. */
import type { Random } from "../util/random.ts";

export type Point = readonly [x: number, y: number];
/** Red, green, blue, each 0..255. */
export type Color = readonly [number, number, number];

/** Working memory of the painter, reused from image to image. */
export interface Canvas {
  readonly side: number;
  /** [3, side, side], 0..255. */
  readonly values: Float32Array;
  /** Distance of each pixel's centre to the path being painted. */
  readonly distance: Float32Array;
  /** 1 where a pixel's centre lies inside the path being painted. */
  readonly inside: Uint8Array;
}

export interface PathStyle {
  readonly closed: boolean;
  /** In pixels; 0 for no stroke. */
  readonly strokeWidth: number;
  readonly stroke?: Color;
  readonly fill?: Color;
  /** Colour of the fill at the bottom of the image, for a gradient. */
  readonly fillEnd?: Color;
}

export function createCanvas(side: number): Canvas {
  const area = side * side;
  return { side, values: new Float32Array(3 * area), distance: new Float32Array(area), inside: new Uint8Array(area) };
}

/** Covers the canvas with a linear gradient between two colours and stripes across a random direction. */
export function paintBackground(canvas: Canvas, from: Color, to: Color, source: Random): void {
  const { side, values } = canvas;
  const area = side * side;
  const angle = 2 * Math.PI * source.uniform();
  const gradientX = Math.cos(angle) / side;
  const gradientY = Math.sin(angle) / side;
  const stripeAngle = 2 * Math.PI * source.uniform();
  const pitch = 0.5 + 1.3 * source.uniform();
  const stripeX = Math.cos(stripeAngle) * pitch;
  const stripeY = Math.sin(stripeAngle) * pitch;
  const amplitude = 16 * source.uniform();
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const t = 0.5 + (x - side / 2) * gradientX + (y - side / 2) * gradientY;
      const stripe = amplitude * Math.sin(x * stripeX + y * stripeY);
      const pixel = y * side + x;
      values[pixel] = from[0] + (to[0] - from[0]) * t + stripe;
      values[area + pixel] = from[1] + (to[1] - from[1]) * t + stripe;
      values[2 * area + pixel] = from[2] + (to[2] - from[2]) * t + stripe;
    }
  }
}

/** Lowers `distance` to that of the segment, for pixels no farther than `reach`. */
function measureSegment(canvas: Canvas, [ax, ay]: Point, [bx, by]: Point, reach: number): void {
  const { side, distance } = canvas;
  const top = Math.max(0, Math.ceil(Math.min(ay, by) - reach - 0.5));
  const bottom = Math.min(side - 1, Math.floor(Math.max(ay, by) + reach - 0.5));
  const left = Math.max(0, Math.ceil(Math.min(ax, bx) - reach - 0.5));
  const right = Math.min(side - 1, Math.floor(Math.max(ax, bx) + reach - 0.5));
  const dx = bx - ax;
  const dy = by - ay;
  const inverse = 1 / (dx * dx + dy * dy || 1);
  for (let y = top; y <= bottom; y++) {
    const py = y + 0.5 - ay;
    for (let x = left; x <= right; x++) {
      const px = x + 0.5 - ax;
      const t = Math.min(1, Math.max(0, (px * dx + py * dy) * inverse));
      const ox = px - t * dx;
      const oy = py - t * dy;
      const away = Math.sqrt(ox * ox + oy * oy);
      const pixel = y * side + x;
      if (away < (distance[pixel] ?? 0)) distance[pixel] = away;
    }
  }
}

/** Marks the pixels whose centres lie inside the closed path (even-odd rule). */
function markInside(canvas: Canvas, points: readonly Point[]): void {
  const { side, inside } = canvas;
  inside.fill(0);
  for (let y = 0; y < side; y++) {
    const level = y + 0.5;
    const crossings: number[] = [];
    for (let i = 0; i < points.length; i++) {
      const [ax, ay] = points[i] ?? [0, 0];
      const [bx, by] = points[i + 1 < points.length ? i + 1 : 0] ?? [0, 0];
      if (ay <= level !== by <= level) crossings.push(ax + ((level - ay) / (by - ay)) * (bx - ax));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const first = Math.max(0, Math.ceil((crossings[i] ?? 0) - 0.5));
      const last = Math.min(side - 1, Math.floor((crossings[i + 1] ?? 0) - 0.5));
      for (let x = first; x <= last; x++) inside[y * side + x] = 1;
    }
  }
}

function blend(canvas: Canvas, pixel: number, color: Color, end: Color, t: number, opacity: number): void {
  const { values } = canvas;
  const area = values.length / 3;
  for (let channel = 0; channel < 3; channel++) {
    const i = channel * area + pixel;
    const value = values[i] ?? 0;
    const start = color[channel] ?? 0;
    values[i] = value + (start + ((end[channel] ?? 0) - start) * t - value) * opacity;
  }
}

/** Fills and strokes a path; an edge pixel is covered in proportion to its distance from the edge. */
export function paintPath(canvas: Canvas, points: readonly Point[], style: PathStyle): void {
  const { side, distance, inside } = canvas;
  const half = style.strokeWidth / 2;
  distance.fill(Number.POSITIVE_INFINITY);
  const segments = style.closed ? points.length : points.length - 1;
  for (let i = 0; i < segments; i++) {
    measureSegment(canvas, points[i] ?? [0, 0], points[(i + 1) % points.length] ?? [0, 0], half + 1);
  }
  if (style.fill) {
    markInside(canvas, points);
    const end = style.fillEnd ?? style.fill;
    for (let pixel = 0; pixel < distance.length; pixel++) {
      const edge = distance[pixel] ?? 0;
      const cover = Math.min(1, Math.max(0, 0.5 + (inside[pixel] ? edge : -edge)));
      if (cover > 0) blend(canvas, pixel, style.fill, end, Math.floor(pixel / side) / side, cover);
    }
  }
  if (style.stroke && style.strokeWidth > 0) {
    // Lines thinner than a pixel keep their width by fading.
    const strength = Math.min(1, style.strokeWidth);
    for (let pixel = 0; pixel < distance.length; pixel++) {
      const cover = Math.min(1, Math.max(0, half + 0.5 - (distance[pixel] ?? 0)));
      if (cover > 0) blend(canvas, pixel, style.stroke, style.stroke, 0, cover * strength);
    }
  }
}

/** Writes the canvas as bytes, each value moved by up to `amplitude` / 2 either way. */
export function paintGrain(canvas: Canvas, into: Uint8Array, amplitude: number, source: Random): void {
  const { values } = canvas;
  const area = values.length / 3;
  const unit = amplitude / 1024;
  for (let pixel = 0; pixel < area; pixel++) {
    // One 32-bit draw makes the three channels' grain, ten bits each.
    const bits = source.int32();
    for (let channel = 0; channel < 3; channel++) {
      const i = channel * area + pixel;
      const grain = (((bits >>> (2 + 10 * channel)) & 1023) - 511.5) * unit;
      into[i] = Math.min(255, Math.max(0, Math.round((values[i] ?? 0) + grain)));
    }
  }
}
