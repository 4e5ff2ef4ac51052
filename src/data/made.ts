/**
 * Negatives made from a device's own samples: pictures turned or with shuffled patches, clips with shuffled stretches or replaced by noise. They keep a
 * sample's colours or loudness and lose what it shows, so that they can stand for "other" where no sample of another class is at hand (Tack et al.
 * 2020, "CSI", section 2, of turned and permuted images). Which change a sample undergoes is data; it happens when the sample is read.
 */
import { type Random, random, shuffle } from "../util/random.ts";
import { type Dataset, recordLength, type SampleValues, sharedLabels } from "./dataset.ts";

/** Changes by number: none; turns by 90, 180 and 270 degrees; shuffled patches (of clips: stretches); noise. */
export const changes = { none: 0, quarterTurn: 1, halfTurn: 2, threeQuarterTurn: 3, patches: 4, noise: 5 } as const;

/** Beside its change a sample carries which copy of its source it is, so that no two copies are alike: change + 8 * copy. */
const kindCount = 8;
const mostCopies = 8192;

/** Patches to a side of an image, and stretches of a clip are as many squared. */
const patchesPerSide = 4;

/** A change that a sample of this set can undergo, drawn. Images that are not square turn by 180 degrees only. */
function drawChange({ audio, shape }: Dataset, drawn: number): number {
  if (audio) return drawn < 0.5 ? changes.patches : changes.noise;
  if (drawn < 0.5) return changes.patches;
  if (shape.height !== shape.width) return changes.halfTurn;
  return changes.quarterTurn + Math.floor(6 * (drawn - 0.5));
}

/**
 * The set with `sources.length` more samples at its end: of each of the samples `sources` a changed copy with the label of its source.
 * A view over the same store; which change each undergoes, and how, comes from `seed`.
 */
export function withMadeNegatives(dataset: Dataset, sources: ArrayLike<number>, seed: number): Dataset {
  const count = dataset.labels.length;
  const total = count + sources.length;
  const labels = sharedLabels(total);
  labels.set(dataset.labels);
  const records = new Uint32Array(new SharedArrayBuffer(4 * total));
  const kinds = new Uint16Array(new SharedArrayBuffer(2 * total));
  for (let i = 0; i < count; i++) records[i] = dataset.records?.[i] ?? i;
  kinds.set(dataset.changed?.kinds ?? new Uint16Array(0));
  const copies = new Map<number, number>();
  const draws = random(seed, "made", "kinds");
  for (let i = 0; i < sources.length; i++) {
    const source = sources[i] as number;
    labels[count + i] = dataset.labels[source] as number;
    records[count + i] = records[source] as number;
    const copy = copies.get(source) ?? 0;
    copies.set(source, copy + 1);
    kinds[count + i] = drawChange(dataset, draws.uniform()) + kindCount * (copy % mostCopies);
  }
  const { coarse: _, ...rest } = dataset;
  return { ...rest, labels, records, changed: { kinds, seed } };
}

/** A square image, channel by channel, turned anticlockwise by so many quarters. */
function turn(into: SampleValues, from: SampleValues, channels: number, side: number, quarters: number): void {
  for (let c = 0; c < channels; c++) {
    const plane = c * side * side;
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const source = quarters === 1 ? x * side + (side - 1 - y) : (side - 1 - x) * side + y;
        into[plane + y * side + x] = from[plane + source] as number;
      }
    }
  }
}

/** The same upside down: every plane read backwards. */
function turnHalf(into: SampleValues, from: SampleValues, channels: number, area: number): void {
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < area; i++) into[c * area + i] = from[(c + 1) * area - 1 - i] as number;
  }
}

/** An order of 0, 1, ... in which at least one has moved, where there are two or more. */
function movedOrder(count: number, source: Random): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  do shuffle(order, source);
  while (count > 1 && order.every((place, i) => place === i));
  return order;
}

/** Cells of a grid change places; what the grid leaves over at the right and below stays. Cells are at least one pixel. */
function shufflePatches(
  into: SampleValues,
  from: SampleValues,
  { channels, height, width }: Dataset["shape"],
  order: (count: number) => number[],
): void {
  const [rows, columns] = [Math.min(patchesPerSide, height), Math.min(patchesPerSide, width)];
  const [cellHeight, cellWidth] = [Math.floor(height / rows), Math.floor(width / columns)];
  const places = order(rows * columns);
  into.set(from);
  for (let c = 0; c < channels; c++) {
    for (const [to, source] of places.entries()) {
      const [toY, toX] = [Math.floor(to / columns) * cellHeight, (to % columns) * cellWidth];
      const [fromY, fromX] = [Math.floor(source / columns) * cellHeight, (source % columns) * cellWidth];
      for (let y = 0; y < cellHeight; y++) {
        const start = (c * height + fromY + y) * width + fromX;
        into.set(from.subarray(start, start + cellWidth), (c * height + toY + y) * width + toX);
      }
    }
  }
}

/** Stretches of a clip change places. */
function shuffleStretches(into: SampleValues, from: SampleValues, order: (count: number) => number[]): void {
  const stretches = patchesPerSide ** 2;
  const length = Math.floor(from.length / stretches);
  into.set(from);
  if (length === 0) return;
  for (const [to, source] of order(stretches).entries()) into.set(from.subarray(source * length, (source + 1) * length), to * length);
}

/** White noise as loud as the clip (equal root mean square). */
function makeNoise(into: SampleValues, from: SampleValues, source: Random): void {
  let squares = 0;
  for (const value of from) squares += value * value;
  const loudness = Math.sqrt(squares / from.length);
  for (let i = 0; i < into.length; i++) into[i] = Math.max(-32768, Math.min(32767, Math.round(loudness * source.normal())));
}

/** Writes record number `record` of a set, given as `from`, into `into` as its change (`changes`, plus 8 times the copy) makes it; the same each time. */
export function applyChange(into: SampleValues, from: SampleValues, dataset: Dataset, change: number, record: number): void {
  const { shape, audio, changed } = dataset;
  const kind = change % kindCount;
  const source = random(changed?.seed ?? 0, "made", record, change);
  const order = (count: number): number[] => movedOrder(count, source);
  if (kind === changes.none) into.set(from);
  else if (kind === changes.noise) makeNoise(into, from, source);
  else if (kind === changes.patches) {
    if (audio) shuffleStretches(into, from, order);
    else shufflePatches(into, from, shape, order);
  } else if (kind === changes.halfTurn) turnHalf(into, from, shape.channels, shape.height * shape.width);
  else turn(into, from, shape.channels, shape.height, kind === changes.quarterTurn ? 1 : 3);
}

interface Found {
  readonly values: SampleValues;
  /** Where each record begins in `values`. */
  readonly offsets: Float64Array;
}

/** The records found for `indices` with the set's changes applied to copies; the found ones themselves where there is none. */
export function readChanged(dataset: Dataset, indices: ArrayLike<number>, found: Found): Found {
  const { changed } = dataset;
  if (!changed || Array.prototype.every.call(indices, (index: number) => changed.kinds[index] === changes.none)) return found;
  const length = recordLength(dataset);
  const count = length * indices.length;
  const { values } = found;
  const copies =
    values instanceof Uint8Array ? new Uint8Array(count) : values instanceof Int16Array ? new Int16Array(count) : new Float32Array(count);
  for (let n = 0; n < indices.length; n++) {
    const index = indices[n] as number;
    const start = found.offsets[n] as number;
    const from = values.subarray(start, start + length);
    applyChange(copies.subarray(n * length, (n + 1) * length), from, dataset, changed.kinds[index] ?? 0, dataset.records?.[index] ?? index);
  }
  return { values: copies, offsets: Float64Array.from(indices, (_, n) => n * length) };
}
