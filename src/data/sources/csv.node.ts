/** A CSV list of files with labels: header `path,label` or `path,label,split`, paths relative to the list. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { parse } from "csv-parse";
import { SheafError } from "../../util/errors.ts";
import type { FileState, Medium } from "./files.node.ts";
import {
  fileState,
  fingerprintOf,
  mediaExtensions,
  mediumOf,
  readBytes,
  readClassNames,
  reasonOf,
  statPath,
  throwIfStopped,
} from "./files.node.ts";
import { nameLabels, requireTraining, splitOf } from "./labels.ts";
import type { OpenSource, Split } from "./source.ts";

interface Row {
  readonly line: number;
  /** As the list has it. */
  readonly path: string;
  readonly label: string;
  readonly split: Split | undefined;
}

/** What csv-parse gives with `info`: the record and the line that it ends on. */
interface Parsed {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

function columnsOf(list: string, header: readonly string[]): { readonly path: number; readonly label: number; readonly split: number } {
  const names = header.map((name) => name.toLowerCase());
  const columns = { path: names.indexOf("path"), label: names.indexOf("label"), split: names.indexOf("split") };
  if (columns.path < 0 || columns.label < 0) {
    throw new SheafError(
      "data",
      `${list} line 1: expected the columns path and label, and perhaps split, got ${header.join(", ") || "nothing"}; correct the header.`,
    );
  }
  return columns;
}

/** Rows of the list and the SHA-256 of its bytes. */
async function readRows(list: string, signal: AbortSignal | undefined): Promise<{ readonly rows: Row[]; readonly sha256: string }> {
  const hash = createHash("sha256");
  const parser = parse({ bom: true, info: true, trim: true, skip_empty_lines: true });
  const bytes = createReadStream(list);
  bytes.on("data", (chunk) => hash.update(chunk));
  bytes.on("error", (error) => parser.destroy(error));
  bytes.pipe(parser);
  const rows: Row[] = [];
  let columns: ReturnType<typeof columnsOf> | undefined;
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      throwIfStopped(signal, list);
      if (!columns) {
        columns = columnsOf(list, record);
        continue;
      }
      const {
        path = "",
        label = "",
        split: word = "",
      } = { path: record[columns.path], label: record[columns.label], split: record[columns.split] };
      if (path === "" || label === "") {
        throw new SheafError(
          "data",
          `${list} line ${info.lines}: expected a path and a label, got an empty ${path === "" ? "path" : "label"}; fill it in.`,
        );
      }
      const split = columns.split < 0 ? undefined : splitOf(word);
      if (columns.split >= 0 && !split) {
        throw new SheafError("data", `${list} line ${info.lines}: expected as split train, validation or test, got "${word}"; correct it.`);
      }
      rows.push({ line: info.lines, path, label, split });
    }
  } catch (error) {
    if (error instanceof SheafError) throw error;
    const reason = error instanceof Error ? error.message : reasonOf(error);
    throw new SheafError("data", `${list} cannot be read as CSV: ${reason}; correct that line.`, { cause: error });
  } finally {
    bytes.destroy();
  }
  if (!columns) columnsOf(list, []);
  if (rows.length === 0) throw new SheafError("data", `${list} lists no files; expected one a line below the header; add some.`);
  return { rows, sha256: hash.digest("hex") };
}

/** Checks that the rows name files of one medium, each once; gives the medium, their absolute paths and their states. Throws `data`, naming the line. */
async function checkFiles(
  list: string,
  rows: readonly Row[],
  signal: AbortSignal | undefined,
): Promise<{ medium: Medium; paths: string[]; states: FileState[] }> {
  const medium = mediumOf(rows[0]?.path ?? "");
  const lineOf = new Map<string, number>();
  const paths = rows.map(({ path: named, line }) => {
    const path = isAbsolute(named) ? named : join(dirname(list), named);
    const found = mediumOf(named);
    if (!found || !medium) {
      const expected = [...mediaExtensions.image, ...mediaExtensions.audio].join(", ");
      throw new SheafError(
        "data",
        `${list} line ${line}: expected a file with one of the extensions ${expected}, got ${named}; remove the line.`,
      );
    }
    if (found !== medium) {
      throw new SheafError(
        "data",
        `${list} line ${line}: expected one kind of files, ${medium} as in line ${rows[0]?.line}, got ${named}; make two lists.`,
      );
    }
    const earlier = lineOf.get(resolve(path));
    if (earlier !== undefined) {
      throw new SheafError(
        "data",
        `${list} line ${line}: ${named} was listed in line ${earlier} already; expected every file once; remove one line.`,
      );
    }
    lineOf.set(resolve(path), line);
    return path;
  });
  const states: FileState[] = [];
  const atOnce = 64;
  for (let start = 0; start < rows.length; start += atOnce) {
    throwIfStopped(signal, list);
    const some = await Promise.all(paths.slice(start, start + atOnce).map(statPath));
    some.forEach((stats, i) => {
      const row = rows[start + i] as Row;
      if (!stats?.isFile()) {
        const got = !stats ? "nothing" : stats.isDirectory() ? "a folder" : "no regular file";
        throw new SheafError(
          "data",
          `${list} line ${row.line}: expected a file at ${paths[start + i]}, got ${got}; paths are relative to the list; correct the path or remove the line.`,
        );
      }
      states.push(fileState(row.path, stats));
    });
  }
  return { medium: medium ?? "image", paths, states };
}

/**
 * A CSV list of images or WAVs. Labels are names, or numbers that `classes.txt` beside the list may name.
 * Throws `data`, naming the line, for a missing file, an unknown split or extension, a file listed twice, and an empty cell.
 */
export const openCsv: OpenSource = async (list, { signal }) => {
  const title = `CSV list ${list}`;
  const { rows, sha256 } = await readRows(list, signal);
  const { medium, paths, states } = await checkFiles(list, rows, signal);
  requireTraining(title, new Set(rows.map(({ split }) => split)));
  const names = await readClassNames(dirname(list));
  const where = (index: number): string => `${list} line ${rows[index]?.line}`;
  const { classNames, labels } = nameLabels(
    rows.map(({ label }) => label),
    { title, where },
    names,
  );
  return {
    kind: medium,
    title,
    classNames,
    entries: rows.map(({ split }, i) => {
      const path = paths[i] as string;
      return { where: path, label: labels[i] as number, split, read: () => readBytes(path) };
    }),
    fingerprint: fingerprintOf("csv", states, [sha256, ...(names ?? [])]),
  };
};
