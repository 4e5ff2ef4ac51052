import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SheafError } from "./errors.ts";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";
import { type DType, sizeOf, type Tensor, tensor, zeros } from "./tensor.ts";

const dtypes: readonly DType[] = ["float32", "float64", "int32", "int64", "uint8", "bool"];

/** Any tensor, filled with any bytes (0 and 1 for bool). */
const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(fc.nat(4), { maxLength: 4 }), seed: fc.integer() })
  .map(({ dtype, shape, seed }) => {
    const result = zeros(dtype, shape);
    const bytes = new Uint8Array(result.data.buffer);
    let state = seed;
    for (let i = 0; i < bytes.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      bytes[i] = dtype === "bool" ? (state >>> 31) & 1 : state >>> 24;
    }
    return result;
  });
const anyName = fc.oneof(fc.string(), fc.constantFrom("__proto__", "7", "constructor")).filter((name) => name !== "__metadata__");
const anyTensors = fc.array(fc.tuple(anyName, anyTensor), { maxLength: 6 }).map((entries) => new Map(entries));
const anyMetadata = fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 4 }).map((notes) => Object.fromEntries(notes));

const rawBytes = ({ data }: Tensor): number[] => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
const plain = (tensors: ReadonlyMap<string, Tensor>): unknown =>
  [...tensors].map(([name, t]) => [name, t.dtype, t.shape, rawBytes(t)]).sort(([a], [b]) => ((a as string) < (b as string) ? -1 : 1));

/** A file with this header text and data. */
function fileOf(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

describe("encodeSafetensors", () => {
  it("is undone by decodeSafetensors, bit for bit", () => {
    fc.assert(
      fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
        const decoded = decodeSafetensors(encodeSafetensors(tensors, metadata), "file");
        expect(plain(decoded.tensors)).toEqual(plain(tensors));
        expect(Object.entries(decoded.metadata).sort()).toEqual(Object.entries(metadata).sort());
      }),
    );
  });

  it("gives the same bytes whatever the order of tensors and notes, with aligned data", () => {
    fc.assert(
      fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
        const file = encodeSafetensors(tensors, metadata);
        const reversed = encodeSafetensors(new Map([...tensors].reverse()), Object.fromEntries(Object.entries(metadata).reverse()));
        expect(reversed).toEqual(file);
        const headerBytes = Number(new DataView(file.buffer).getBigUint64(0, true));
        expect(headerBytes % 8).toBe(0);
        const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes))) as Record<
          string,
          { data_offsets: number[] }
        >;
        for (const [name, { dtype }] of tensors) {
          const size = { float32: 4, float64: 8, int32: 4, int64: 8, uint8: 1, bool: 1 }[dtype];
          expect((header[name]?.data_offsets[0] ?? -1) % size).toBe(0);
        }
      }),
    );
  });

  it("writes the published layout", () => {
    const file = encodeSafetensors(new Map([["a", tensor("float32", [1], Float32Array.of(1))]]), { k: "v" });
    const header = '{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    expect(new TextDecoder().decode(file.subarray(8, 8 + header.length))).toBe(header);
    expect([...file.subarray(0, 8)]).toEqual([Math.ceil(header.length / 8) * 8, 0, 0, 0, 0, 0, 0, 0]);
    expect([...file.subarray(-4)]).toEqual([0, 0, 0x80, 0x3f]);
  });

  it("refuses the reserved name", () => {
    expect(() => encodeSafetensors(new Map([["__metadata__", zeros("float32", [])]]))).toThrow(/reserves the name/);
  });
});

describe("decodeSafetensors", () => {
  const two = (first: readonly number[], second: readonly number[]): unknown => ({
    a: { dtype: "U8", shape: [2], data_offsets: first },
    b: { dtype: "U8", shape: [2], data_offsets: second },
  });
  const data4 = new Uint8Array(4);
  it.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(0), /has 0 bytes/],
    ["a header longer than the file", Uint8Array.of(200, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d), /should be 200 bytes long, but at most 2/],
    ["a header of 2^64 - 1 bytes", new Uint8Array(16).fill(255), /18446744073709551615/],
    ["a header that is not JSON", fileOf("{oops"), /not JSON/],
    ["a header that is not UTF-8", fileOf("\u00ff").fill(0xff, 8), /not JSON/],
    ["a list as header", fileOf("[]"), /not a JSON object/],
    ["null as header", fileOf("null"), /not a JSON object/],
    ["an unknown dtype", fileOf({ a: { dtype: "BF16", shape: [], data_offsets: [0, 2] } }), /dtype "BF16"/],
    ["a dtype from the prototype", fileOf({ a: { dtype: "toString", shape: [], data_offsets: [0, 2] } }), /dtype "toString"/],
    ["no dtype", fileOf({ a: 3 }), /tensor "a" has dtype undefined/],
    ["a negative extent", fileOf({ a: { dtype: "U8", shape: [-1, -4], data_offsets: [0, 4] } }, data4), /shape \[-1,-4\]/],
    ["a fractional extent", fileOf({ a: { dtype: "U8", shape: [0.5], data_offsets: [0, 4] } }, data4), /shape \[0.5\]/],
    ["a size beyond all integers", fileOf({ a: { dtype: "U8", shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] } }, data4), /needs \d/],
    ["three offsets", fileOf({ a: { dtype: "U8", shape: [4], data_offsets: [0, 4, 4] } }, data4), /not two whole numbers/],
    ["offsets that run backwards", fileOf({ a: { dtype: "U8", shape: [4], data_offsets: [4, 0] } }, data4), /has -4/],
    ["offsets and shape at odds", fileOf({ a: { dtype: "F32", shape: [2], data_offsets: [0, 4] } }, data4), /needs 8 bytes, but has 4/],
    ["overlapping tensors", fileOf(two([0, 2], [1, 3]), data4), /"b" starts at byte 1, inside/],
    ["two tensors in one place", fileOf(two([0, 2], [0, 2]), new Uint8Array(2)), /inside the tensor before/],
    ["a gap", fileOf(two([0, 2], [3, 5]), new Uint8Array(5)), /bytes 2 to 3 belong to no tensor/],
    ["bytes left over", fileOf(two([0, 2], [2, 4]), new Uint8Array(5)), /bytes 4 to 5 belong to no tensor/],
    ["data cut short", fileOf(two([0, 2], [2, 4]), new Uint8Array(3)), /"b" ends at byte 4, but the data has only 3/],
    ["metadata that is not text", fileOf({ __metadata__: { a: 1 } }), /metadata entry "a"/],
    ["metadata that is no object", fileOf({ __metadata__: "x" }), /metadata is not/],
    ["a BOOL of 2", fileOf({ a: { dtype: "BOOL", shape: [1], data_offsets: [0, 1] } }, Uint8Array.of(2)), /other than 0 and 1/],
  ])("refuses %s", (_, file, problem) => {
    let error: unknown;
    try {
      decodeSafetensors(file, "upload 7");
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(SheafError);
    expect(error).toMatchObject({ code: "corrupt", message: expect.stringMatching(problem) });
    expect(error).toMatchObject({ message: expect.stringMatching(/^upload 7 is not a valid safetensors file: /) });
  });

  it("either reads a damaged file or throws corrupt, and never anything else", () => {
    fc.assert(
      fc.property(anyTensors, fc.nat(), fc.nat(255), fc.nat(), (tensors, place, value, cut) => {
        const file = encodeSafetensors(tensors);
        file[place % file.length] = value;
        try {
          const { tensors: read } = decodeSafetensors(file.subarray(0, file.length - (cut % 3)), "file");
          for (const t of read.values()) expect(t.data.length).toBe(sizeOf(t.shape));
        } catch (error) {
          expect(error).toMatchObject({ name: "SheafError", code: "corrupt" });
        }
      }),
    );
  });

  it("reads tensors that lie unaligned, and copies them", () => {
    const file = fileOf({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, Uint8Array.of(0, 0, 0x80, 0x3f));
    const shifted = new Uint8Array(file.length + 1);
    shifted.set(file, 1);
    const { tensors } = decodeSafetensors(shifted.subarray(1), "file");
    shifted.fill(0);
    expect(tensors.get("a")).toEqual(tensor("float32", [1], Float32Array.of(1)));
  });
});
