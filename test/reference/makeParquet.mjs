/**
 * Writes test/fixtures/parquet/arrowRust-CODEC.parquet with the Parquet writer of Apache Arrow in Rust, which the tests' own writer knows nothing of.
 * Run it in that folder, where `npm i --no-save parquet-wasm@0.8.0 apache-arrow` found its packages. Row n holds 40 bytes of value n, label n % 4; two of three rows have a path.
 */
import { writeFileSync } from "node:fs";
import { Binary, Field, Int64, Struct, Table, tableToIPC, Utf8, vectorFromArray } from "apache-arrow";
import { Compression, Table as ParquetTable, WriterPropertiesBuilder, writeParquet } from "parquet-wasm/node";

const count = 25;
const type = new Struct([new Field("bytes", new Binary(), true), new Field("path", new Utf8(), true)]);
const images = Array.from({ length: count }, (_, n) => ({ bytes: new Uint8Array(40).fill(n), path: n % 3 ? `${n}.png` : null }));
const labels = Array.from({ length: count }, (_, n) => BigInt(n % 4));
const table = tableToIPC(new Table({ image: vectorFromArray(images, type), label: vectorFromArray(labels, new Int64()) }), "stream");
const features = { image: { _type: "Image" }, label: { names: ["ant", "bee", "cow", "dog"], _type: "ClassLabel" } };
for (const codec of ["ZSTD", "SNAPPY", "GZIP", "BROTLI", "LZ4_RAW"]) {
  const properties = new WriterPropertiesBuilder()
    .setCompression(Compression[codec])
    .setMaxRowGroupSize(10)
    .setKeyValueMetadata(new Map([["huggingface", JSON.stringify({ info: { features } })]]))
    .build();
  writeFileSync(`arrowRust-${codec}.parquet`, writeParquet(ParquetTable.fromIPCStream(table), properties));
}
