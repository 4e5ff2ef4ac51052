/** The ten symbols of `glyphs` as paths about the origin, within the unit circle; straight edges are divided so that they can bend. */
import type { Point } from "./glyphCanvas.ts";

export interface Path {
  readonly points: readonly Point[];
  /** Whether the last point joins the first, enclosing an area. */
  readonly closed: boolean;
}

const polar = (radius: number, angle: number): Point => [radius * Math.cos(angle), radius * Math.sin(angle)];

/** Points at `count` equal steps of a parameter from 0 to 1, the end left out. */
const trace = (count: number, at: (t: number) => Point): Point[] => Array.from({ length: count }, (_, i) => at(i / count));

const turn = 2 * Math.PI;

/** A polygon whose edges are divided into pieces no longer than a quarter of the unit. */
function polygon(corners: readonly Point[]): Path {
  const points = corners.flatMap((corner, i): Point[] => {
    const next = corners[(i + 1) % corners.length] ?? corner;
    const pieces = Math.ceil(Math.hypot(next[0] - corner[0], next[1] - corner[1]) / 0.25);
    return trace(pieces, (t) => [corner[0] + (next[0] - corner[0]) * t, corner[1] + (next[1] - corner[1]) * t]);
  });
  return { points, closed: true };
}

/** A disc of radius 0.92 with a smaller, shifted disc cut out of it. */
function crescent(): Path {
  const radius = 0.92;
  const cutRadius = 0.74;
  const shift = 0.46;
  // Where the two circles meet: x from the law of cosines.
  const meetX = (radius ** 2 - cutRadius ** 2 + shift ** 2) / (2 * shift);
  const outer = Math.acos(meetX / radius);
  const inner = Math.acos((meetX - shift) / cutRadius);
  const back = trace(22, (t) => polar(radius, outer + (turn - 2 * outer) * t));
  const front = trace(14, (t): Point => {
    const [x, y] = polar(cutRadius, turn - inner - (turn - 2 * inner) * t);
    return [x + shift, y];
  });
  // Shifted to the left half it would be off centre; move it back.
  return { points: [...back, ...front].map(([x, y]): Point => [x + 0.15, y]), closed: true };
}

const arm = 0.3;
const named = {
  circle: { points: trace(28, (t) => polar(0.85, turn * t)), closed: true },
  triangle: polygon(trace(3, (t) => polar(1, turn * t))),
  square: polygon(trace(4, (t) => polar(1.05, turn * t))),
  star: polygon(trace(10, (t) => polar(Math.round(t * 10) % 2 === 0 ? 1.1 : 0.46, turn * t))),
  cross: polygon([
    [arm, 1],
    [arm, arm],
    [1, arm],
    [1, -arm],
    [arm, -arm],
    [arm, -1],
    [-arm, -1],
    [-arm, -arm],
    [-1, -arm],
    [-1, arm],
    [-arm, arm],
    [-arm, 1],
  ]),
  crescent: crescent(),
  arrow: polygon([
    [1.1, 0],
    [0.2, 0.82],
    [0.2, 0.26],
    [-1.05, 0.26],
    [-1.05, -0.26],
    [0.2, -0.26],
    [0.2, -0.82],
  ]),
  heart: {
    points: trace(32, (t): Point => {
      const a = turn * t;
      const y = 13 * Math.cos(a) - 5 * Math.cos(2 * a) - 2 * Math.cos(3 * a) - Math.cos(4 * a);
      return [Math.sin(a) ** 3, (y + 2.5) / 15.5];
    }),
    closed: true,
  },
  spiral: { points: trace(40, (t) => polar(0.08 + 0.95 * t, 2.1 * turn * t)), closed: false },
  gap: { points: trace(26, (t) => polar(0.88, 0.2 * turn + 0.83 * turn * t)), closed: false },
} satisfies Readonly<Record<string, Path>>;

/** Class names in label order. */
export const symbolNames: readonly string[] = Object.keys(named);
/** Paths in label order. */
export const symbols: readonly Path[] = Object.values(named);
