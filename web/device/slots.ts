/**
 * A file that is replaced wholly or not at all, on a file system that cannot rename: two files, written in turn, each with a number and a hash.
 * The valid one with the higher number counts, so that a tab that dies while it writes leaves the one before.
 */
import { sha256 } from "../../src/train/fingerprint.ts";
import type { PrivateFiles } from "./privateFiles.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Number (8 bytes), then the SHA-256 of number and content in hexadecimal. */
const hashStart = 8;
const contentStart = hashStart + 64;

/** A replaceable file. */
export interface Slots {
  /** Undefined where nothing valid was written. */
  read(): Promise<Bytes | undefined>;
  /** Throws `storage`; what was there before stays then. */
  write(content: Uint8Array): Promise<void>;
  clear(): Promise<void>;
}

interface Slot {
  readonly number: number;
  readonly content: Bytes;
}

async function encode({ number, content }: { readonly number: number; readonly content: Uint8Array }): Promise<Bytes> {
  const bytes = new Uint8Array(contentStart + content.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number));
  bytes.set(content, contentStart);
  bytes.set(new TextEncoder().encode(await hashOf(bytes)), hashStart);
  return bytes;
}

async function hashOf(bytes: Bytes): Promise<string> {
  const all = new Uint8Array(bytes.length - 64);
  all.set(bytes.subarray(0, hashStart));
  all.set(bytes.subarray(contentStart), hashStart);
  return sha256(all);
}

async function decode(bytes: Bytes | undefined): Promise<Slot | undefined> {
  if (!bytes || bytes.length < contentStart) return undefined;
  if (new TextDecoder().decode(bytes.subarray(hashStart, contentStart)) !== (await hashOf(bytes))) return undefined;
  return { number: Number(new DataView(bytes.buffer).getBigUint64(0)), content: bytes.slice(contentStart) };
}

/** Opens the file of a name; it lies in `NAME.0` and `NAME.1`. */
export function openSlots(files: PrivateFiles, name: string): Slots {
  const nameOf = (place: number): string => `${name}.${place}`;
  const latest = async (): Promise<(Slot & { readonly place: number }) | undefined> => {
    const found = await Promise.all([0, 1].map(async (place) => ({ place, slot: await decode(await files.read(nameOf(place))) })));
    const valid = found.flatMap(({ place, slot }) => (slot ? [{ ...slot, place }] : []));
    return valid.sort((a, b) => b.number - a.number)[0];
  };
  let last: { readonly number: number; readonly place: number } | undefined;
  return {
    async read() {
      const found = await latest();
      last = found;
      return found?.content;
    },
    async write(content) {
      last ??= (await latest()) ?? { number: 0, place: 1 };
      const next = { number: last.number + 1, place: 1 - last.place };
      await files.write(nameOf(next.place), await encode({ number: next.number, content }));
      last = next;
    },
    async clear() {
      last = undefined;
      await Promise.all([0, 1].map((place) => files.remove(nameOf(place))));
    },
  };
}
