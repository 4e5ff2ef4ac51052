/** One Parquet file: its metadata, whole columns of small values, and blocks of rows of large ones. */
import { dirname } from "node:path";
import type { AsyncBuffer, FileMetaData } from "hyparquet";
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { SheafError } from "../../util/errors.ts";
import { recentBlocks } from "./blocks.ts";
import type { ByteFile } from "./byteFile.node.ts";
import { openByteFile } from "./byteFile.node.ts";
import { reasonOf } from "./files.node.ts";

/** A column as its schema tells it. */
export interface ParquetColumn {
  readonly name: string;
  /** Names of its fields; empty for a plain column. */
  readonly fields: readonly string[];
}

export interface ParquetFile {
  readonly path: string;
  readonly folder: string;
  readonly rows: number;
  readonly columns: readonly ParquetColumn[];
  /** Features as the `datasets` library describes them in the file's metadata, by column; empty when it does not. */
  readonly features: Readonly<Record<string, unknown>>;
  /** All values of a column of small values. Throws `data`. */
  column(name: string): Promise<unknown[]>;
  /** One value of a column of large values; neighbouring rows are read together. Throws `data`. */
  value(name: string, row: number): Promise<unknown>;
  close(): Promise<void>;
}

/** Throws the `data` error for a file that cannot be decoded. */
function damaged(path: string, error: unknown): SheafError {
  if (error instanceof SheafError) return error;
  const reason = error instanceof Error ? error.message : reasonOf(error);
  return new SheafError(
    "data",
    `${path} cannot be read as Parquet: ${reason}; it is damaged or of another kind: put the complete file there.`,
    {
      cause: error,
    },
  );
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null;

/** `info.features` of the key-value metadata "huggingface"; empty when absent or of another form. */
function featuresOf(metadata: FileMetaData): Readonly<Record<string, unknown>> {
  const text = metadata.key_value_metadata?.find(({ key }) => key === "huggingface")?.value;
  try {
    const parsed: unknown = JSON.parse(text ?? "{}");
    const info = isRecord(parsed) ? parsed.info : undefined;
    const features = isRecord(info) ? info.features : undefined;
    return isRecord(features) ? features : {};
  } catch {
    return {};
  }
}

/** Rows that are decoded together. */
interface Block {
  readonly start: number;
  readonly end: number;
}

const blockBytes = 64 * 1024 * 1024;

/**
 * Blocks of rows for reading a column: row groups; those larger than 64 MiB in parts where the file has an index of its pages
 * (without one a row group's column can be read only as a whole).
 */
export function blocksOf(metadata: Pick<FileMetaData, "row_groups">, column: string): Block[] {
  const blocks: Block[] = [];
  let start = 0;
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows);
    const chunks = group.columns.filter((chunk) => chunk.meta_data?.path_in_schema[0] === column);
    const bytes = chunks.reduce((sum, chunk) => sum + Number(chunk.meta_data?.total_uncompressed_size ?? 0), 0);
    const isIndexed = chunks.every((chunk) => chunk.offset_index_offset !== undefined);
    const parts = isIndexed ? Math.min(rows, Math.ceil(bytes / blockBytes)) : 1;
    const perPart = Math.ceil(rows / Math.max(1, parts));
    for (let from = 0; from < rows; from += perPart) blocks.push({ start: start + from, end: start + Math.min(rows, from + perPart) });
    start += rows;
  }
  return blocks;
}

/** Index of the block that holds a row. */
function blockAt(blocks: readonly Block[], row: number): number {
  let low = 0;
  let high = blocks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((blocks[middle] as Block).start <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}

function asyncBuffer(file: ByteFile): AsyncBuffer {
  return {
    byteLength: file.size,
    slice: async (start, end = file.size) => {
      const from = start < 0 ? file.size + start : start;
      return (await file.read(from, Math.max(0, Math.min(end, file.size) - from))).buffer;
    },
  };
}

/** Opens a Parquet file; reads its metadata alone. Throws `data`, naming the file. */
export async function openParquetFile(path: string): Promise<ParquetFile> {
  const bytes = await openByteFile(path);
  const file = asyncBuffer(bytes);
  let metadata: FileMetaData;
  try {
    metadata = await parquetMetadataAsync(file);
  } catch (error) {
    await bytes.close();
    throw damaged(path, error);
  }
  // Without utf8, byte arrays that are not marked as text come as bytes, which is what images are.
  const read = async (column: string, rows: { rowStart?: number; rowEnd?: number }): Promise<unknown[]> => {
    try {
      const found = await parquetReadObjects({
        file,
        metadata,
        compressors,
        columns: [column],
        utf8: false,
        useOffsetIndex: true,
        ...rows,
      });
      return found.map((row) => row[column] as unknown);
    } catch (error) {
      throw damaged(path, error);
    }
  };
  const readers = new Map<string, (row: number) => Promise<unknown>>();
  const readerOf = (column: string): ((row: number) => Promise<unknown>) => {
    const blocks = blocksOf(metadata, column);
    const load = recentBlocks(2, (block) => read(column, { rowStart: blocks[block]?.start ?? 0, rowEnd: blocks[block]?.end ?? 0 }));
    return async (row) => {
      const block = blockAt(blocks, row);
      return (await load(block))[row - (blocks[block]?.start ?? 0)];
    };
  };
  return {
    path,
    folder: dirname(path),
    rows: Number(metadata.num_rows),
    columns: parquetSchema(metadata).children.map(({ element, children }) => ({
      name: element.name,
      fields: children.map((child) => child.element.name),
    })),
    features: featuresOf(metadata),
    column: (name) => read(name, {}),
    value(name, row) {
      const reader = readers.get(name) ?? readerOf(name);
      readers.set(name, reader);
      return reader(row);
    },
    close: () => bytes.close(),
  };
}
